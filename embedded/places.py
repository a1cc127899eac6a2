"""Where the embedded servers keep data and sockets, and which account PostgreSQL runs as.

PostgreSQL refuses to run as root. When we are root it runs as an unprivileged account, which often
cannot reach the data folder (a home is 0700). Parents' permissions are never loosened: what that
account must reach then lives under /var/lib/hivelog, and a link in the data folder tells where.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# The longest path that a unix socket may have is 107 bytes on Linux, 103 on macOS; the longest name
# that is put into the folder is PostgreSQL's lock beside its socket.
_LONGEST_SOCKET_FOLDER = 103 - len("/.s.PGSQL.5432.lock")
ROOT_STATE = Path("/var/lib/hivelog")
_ACCOUNTS = ("hivelog", "postgres", "nobody")


class EmbeddedError(RuntimeError):
    """The embedded servers cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """Whom PostgreSQL runs as when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """All paths of one data folder. `postgres` and `sockets` are real paths, links resolved."""

    data_dir: Path
    postgres: Path
    sockets: Path
    account: Account | None

    def own(self, folder: Path) -> None:
        """Give a private folder to whom PostgreSQL runs as."""
        folder.chmod(0o700)
        if self.account is not None:
            os.chown(folder, self.account.uid, self.account.gid)


def prepare(data_dir: Path) -> Place:
    """Make the folders. Safe to repeat, and from several processes at once."""
    data_dir = data_dir.expanduser().absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        data_dir = data_dir.resolve()
        (data_dir / "embedded").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise EmbeddedError(f"the data folder {data_dir} is unusable: {error.strerror}") from None
    account = _account(data_dir) if os.geteuid() == 0 else None
    if account is not None:  # others may pass through, not look around; what is inside is private
        data_dir.chmod(stat.S_IMODE(data_dir.stat().st_mode) | 0o011)
    draft = Place(data_dir, data_dir / "postgres", data_dir / "sockets", account)
    return Place(data_dir, _data_home(draft), _socket_home(draft), account)


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether PostgreSQL's account can enter a folder: asked of the kernel, ACLs and all."""
    return account is None or run_as(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])[0]


def run_as(account: Account | None, command: list[str], timeout: float = 90) -> tuple[bool, str]:
    """Run a command as PostgreSQL's account; (succeeded, what it printed)."""
    # PG* variables of the caller must not steer our own server's tools.
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd="/",
            timeout=timeout,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    return done.returncode == 0, done.stdout.strip()


def _account(data_dir: Path) -> Account:
    """The owner of existing data, else the first account that exists."""
    data = data_dir / "postgres"
    try:
        if data.exists() and (uid := data.stat().st_uid) != 0:
            entry = pwd.getpwuid(uid)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    except KeyError:
        raise EmbeddedError(f"{data} belongs to uid {uid}, which has no account here") from None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in known:
            return Account(name, known[name].pw_uid, known[name].pw_gid)
    raise EmbeddedError("PostgreSQL cannot run as root: create an account named hivelog for it")


def _data_home(draft: Place) -> Path:
    """The cluster's folder: in the data folder, or behind a link where that cannot be reached."""
    link = draft.postgres
    if link.is_symlink() or link.exists() or can_enter(draft.account, draft.data_dir):
        home = link.resolve()
        if link.exists() and not can_enter(draft.account, home.parent):
            who = draft.account.name if draft.account else "you"
            raise EmbeddedError(f"{home} holds data, but the account {who} cannot reach it")
        return home
    return _link(link, root_state() / f"data-{_key(draft.data_dir)}-{secrets.token_hex(4)}")


def _socket_home(draft: Place) -> Path:
    """A private folder with a path short enough for sockets, behind a link if need be."""
    link = draft.sockets
    if not link.is_symlink():
        short = len(os.fsencode(draft.data_dir / "sockets")) <= _LONGEST_SOCKET_FOLDER
        if short and can_enter(draft.account, draft.data_dir):
            link.mkdir(exist_ok=True)
            draft.own(link)
            return link
        name = f"hivelog-{os.geteuid()}-{_key(draft.data_dir)}"
        _link(link, (root_state() if draft.account else _runtime_dir()) / name)
    home = link.readlink()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_foreign(home, draft.account)
    draft.own(home)
    return home


def _link(link: Path, target: Path) -> Path:
    """Link once: with two processes at it, the first one's choice counts for both."""
    try:
        link.symlink_to(target)
    except FileExistsError:
        return link.readlink()
    return target


def _refuse_foreign(folder: Path, account: Account | None) -> None:
    """A folder in /tmp may have been put there by somebody else, before us."""
    found = folder.lstat()
    owners = {os.geteuid()} | ({account.uid} if account else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise EmbeddedError(f"{folder} belongs to somebody else; remove it and start again")


def _runtime_dir() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir())


def root_state() -> Path:
    """Root's own place for what an unprivileged account must reach."""
    ROOT_STATE.mkdir(parents=True, exist_ok=True)
    ROOT_STATE.chmod(0o755)
    return ROOT_STATE


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
