"""`/workers/status` of a moment of the past. Heartbeats, memory and supervisors are not in the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from .. import sql
from ..events import times
from ..events.log import milliseconds
from ..events.queue import QueueConfig
from ..events.types import Scaled
from ..projections.moments import Moment
from .past import QueueThen, queues_then
from .services import Services


class WorkerThen(Struct):
    """A session that lived; `jobs` are what it ran, at most 100."""

    session: str
    name: str
    host: str
    pid: int
    queues: list[str]
    types: list[str]
    slots: int
    busy: int
    jobs: list[dict[str, Any]]
    started_at: str


class ScalingThen(Struct):
    """How many worker processes a queue should have had."""

    queue: str
    desired: int
    min: int
    max: int
    pinned: bool
    reason: str | None


class WorkersThen(Struct):
    """`active` are all: whether one was silent is not known any more."""

    workers: list[WorkerThen]
    active: int
    total: int
    scaling: list[ScalingThen]
    position: int
    timestamp: str


async def workers_then(services: Services, moment: Moment) -> WorkersThen:
    """All sessions that lived at the moment."""
    async with services.pool.connection() as connection:
        rows = await (await connection.execute(sql.load("workers_at"), moment.parameters)).fetchall()
    workers = [_worker(row) for row in rows]
    scaling = [_scaling(queue) for queue in await queues_then(services, moment)]
    return WorkersThen(
        workers, len(workers), len(workers), scaling, moment.position, times.to_text(moment.now)
    )


def _worker(row: Any) -> WorkerThen:
    session, name, host, pid, queues, types, slots, busy, jobs, started_at = row
    at = times.to_text(milliseconds(started_at))
    return WorkerThen(str(session), name, host, pid, queues, types, slots, busy, jobs, at)


def _scaling(queue: QueueThen) -> ScalingThen:
    bounds = msgspec.convert(queue.config, QueueConfig).scaling
    scaled = None if queue.scaled is None else msgspec.convert(queue.scaled, Scaled)
    if scaled is None:
        return ScalingThen(queue.name, bounds.min, bounds.min, bounds.max, False, None)
    return ScalingThen(queue.name, scaled.workers, bounds.min, bounds.max, scaled.pinned, scaled.reason)


def narrowed_workers_then(status: WorkersThen, queues: Iterable[str] | None) -> WorkersThen:
    """The same for some queues only."""
    if queues is None:
        return status
    wanted = set(queues)
    workers = [worker for worker in status.workers if wanted & set(worker.queues)]
    scaling = [row for row in status.scaling if row.queue in wanted]
    return WorkersThen(workers, len(workers), len(workers), scaling, status.position, status.timestamp)
