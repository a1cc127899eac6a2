"""Partitions of the log, made ahead of its head by whichever process looks first."""

from __future__ import annotations

import asyncio

import psycopg
from msgspec import Struct

from .. import sql
from .pool import Connection

AHEAD = 2
_ATTEMPTS = 20
_PAUSE = 0.1  # seconds, longer with each attempt


class Partitions(Struct, frozen=True):
    """`ahead`: partitions wholly beyond the head. `default_rows`: events no partition took (to 1,000)."""

    ahead: int
    default_rows: int
    total: int


async def status(conn: Connection) -> Partitions:
    """How far the partitions reach. Health is red when none is ahead."""
    cursor = await conn.execute(sql.load("partition_status"))
    row = await cursor.fetchone()
    assert row is not None
    return Partitions(*row)


async def ensure(conn: Connection, ahead: int = AHEAD) -> int:
    """Make what is missing; answers how many. `conn` in autocommit mode; safe beside running appends.

    Gives way and tries again while readers hold the default partition; raises
    psycopg.errors.LockNotAvailable when they never let go.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            cursor = await conn.execute("select hivelog.ensure_partitions(%s)", (ahead,))
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(_PAUSE * attempt)
    raise AssertionError("unreachable")
