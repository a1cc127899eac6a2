"""Waiting for a PostgreSQL that is not there yet, at the start of a process.

    services = await when_there({"DATABASE_URL": url}, attempt)

Waited for is a server that nobody reaches, that starts, stops or recovers, that may only read, or has no
connection left.
One that answers and will not have us (password, database, TLS) is an error at once: waiting would not help.
libpq tells no SQLSTATE of a failed connection, and texts may be in any language. So the server is asked once
more, just for its greeting (not by PQping, which would stop the whole process until it is answered).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from .errors import DatabaseUnavailable, Refused
from .pool import Connection, conninfo

_log = structlog.get_logger(__name__)
T = TypeVar("T")

_FIRST: Final = 0.25  # seconds before the second look, then twice as long each time
_LONGEST: Final = 5.0
_TRIES: Final = 3  # in a row with a database that answers each look, and yet goes away in between
_AWAY: Final = (DatabaseUnavailable, PoolTimeout, psycopg.OperationalError)
_GREETING: Final = 3.0  # seconds
_LONGEST_GREETING: Final = 4096  # bytes
# Classes of SQLSTATEs that pass: no resources, and an operator's intervention (a start, a stop).
_FOR_NOW: Final = (b"53", b"57")
# The server is there, and somebody must leave before we may come.
_FULL: Final = ("too many", "remaining connection slots")
# No answer, and there never will be one: what is wrong is here, or in the server's configuration.
_HOPELESS: Final = ("does not support SSL", "certificate", "private key file")


async def when_there(
    urls: Mapping[str, str],
    attempt: Callable[[], Awaitable[T]],
    *,
    waiting: Callable[[], None] = lambda: None,
) -> T:
    """What `attempt` comes to, as soon as all of these databases (by the name of their setting) are there.

    `waiting` is called when one is not. Raises Refused when one will not have us, and what `attempt` raises.
    """
    for left in reversed(range(_TRIES)):
        await _wait(urls, waiting)
        try:
            return await attempt()
        except _AWAY as error:
            if not left:
                raise
            _log.warning("start_interrupted", why=_line(error))
            await asyncio.sleep(_FIRST)
    raise AssertionError("not reached")


async def _wait(urls: Mapping[str, str], waiting: Callable[[], None]) -> None:
    began, pause = time.monotonic(), _FIRST
    while (absent := await _absent(urls)) is not None:
        waiting()
        again = pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        _log.warning(
            "waiting_for_postgresql", where=place(urls[absent[0]]), why=absent[1], again_in=round(again, 1),
            check=f"is PostgreSQL running there, and is {absent[0]} right?",
        )  # fmt: skip
        await asyncio.sleep(again)
        pause = min(2 * pause, _LONGEST)
    if pause != _FIRST:
        _log.info("postgresql_is_there", after_seconds=round(time.monotonic() - began, 1))


async def _absent(urls: Mapping[str, str]) -> tuple[str, str] | None:
    """The first that is away, and why."""
    for setting, url in urls.items():
        if (why := await _away(setting, url)) is not None:
            return setting, why
    return None


async def _away(setting: str, url: str) -> str | None:
    """Why it is away; None: it takes us. Raises Refused."""
    for last in (False, True):
        try:
            async with await Connection.connect(conninfo(url, "hivelog start")) as connection:
                return None if connection.writes else "it takes no writes: a standby, or told to only read"
        except psycopg.OperationalError as error:
            if await is_away(error):
                return _line(error)
            if last:  # not only because it came between the two questions
                raise Refused(setting, place(url), _line(error)) from error
    return None


async def is_away(error: psycopg.OperationalError) -> bool:
    """Whether it makes sense to wait, after a connection has failed so."""
    said, connection = str(error), error.pgconn
    if any(word in said for word in _FULL):
        return True
    if connection is None:  # not even begun: the name is not known, or nobody answered in time
        return True
    if any(word in said for word in _HOPELESS) or connection.used_password or connection.needs_password:
        return False
    host, port = (connection.hostaddr or connection.host).decode(), int(connection.port or b"5432")
    return not await _takes_connections(host, port, connection.user)


async def _takes_connections(host: str, port: int, user: bytes) -> bool:
    """Whether a server begins to authenticate this user, or refuses for a reason that will last."""
    try:
        async with asyncio.timeout(_GREETING):
            kind, body = await _greeting(host, port, user)
    except (OSError, asyncio.IncompleteReadError):  # a time-out is one of the former
        return False
    fields = (field for field in body.split(b"\0") if field)
    sqlstate = next((field[1:] for field in fields if field.startswith(b"C")), b"")
    return kind == b"R" or (kind == b"E" and sqlstate[:2] not in _FOR_NOW)


async def _greeting(host: str, port: int, user: bytes) -> tuple[bytes, bytes]:
    """Type and body of the first message."""
    if host.startswith(("/", "@")):
        reader, writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}".replace("@", "\0"))
    else:
        reader, writer = await asyncio.open_connection(host, port)
    try:
        hello = (3 << 16).to_bytes(4, "big") + b"user\0" + user + b"\0\0"
        writer.write((len(hello) + 4).to_bytes(4, "big") + hello)
        kind, size = await reader.readexactly(1), int.from_bytes(await reader.readexactly(4), "big")
        return kind, await reader.readexactly(min(size, _LONGEST_GREETING) - 4)
    finally:
        writer.close()


def place(url: str) -> str:
    """Where a URL points to, without its password."""
    parts = conninfo_to_dict(url)
    host, port = parts.get("host") or parts.get("hostaddr") or "local", parts.get("port") or 5432
    return f"{parts.get('dbname') or parts.get('user') or ''} at {host}:{port}"


def _line(error: Exception) -> str:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(said[0].split())[:500]
