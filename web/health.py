"""Health with evidence. Strangers see statuses; those who may read see why.

Only unhealthy makes 503. A waiting type that nobody runs, a lag, a queue without workers are warnings:
a probe that restarts the server would not help.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from .. import sql
from ..events import outbox, partitions, snapshots, times
from ..events.retained import retained
from .answers import Answer, json
from .dispatch import ANONYMOUS
from .endpoint import Endpoint
from .errors import database_is_away
from .requests import Call
from .services import Services
from .summaries import stats_of_all, workers_now

Component = dict[str, Any]

_PATIENCE: Final = 3.0
_BEHIND: Final = 10_000  # positions a projection may lag before it is a warning
_OUTBOX_OLD: Final = 30.0
# Seconds that the oldest event without a seal may have waited.
_SEALED_LATE: Final = 10.0
_UNSEALED: Final = 120.0


def _healthy(**evidence: Any) -> Component:
    return {"status": "healthy", **evidence}


def _warning(why: str, **evidence: Any) -> Component:
    return {"status": "warning", "reason": why, **evidence}


def _unhealthy(why: str, **evidence: Any) -> Component:
    return {"status": "unhealthy", "error": why, **evidence}


async def redis(services: Services) -> Component:
    engine, lag = services.engine, services.engine.feeder.lag
    evidence = {"lag_seconds": round(lag.seconds, 3), "checkpoint": lag.checkpoint}
    try:
        await engine.redis.command(b"PING")
    except Exception:
        # Nothing is lost without it: claims go to PostgreSQL. Slower, so not healthy, and red to see.
        return _unhealthy("Redis does not answer; claims are made by SQL until it is back", **evidence)
    if not engine.feeder.available:
        return _warning("Redis is being rebuilt from the log; claims are made by SQL", **evidence)
    return _healthy(**evidence)


async def database(services: Services) -> Component:
    if not services.appender.available:
        return _unhealthy("the log cannot be written now")
    async with services.pool.connection() as connection:
        if not connection.writes:
            return _unhealthy("it takes no writes: a standby, or told to only read")
        row = await (await connection.execute(sql.load("head"))).fetchone()
        ahead = await partitions.status(connection)
        waiting = await outbox.status(connection)
        old = await snapshots.held(connection)
        kept = await retained(connection)
    days = (await services.engine.configuration.current()).retention_days
    assert row is not None
    evidence = {
        "position": row[0], "epoch": row[1], "partitions_ahead": ahead.ahead,
        "outbox_waiting": waiting.waiting, "outbox_refused": waiting.refused,
        "old_snapshots": [structs.asdict(each) for each in old],
        "retention": {"days": days, "edge": kept.edge, "oldest_seconds": round(kept.oldest_seconds)},
    }  # fmt: skip
    if ahead.ahead == 0:
        return _unhealthy("no partition of the log is ready ahead", **evidence)
    if waiting.refused:
        return _warning("jobs enqueued from SQL were refused; see hivelog.outbox_refused", **evidence)
    if (waiting.oldest_seconds or 0) > _OUTBOX_OLD:
        return _warning("jobs enqueued from SQL wait for the relay", **evidence)
    if kept.overdue(days):
        why = f"the log holds more than {days} days: `hivelog retention --dry-run` says why"
        return _warning(why, **evidence)
    if old:
        return _warning(f"{old[0]} keeps dead rows: claims by SQL get slow behind it", **evidence)
    return _healthy(**evidence)


async def workers(services: Services) -> Component:
    status = (await workers_now(services)).data
    evidence = {"active_workers": status["active"], "total_workers": status["total"]}
    if not status["active"]:
        return _warning("no worker is alive", **evidence)
    alone = await _unserved(services)
    if alone:
        return _warning("no live worker runs these waiting types", unserved=alone, **evidence)
    return _healthy(**evidence)


async def _unserved(services: Services) -> list[dict[str, Any]]:
    async with services.pool.connection() as connection:
        rows = await (await connection.execute(sql.load("unserved_types"))).fetchall()
    return [{"queue": queue, "type": kind} for queue, kind in rows]


async def queues(services: Services) -> Component:
    found = await stats_of_all(services)
    kept = ("pending", "queued", "depth", "processing", "paused", "workers", "oldest_waiting_seconds")
    evidence = {
        name: {field: getattr(stats, field) for field in kept} for name, stats in found.queues.items()
    }
    alone = sorted(n for n, s in found.queues.items() if s.queued and not s.paused and not s.workers)
    if alone:
        return _warning(f"jobs wait without a worker: {', '.join(alone)}", queues=evidence)
    return _healthy(queues=evidence)


async def projections(services: Services) -> Component:
    rows = await services.projections.status()
    evidence = {row.name: {"position": row.position, "behind": row.behind} for row in rows}
    stopped = sorted(row.name for row in rows if row.error)
    if stopped:
        return _unhealthy(f"stopped by an error: {', '.join(stopped)}", projections=evidence)
    late = sorted(row.name for row in rows if row.behind > _BEHIND)
    if late:
        return _warning(f"far behind the log: {', '.join(late)}", projections=evidence)
    return _healthy(projections=evidence)


async def leader(services: Services) -> Component:
    async with services.pool.connection() as connection:
        rows = await (await connection.execute(sql.load("leaders"))).fetchall()
    duties = {duty: {"holder": holder, "term": term} for duty, holder, term, held in rows if held}
    missing = sorted(set(services.duties.status()) - duties.keys())
    if missing:
        return _warning(f"nobody does: {', '.join(missing)}", duties=duties)
    return _healthy(duties=duties)


async def seals(services: Services) -> Component:
    """Whether the seals keep up with the log. That nobody altered it, only `/audit/verify` can say."""
    async with services.pool.connection() as connection:
        row = await (await connection.execute(sql.load("seal_lag"))).fetchone()
    assert row is not None
    behind, seconds, position, sealed_at = row
    evidence = {
        "position": position, "behind": behind, "seconds_behind": round(seconds or 0, 1),
        "sealed_at": None if sealed_at is None else times.to_text(times.milliseconds(sealed_at)),
    }  # fmt: skip
    if seconds is not None and seconds > _UNSEALED:
        return _unhealthy("the log is not being sealed: see the log lines of the leader", **evidence)
    if services.signing is None:
        return _warning("no signing key is here: this process cannot seal or vouch", **evidence)
    if seconds is not None and seconds > _SEALED_LATE:
        return _warning("the seals are behind the log", **evidence)
    return _healthy(**evidence)


CHECKS: Final[Mapping[str, Callable[[Services], Awaitable[Component]]]] = {
    "redis": redis, "database": database, "workers": workers, "queues": queues,
    "projections": projections, "leader": leader, "seals": seals,
}  # fmt: skip


async def _checked(services: Services, check: Callable[[Services], Awaitable[Component]]) -> Component:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check(services)
    except Exception as error:
        away = database_is_away(error) or isinstance(error, TimeoutError)
        return _unhealthy("the database does not answer" if away else "the check failed")


async def health(call: Call) -> Answer:
    services = call.services
    found = await asyncio.gather(*(_checked(services, check) for check in CHECKS.values()))
    components = dict(zip(CHECKS, found, strict=True))
    sick = any(component["status"] == "unhealthy" for component in found)
    if call.caller is ANONYMOUS or not call.caller.holds("read"):
        components = {name: {"status": component["status"]} for name, component in components.items()}
    body = {
        "status": "degraded" if sick else "healthy",
        "timestamp": times.to_text(await _now(services, components["database"])),
        "components": components,
    }
    return json(body, 503 if sick else 200)


async def _now(services: Services, database: Component) -> int:
    if database["status"] == "unhealthy":
        return times.from_datetime(_local_now())
    try:
        return await services.engine.clock.now()
    except Exception:
        return times.from_datetime(_local_now())


def _local_now() -> datetime:
    """Only for the timestamp of an answer that says the database is away."""
    return datetime.now(UTC)


async def live(call: Call) -> Answer:
    return json({"status": "healthy"})


async def ready(call: Call) -> Answer:
    """Whether requests make sense here: the log can be written. Redis may be away."""
    if call.services.stopping.is_set():
        return json({"status": "stopping"}, 503)
    component = await _checked(call.services, database)
    ok = component["status"] != "unhealthy"
    return json({"status": "healthy" if ok else "unhealthy"}, 200 if ok else 503)


ENDPOINTS: Final = tuple(
    Endpoint(method="GET", path=path, run=run, scope=None, tag="system", summary=summary)
    for path, run, summary in (
        ("/health", health, "Health of every component, with evidence for those who may read."),
        ("/health/live", live, "The process answers."),
        ("/health/ready", ready, "The log can be written."),
    )
)

