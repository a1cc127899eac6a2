"""Connections: a pool for reads and small writes, and the settings every connection gets."""

from __future__ import annotations

from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Connection: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]

# Nothing of ours takes long; what does is stuck, and must not hold a lock or a snapshot for ever.
_SETTINGS = (
    "select set_config('lock_timeout', '10s', false), set_config('statement_timeout', '30s', false),"
    " set_config('idle_in_transaction_session_timeout', '30s', false), set_config('jit', 'off', false),"
    " set_config('timezone', 'UTC', false)"
)


async def configure(connection: Connection) -> None:
    """Autocommit, prepared statements, timeouts."""
    await connection.set_autocommit(True)
    connection.prepare_threshold = 2
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


async def connect(url: str, application_name: str) -> Connection:
    """One configured connection of its own (append, heartbeats, LISTEN)."""
    connection: Connection = await AsyncConnection.connect(conninfo(url, application_name))
    await configure(connection)
    return connection


def make_pool(url: str, *, name: str = "hivelog", size: int = 4, **options: Any) -> Pool:
    """A pool for reads; open it with `await pool.open()`. Waits at most 5 s for a connection."""
    return AsyncConnectionPool(
        conninfo(url, name),
        min_size=0,
        max_size=size,
        open=False,
        configure=configure,
        timeout=5,
        max_idle=120,
        reconnect_timeout=2,
        **options,
    )
