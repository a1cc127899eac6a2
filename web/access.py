"""Tokens, one-time codes and sessions as the database keeps them: hashes only.

A secret is 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog
from msgspec import Struct

from .. import sql
from ..events.pool import Pool
from .callers import Caller, person

_log = structlog.get_logger(__name__)

CODE_MINUTES: Final = 60
IDLE_HOURS: Final = 12
SESSION_DAYS: Final = 7
TOKEN_FILE: Final = "admin-token"  # noqa: S105 - a file's name


class Login(Struct, frozen=True):
    """A new session: what the cookie holds, and who it is."""

    secret: str
    caller: Caller


def digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


class Access:
    """Reads and writes who may come in."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def token(self, hashed: bytes) -> Caller | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("access_token"), {"hash": hashed})
            row = await cursor.fetchone()
        if row is None:
            return None
        name, scopes, queues = row
        return Caller(f"token:{name}", frozenset(scopes), None if queues is None else frozenset(queues))

    async def session(self, hashed: bytes) -> Caller | None:
        """Whose session it is; using it keeps it alive (written at most once a minute)."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.load("login_session"), {"hash": hashed, "idle_hours": IDLE_HOURS}
            )
            row = await cursor.fetchone()
        return None if row is None else person(row[0], row[1], ambient=True, session=hashed)

    async def redeem(self, code: str) -> tuple[str, str] | None:
        """(name, role) of a one-time code, which is used up by this."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("login_redeem"), {"hash": digest(code)})
            row = await cursor.fetchone()
        return None if row is None else (row[0], row[1])

    async def open_session(self, name: str, role: str) -> Login:
        """A session that never existed before: a cookie set by somebody else is worth nothing."""
        secret = secrets.token_urlsafe(32)
        hashed = digest(secret)
        async with self._pool.connection() as connection:
            await connection.execute(
                sql.load("login_open"),
                {"hash": hashed, "name": name, "role": role, "idle_hours": IDLE_HOURS, "days": SESSION_DAYS},
            )
        return Login(secret, person(name, role, ambient=True, session=hashed))

    async def close_session(self, hashed: bytes) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("delete from hivelog.logins where hash = %s", (hashed,))

    async def new_code(self, name: str, role: str) -> str:
        """A one-time code, good for an hour."""
        code = secrets.token_urlsafe(32)
        async with self._pool.connection() as connection:
            await connection.execute(
                sql.load("login_code"),
                {"hash": digest(code), "name": name, "role": role, "minutes": CODE_MINUTES},
            )
        return code

    async def first_token(self, data: Path) -> str | None:
        """Make the first admin token, unless there is one. Answers a one-time code, or None.

        The token itself goes to a file that only its owner reads: logs travel too far.
        """
        token = secrets.token_urlsafe(32)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.load("access_first"), {"id": uuid4(), "hash": digest(token)}
            )
            if await cursor.fetchone() is None:
                return None
        _write_secret(data / TOKEN_FILE, token)
        return await self.new_code("admin", "admin")


def _write_secret(path: Path, secret: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret + "\n")
    except OSError as error:
        _log.warning("admin_token_not_written", path=str(path), error=error.strerror)
