"""Moments of the past: which position of the log a position or a time names, and what the clock said then.

    moment = await resolve(connection, position=4711)

What is asked about a moment is answered from the log up to its position, with its time as now.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection
from .checkpoint import checkpoints

# What the answers about the past are read from.
READ = frozenset({"jobs", "failures", "rounds", "workers"})


class OutOfLog(ValueError):
    """The moment is not in the log: the future, or a position that it has not reached."""


class PastRetention(ValueError):
    """The log begins later. `edge` is its first position."""

    def __init__(self, edge: int) -> None:
        super().__init__(f"the log is kept from position {edge} on")
        self.edge = edge


class Moment(Struct, frozen=True):
    """Everything up to `position` had happened, and the time was `now` (ms since 1970)."""

    position: int
    now: int

    @property
    def parameters(self) -> dict[str, Any]:
        return {"position": self.position, "now": datetime.fromtimestamp(self.now / 1000, UTC)}


async def resolve(connection: Connection, *, position: int | None = None, at: int | None = None) -> Moment:
    """The moment of a position, or of a time in ms since 1970. Raises OutOfLog, PastRetention."""
    moment = None if at is None else datetime.fromtimestamp(at / 1000, UTC)
    cursor = await connection.execute(sql.load("moment"), {"position": position, "at": moment})
    row = await cursor.fetchone()
    assert row is not None
    head, present, edge, gone, found, now = row
    if position is not None and position > head:
        raise OutOfLog(f"is past the head of the log, {head}")
    if at is not None and at > milliseconds(present):
        raise OutOfLog("is in the future")
    if gone:
        raise PastRetention(edge)
    return Moment(found, milliseconds(now))


async def folded(connection: Connection, moment: Moment) -> bool:
    """Whether what answers are read from has reached the moment."""
    rows = await checkpoints(connection)
    return all(each.position >= moment.position for each in rows if each.live and each.name in READ)
