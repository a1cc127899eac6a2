"""Statistics of all queues and the state of all workers, for the feed, the snapshot and /workers/status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from ..broker.scales import Scale, Supervisor, running, scales, supervisors
from ..broker.supervisor_restart import Crashing
from ..events import times
from ..events.read import head
from ..projections.moments import Moment
from ..projections.stats import QueueStats, queue_stats
from ..projections.workers import Worker, workers
from .services import Services


class AllStats(Struct):
    """Times in ms since 1970."""

    position: int
    timestamp: int
    queues: dict[str, QueueStats]


class WorkerRow(Struct):
    """A living session; `jobs` are what it runs, at most 100. Stale: silent for some heartbeats."""

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
    last_heartbeat: str | None
    memory_mib: int | None
    loop_blocked: int | None  # times its event loop stood still
    stale: bool


class SupervisorRow(Struct):
    """A living supervisor and the process ids of the workers that it keeps, by queue. `crashes`: queues whose
    workers end again and again, with the reason and the seconds until the next is started."""

    name: str
    host: str
    pid: int
    processes: dict[str, list[int]]
    crashes: dict[str, Crashing]


class ScalingRow(Struct):
    """A queue's worker processes, on all hosts together. Pinned: set by hand, until it is given back."""

    queue: str
    desired: int
    running: int
    min: int
    max: int
    pinned: bool
    reason: str | None


class WorkerStatus(Struct):
    """`active` are those that are not stale."""

    workers: list[WorkerRow]
    active: int
    total: int
    scaling: list[ScalingRow]
    supervisors: list[SupervisorRow]


class WorkersNow(Struct):
    position: int
    timestamp: int
    data: dict[str, Any]


async def stats_of_all(services: Services, moment: Moment | None = None) -> AllStats:
    async with services.pool.connection() as connection:
        found = await queue_stats(connection, None, moment, day=services.day)
        if found is None and moment is not None:
            return AllStats(moment.position, moment.now, {})
        if found is None:
            now = await head(connection)
            return AllStats(now.position, now.recorded_at, {})
    return AllStats(found.position, found.now, found.queues)


async def workers_now(services: Services) -> WorkersNow:
    """All living sessions, as `/workers/status` gives them."""
    async with services.pool.connection() as connection:
        now = await head(connection)
        rows = [_row(worker) for worker in await workers(connection)]
        among = await supervisors(connection)
        scaling = [_scaling(scale, among) for scale in await scales(connection)]
    kept = [SupervisorRow(each.name, each.host, each.pid, each.processes, each.crashes) for each in among]
    status = WorkerStatus(rows, sum(not row.stale for row in rows), len(rows), scaling, kept)
    at = await services.engine.clock.now()
    return WorkersNow(now.position, at, msgspec.to_builtins(status))


def _row(worker: Worker) -> WorkerRow:
    beat = worker.last_heartbeat
    return WorkerRow(
        worker.session, worker.name, worker.host, worker.pid, worker.queues, worker.types, worker.slots,
        max(worker.busy, len(worker.jobs)), worker.jobs, times.to_text(worker.started_at),
        None if beat is None else times.to_text(beat), worker.memory_mib, worker.loop_blocked,
        worker.stale,
    )  # fmt: skip


def _scaling(scale: Scale, among: list[Supervisor]) -> ScalingRow:
    bounds, scaled = scale.config.scaling, scale.scaled
    return ScalingRow(
        scale.queue, scale.desired, running(scale.queue, among), bounds.min, bounds.max,
        scaled is not None and scaled.pinned, None if scaled is None else scaled.reason,
    )  # fmt: skip


def _only(by_queue: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    return {queue: value for queue, value in by_queue.items() if queue in wanted}


def narrowed_workers(status: dict[str, Any], queues: Iterable[str] | None) -> dict[str, Any]:
    """`/workers/status` for some queues only."""
    if queues is None:
        return status
    wanted = set(queues)
    workers = [worker for worker in status["workers"] if wanted & set(worker["queues"])]
    active = sum(not worker["stale"] for worker in workers)
    scaling = [row for row in status["scaling"] if row["queue"] in wanted]
    supervisors = [
        {**row, **{kind: _only(row[kind], wanted) for kind in ("processes", "crashes")}}
        for row in status["supervisors"]
    ]
    return {
        "workers": workers, "active": active, "total": len(workers), "scaling": scaling,
        "supervisors": supervisors,
    }  # fmt: skip
