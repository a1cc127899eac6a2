"""The figures of queues: what waits, what runs, how fast and how well.

Depths come from the log's own marks and are exact at `position`. Counts, rates and times come from the
projection, which has folded the log up to `projected`; a reader that must have both at one position waits
for the projection first (`Runner.wait_for`).
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection
from .day import NOTHING, Day
from .moments import Moment


class QueueStats(Struct, frozen=True):
    """One queue now. Rates and utilization: see each; null where nothing was measured."""

    pending: int  # waiting for their time
    queued: int  # ready
    depth: int  # both
    processing: int
    completed_today: int  # since midnight UTC
    failed_today: int  # failed or expired
    success_rate: float | None  # percent of what ended in 24 h; cancelled jobs are not asked
    error_rate: float | None
    avg_processing_time: float | None  # seconds, of attempts that completed in 24 h
    p50: float | None
    p95: float | None
    p99: float | None
    throughput: float  # ends a second, over 60 s
    per_minute: int
    per_hour: int
    oldest_waiting_seconds: float | None
    paused: bool
    workers: int  # live sessions that serve the queue
    capacity: int
    utilization: float | None  # of the capacity, 0 to 1


class Snapshot(Struct, frozen=True):
    """All asked-for queues at one instant. `now` in ms since 1970."""

    position: int
    projected: int
    now: int
    queues: dict[str, QueueStats]


class Throughput(Struct, frozen=True):
    """What ended in the UTC hour or day that runs: completed counts failures too."""

    completed: int
    success: int
    failed: int
    success_rate: float


async def queue_stats(
    connection: Connection,
    queue: int | None = None,
    moment: Moment | None = None,
    *,
    day: Day | None = None,
) -> Snapshot | None:
    """The stats of a queue by its number, or of all queues, now or at a moment; None when there is none.

    `day` is what the process remembers: with it all queues cost what happened since, not the whole day.
    """
    if moment is not None:
        values = {"queue": queue} | moment.parameters
        return _snapshot(await _rows(connection, "queue_stats_at", values))
    kept = NOTHING if day is None or queue is not None else day.kept
    rows = await _rows(connection, "queue_stats", {"queue": queue} | kept.parameters)
    if rows and day is not None and queue is None:
        if not kept.fits(rows[0][1], rows[0][2], rows[0][-1]):
            rows = await _rows(connection, "queue_stats", {"queue": queue} | NOTHING.parameters)
        await day.renew(connection, kept, rows[0][1])
    return _snapshot([row[:-1] for row in rows])


async def _rows(connection: Connection, query: str, values: dict[str, Any]) -> list[TupleRow]:
    return await (await connection.execute(sql.load(query), values)).fetchall()


def _snapshot(rows: list[TupleRow]) -> Snapshot | None:
    if not rows:
        return None
    position, now, projected = rows[0][:3]
    queues = {row[3]: QueueStats(*row[4:]) for row in rows}
    return Snapshot(position, projected, milliseconds(now), queues)


async def throughput(
    connection: Connection, queue: int, timeframe: Literal["hour", "day"] = "hour"
) -> Throughput:
    """As the mission counts it: by the clock's hour or day, not by the last 60 minutes."""
    values = {"queue": queue, "unit": timeframe}
    row = await (await connection.execute(sql.load("queue_throughput"), values)).fetchone()
    assert row is not None
    return Throughput(*row)
