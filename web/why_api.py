"""`GET /job/{id}/why`: what keeps a job from running, or what it is at."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from ..broker.connection import RedisUnavailable
from ..events import ids, outbox, times, vault
from ..events.job import JobState
from ..events.read import head
from ..projections import why
from ..projections.jobs import place
from ..projections.why import Evidence, Finding, Surroundings
from . import job_reads
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import job_not_found
from .job_reads import Job
from .jobs import visible
from .past import AT, moment_of
from .requests import Call
from .services import Services


class FindingRow(Struct):
    """More fields say the facts: by, since, reason, due_at, seconds, ahead, exact, max_workers, running, ...
    `blocks`: the job cannot start, or go on, while this is so."""

    code: str
    text: str
    blocks: bool


class Why(Struct):
    """What blocks first. `status` as in the job."""

    job: str
    status: str
    findings: list[FindingRow]
    timestamp: str
    position: int


async def read(call: Call) -> Answer:
    call.allow("at")
    moment = await moment_of(call)
    job = await visible(call, moment)
    if job is None and moment is not None:
        raise job_not_found()
    if job is None:
        return await _unrelayed(call)
    services, state = call.services, job.state
    kind = await services.names.type_id(state.spec.type)
    async with services.pool.connection() as connection:
        seen = await why.evidence(
            connection, queue=state.queue, type_name=state.spec.type, job=state.id, moment=moment
        )
        turn = None
        if state.status == "queued":
            turn = await place(
                connection, job=state.id, queue=state.queue, type_id=kind, priority=state.priority,
                moment=moment,
            )  # fmt: skip
    if seen is None:
        raise job_not_found()
    around = await _surroundings(services, job, seen)
    if moment is not None:
        seen, around = _leased(job, seen), replace(around, enabled=True, redis="ready", past=True)
    return json(_answer(state, seen, why.findings(state, seen, around, turn)))


def _leased(job: Job, seen: Evidence) -> Evidence:
    """What the lease held then, as its job's story tells it."""
    state = job.state
    if seen.started_at is None:
        return seen
    asked = [event.recorded_at for event in job.events if event.type == "cancel_requested"]
    timeout = state.spec.timeout
    return replace(
        seen, deadline=None if timeout is None else seen.started_at + 1000 * timeout,
        cancelling=asked[-1] if state.cancelling else None,
    )  # fmt: skip


def _answer(state: JobState, seen: Evidence, told: list[Finding]) -> dict[str, Any]:
    return {
        "job": ids.to_text(state.id), "status": state.status, "findings": [_row(each) for each in told],
        "timestamp": times.to_text(seen.now), "position": seen.position,
    }  # fmt: skip


def _row(each: Finding) -> dict[str, Any]:
    return {"code": each.code, "text": each.text, "blocks": each.blocks, **each.facts}


async def _surroundings(services: Services, job: Job, seen: Evidence) -> Surroundings:
    by = None if seen.paused_by is None else await services.names.actor_name(seen.paused_by)
    reason = None
    if seen.paused and seen.paused_position is not None:
        async with services.pool.connection() as connection:
            bodies = await job_reads.read_bodies(connection, services.vault, seen.stream.bytes)
        reason = bodies.text(vault.REASON, seen.paused_position)
    ended = None if job.state.ended_at is None else await services.names.actor_name(job.events[-1].actor)
    return Surroundings(
        queue=await services.names.queue_name(job.state.queue), paused_by=by, reason=reason,
        enabled=services.settings.queue_enabled, redis=await _redis(services),
        grace=round(services.settings.grace_seconds * 1000), ended_by=ended,
    )  # fmt: skip


async def _redis(services: Services) -> str:
    engine = services.engine
    if engine.feeder.available:
        return "ready"
    try:
        await engine.redis.command(b"PING")
    except RedisUnavailable:
        return "away"
    return "rebuilt"


async def _unrelayed(call: Call) -> Answer:
    """Enqueued from SQL, and not in the log yet."""
    services = call.services
    waiting = await job_reads.in_outbox(services, call.job)
    if waiting is None or not call.caller.sees(waiting.queue):
        raise job_not_found()
    async with services.pool.connection() as connection:
        status = await outbox.status(connection)
    position, now = await _head(services), await services.engine.clock.now()
    age = now - ids.job_time(call.job)
    text = f"it was enqueued from SQL {why.span(age)} ago and waits for the relay"
    told = [why.found(
        "outbox", text, blocks=True, seconds=age / 1000, waiting=status.waiting,
        oldest_seconds=status.oldest_seconds,
    )]  # fmt: skip
    return json({
        "job": waiting.id, "status": waiting.status, "findings": [_row(each) for each in told],
        "timestamp": times.to_text(now), "position": position,
    })  # fmt: skip


async def _head(services: Services) -> int:
    async with services.pool.connection() as connection:
        return (await head(connection)).position


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/job/{job}/why", run=read, scope="read", tag="jobs", answer=Why,
        summary="Why a job does not run yet, or what it is at: findings, each with a code, a text and facts.",
        query={"at": f"{AT} Without heartbeats and Redis."},
    ),
)  # fmt: skip
