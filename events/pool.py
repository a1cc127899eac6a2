"""Connections: a pool for reads and small writes, and the settings every connection gets."""

from __future__ import annotations

import time
from typing import Any, Final

from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from .silence import LONGEST, Connection

__all__ = ["Connection", "Pool", "configure", "connect", "conninfo", "make_pool"]


class Pool(AsyncConnectionPool[Connection]):
    """One that waits for an absent database once, not once a question.

    A request asks several times, and whoever must answer within two seconds cannot wait out each. After a
    wait in vain, and connecting having failed, the next callers get what is there at once, or nothing.

    Connections of a time in which the server only read are not found out one by one, each at the cost of a
    request: once a write was refused, those that only read are replaced before anybody gets them. That ends
    with the first new one that only reads as well, until the next write is refused.
    """

    _away_until = float("-inf")
    _failed_before = 0  # attempts to connect, when a connection was got last
    _reader = float("-inf")  # birth of the youngest that is known to only read

    async def getconn(self, timeout: float | None = None) -> Connection:
        """Raises PoolTimeout."""
        away = time.monotonic() < self._away_until
        try:
            connection = await self._current(_AT_ONCE if away else timeout)
        except PoolTimeout:
            if self._failures() > self._failed_before:
                self._away_until = time.monotonic() + _AWAY
            raise
        self._away_until, self._failed_before = float("-inf"), self._failures()
        return connection

    async def _current(self, timeout: float | None) -> Connection:
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        connection = await super().getconn(timeout)
        if not self._outdated(connection):
            return connection
        await connection.close()
        await self.putconn(connection)  # which makes another in its place
        return await self._younger(until)

    async def _younger(self, until: float) -> Connection:
        """The others wait beside: should the new one only read too, they are as good."""
        beside = []
        try:
            while self._outdated(connection := await super().getconn(until - time.monotonic())):
                beside.append(connection)
            return connection
        finally:
            for other in beside:
                await self.putconn(other)

    def _outdated(self, connection: Connection) -> bool:
        """It only reads, as all that are known, and somebody wanted to write since: a new one may."""
        if self._reader >= Connection.refused or connection.writes:
            return False
        self._reader = max(self._reader, connection.born)
        return self._reader < Connection.refused

    def _failures(self) -> int:
        return self.get_stats().get("connections_errors", 0)


_WAIT: Final = 1.5  # seconds
_AT_ONCE: Final = 0.05
_AWAY: Final = 2.0

# Nothing of ours takes long; what does is stuck, and must not hold a lock or a snapshot for ever.
_SETTINGS = (
    "select set_config('lock_timeout', '10s', false), set_config('statement_timeout', '30s', false),"
    " set_config('idle_in_transaction_session_timeout', '30s', false), set_config('jit', 'off', false),"
    " set_config('timezone', 'UTC', false), set_config('client_encoding', 'UTF8', false)"
)


async def configure(connection: Connection) -> None:
    """Autocommit, prepared statements, timeouts."""
    await connection.set_autocommit(True)
    connection.prepare_threshold = 2
    connection.born = time.monotonic()
    await connection.execute(_SETTINGS)


def conninfo(url: str, application_name: str) -> str:
    """Connection string with a bounded connect and keepalives that notice a dead peer in seconds."""
    return make_conninfo(
        url,
        application_name=application_name,
        connect_timeout=5,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=15000,
    )


async def connect(url: str, application_name: str, *, silence: float = LONGEST) -> Connection:
    """One configured connection of its own (append, heartbeats, LISTEN). `silence`: seconds."""
    connection = await Connection.connect(conninfo(url, application_name))
    connection.silence = silence
    await configure(connection)
    return connection


def make_pool(url: str, *, name: str = "hivelog", size: int = 4, **options: Any) -> Pool:
    """A pool for reads; open it with `await pool.open()`. Waits at most 1.5 s for a connection: whoever
    asks while the database is away is told within two."""
    return Pool(
        conninfo(url, name),
        connection_class=Connection,
        min_size=0,
        max_size=size,
        open=False,
        configure=configure,
        timeout=_WAIT,
        max_idle=120,
        reconnect_timeout=2,
        **options,
    )
