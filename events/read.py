"""Reading the log: pages after a position, one stream, the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from .log import milliseconds
from .pool import Connection

_AFTER = sql.load("read_after")
_STREAM = sql.load("read_stream")
_HEAD = sql.load("head")


class Event(Struct, gc=False, frozen=True):
    """A row of the log. Times in ms since 1970; queue and actor are dictionary ids; data is JSON-like."""

    position: int
    recorded_at: int
    stream: bytes
    version: int
    type: str
    actor: int
    queue: int | None
    attempt: int | None
    body_size: int | None
    correlation: str | None
    data: dict[str, Any] | None


class Head(Struct, gc=False, frozen=True):
    """The end of the log: its last position, epoch and time."""

    position: int
    epoch: int
    recorded_at: int


def _event(row: TupleRow) -> Event:
    return Event(row[0], milliseconds(row[1]), row[2].bytes, *row[3:])


def _events(rows: Sequence[TupleRow]) -> list[Event]:
    return [_event(row) for row in rows]


async def read(connection: Connection, after: int, limit: int = 1000) -> list[Event]:
    """Events with position > after, in order. Positions have no holes: a short page is the end."""
    cursor = await connection.execute(_AFTER, {"after": after, "limit": limit}, binary=True)
    return _events(await cursor.fetchall())


async def read_stream(connection: Connection, stream: bytes, since: int = 0) -> list[Event]:
    """All events of one stream (a job's story) from a position on, oldest first."""
    values = {"stream": UUID(bytes=stream), "since": since}
    cursor = await connection.execute(_STREAM, values, binary=True)
    return _events(await cursor.fetchall())


async def head(connection: Connection) -> Head:
    cursor = await connection.execute(_HEAD)
    row = await cursor.fetchone()
    assert row is not None
    return Head(row[0], row[1], milliseconds(row[2]))
