"""Where the first key comes from when none was given: a file under HIVELOG_DATA, written once.

Whether one may be made is the database's to say: where anything was encrypted before, a fresh key
would only hide that the right one is missing.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

import structlog

from .. import sql
from .keyring import KEY, KeyMissing, Keyring
from .pool import Connection

_log = structlog.get_logger(__name__)

# Held while a first key is made, so that two hosts do not make one each.
_LOCK = 6_620_113_954_027_351


def key_path(data: Path) -> Path:
    """Of the file with the keys, one a line, the encrypting one first."""
    return data / "keys" / "messaging.key"


async def open_keyring(conn: Connection, keys: Sequence[str], *, enabled: bool, data: Path) -> Keyring | None:
    """The numbered keyring of this process, or None where nothing is encrypted here.

    `keys` as in MESSAGING_ENCRYPTION_KEY; without any, those of the file under `data`. `conn` must
    be in autocommit mode. Raises KeyMissing when encryption is enabled, no key is here, and the
    database knows one already.
    """
    keys = keys or read_keys(key_path(data))
    if not keys and enabled:
        keys = await _first_key(conn, key_path(data))
    if not keys:
        return None
    ring = Keyring.from_settings(keys)
    await ring.number(conn)
    return ring


def read_keys(path: Path) -> list[str]:
    """The keys in a key file; none if there is no such file."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


async def _first_key(conn: Connection, path: Path) -> list[str]:
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        if keys := read_keys(path):  # another process of this host was faster
            return keys
        cursor = await conn.execute(sql.load("known_keks"))
        if known := [row[0] for row in await cursor.fetchall()]:
            raise KeyMissing(
                f"encryption is enabled, this database was encrypted with the key {known[0]}, and "
                f"neither MESSAGING_ENCRYPTION_KEY nor {path} has it: bring that key here"
            )
        key = write_key(path)
        await Keyring.from_settings([key]).number(conn)
        return [key]


_BACK_UP = "encryption key written: back this file up, without it no payload can be read again"


def write_key(path: Path, *, why: str = _BACK_UP) -> str:
    """Make a key and its file, readable by this user alone; `why` is logged. Raises FileExistsError."""
    key = _new_key()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # On disk before anything is made with it.
    _write_new(path, [key])
    _log.warning(why, path=str(path))
    return key


def prepend_key(path: Path) -> str:
    """Make a key and put it first in the file; the others stay behind it. All or nothing."""
    key = _new_key()
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    _write_new(beside, [key, *read_keys(path)])
    beside.replace(path)
    return key


def _new_key() -> str:
    return urlsafe_b64encode(os.urandom(KEY)).decode()


def _write_new(path: Path, keys: Sequence[str]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{key}\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
