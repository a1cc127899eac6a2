"""Compares what Redis holds with what the log says at the same position.

Exact, without counting: a queue's last mark at or before the checkpoint is its depth there, and Redis
holds as many ids, waiting or popped. A difference of a moment is normal (an expired job that nobody has
ended yet was dropped already); one that stays means that keys were evicted or changed by hand.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .. import sql
from ..events.pool import Pool
from .connection import Redis


class Difference(Struct, frozen=True):
    """One figure of one queue: `ready`, `running`, `paused` or `max_workers`."""

    queue: int
    what: str
    redis: int
    log: int


async def audit(redis: Redis, pool: Pool) -> list[Difference] | None:
    """All differences at the checkpoint; None if there is none to compare (flushed, or another epoch)."""
    epoch, position, *held = await redis.run("audit")
    if position < 0:
        return None
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.load("audit_marks"), {"position": position})
        rows = await cursor.fetchall()
    if rows[0][1] != epoch or rows[0][0] < position:
        return None
    return compare(held, rows, settings_too=rows[0][0] == position)


def compare(held: list[Any], rows: list[Any], *, settings_too: bool) -> list[Difference]:
    """Pure: rows of scripts/audit.lua against rows of sql/queries/audit_marks.sql.

    Settings have no history in a table, so they are compared only where Redis is at the head.
    """
    found: dict[int, Any] = {row[0]: row for row in held}
    differences = []
    for _, _, queue, ready, running, paused, limit in rows:
        if queue is None:
            continue
        _, waiting, popped, *state = found.get(queue, (queue, 0, 0, b"", b"", b""))
        pairs = [("ready", waiting + popped, ready), ("running", _number(state[0]), running)]
        if settings_too:
            pairs.append(("paused", _number(state[1]), int(paused)))
            pairs.append(("max_workers", _number(state[2]), limit or 0))
        differences += [Difference(queue, *pair) for pair in pairs if pair[1] != pair[2]]
    return differences


def _number(text: bytes) -> int:
    """Missing and empty are 0: not paused, nothing runs, no limit."""
    return int(text) if text else 0
