"""Why a job does not run, or is not done: from evidence, never from a guess.

    seen = await evidence(connection, queue=..., type_name=..., job=...)
    findings(state, seen, place)         # [Finding("paused", "...", {...}), ...], what blocks first

The rules are pure. Texts are for people; programs read the code and the facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from .. import sql
from ..events import times
from ..events.job import JobState
from ..events.log import milliseconds
from ..events.pool import Connection
from .jobs import Place
from .moments import Moment

_LATE: Final = 2000  # ms after which something that should have happened is worth a word


class Evidence(Struct, frozen=True):
    """A row of job_why.sql. Times in ms since 1970; `stream` is the queue's."""

    now: int
    position: int
    projected: int
    unseen_at: int | None
    stream: UUID
    paused: bool
    paused_at: int | None
    paused_position: int | None
    paused_by: int | None
    max_workers: int | None
    running: int
    in_queue: int
    able: int
    silent: int
    slots: int
    busy: int
    session: int | None
    started_at: int | None
    deadline: int | None
    cancelling: int | None
    worker: str | None
    host: str | None
    pid: int | None
    last_heartbeat: int | None
    dead_after: int | None


class Surroundings(Struct, frozen=True):
    """What the log does not know. `redis`: ready, rebuilt or away; `reason` of the pause; `grace` in ms.
    `past`: asked about a moment, of which nobody knows any more who was heard from, or how Redis was."""

    queue: str
    paused_by: str | None = None
    reason: str | None = None
    enabled: bool = True
    redis: str = "ready"
    grace: int = 30_000
    ended_by: str | None = None
    past: bool = False


class Finding(Struct, frozen=True):
    """`blocks`: the job cannot start (or go on) while this is so."""

    code: str
    text: str
    blocks: bool
    facts: dict[str, Any]


def found(code: str, text: str, *, blocks: bool = False, **facts: Any) -> Finding:
    return Finding(code, text, blocks, facts)


async def evidence(
    connection: Connection, *, queue: int, type_name: str, job: bytes, moment: Moment | None = None
) -> Evidence | None:
    """None when there is no such queue."""
    values = {"queue": queue, "type": type_name, "job": UUID(bytes=job)}
    if moment is not None:
        values |= moment.parameters
    query = sql.load("job_why" if moment is None else "job_why_at")
    row = await (await connection.execute(query, values)).fetchone()
    if row is None:
        return None
    columns: list[Any] = [milliseconds(x) if isinstance(x, datetime) else x for x in row]
    return Evidence(*columns)


def findings(state: JobState, seen: Evidence, around: Surroundings, place: Place | None) -> list[Finding]:
    """Of a job in this state; what blocks comes first."""
    if state.status == "processing":
        told = [*_running(seen, around, state)]
    elif state.ended_at is not None:
        told = [_ended(state, around)]
    else:
        told = [*_waiting(state, seen, around, place)]
    told += _behind(seen)
    return sorted(told, key=lambda each: not each.blocks)


def _behind(seen: Evidence) -> Iterator[Finding]:
    """The job runs all the same; lists and figures show what was."""
    if seen.unseen_at is None or seen.now - seen.unseen_at < _LATE:
        return
    behind, late = seen.position - seen.projected, seen.now - seen.unseen_at
    events = "1 event" if behind == 1 else f"{behind:,} events"
    text = f"the job list is behind the log by {events}, for {span(late)}: it shows what was"
    yield found("projection_behind", text, behind=behind, seconds=late / 1000)


def _waiting(
    state: JobState, seen: Evidence, around: Surroundings, place: Place | None
) -> Iterator[Finding]:
    if not around.enabled:
        yield found("disabled", "this server takes no claims: MESSAGING_QUEUE_ENABLED is false", blocks=True)
    if seen.paused:
        yield _paused(seen, around)
    if state.status == "pending" and state.due_at is not None:
        yield _due(state, seen)
    yield from _served(state, seen, around)
    if seen.max_workers is not None and seen.running >= seen.max_workers:
        text = f"{seen.running} of at most {seen.max_workers} jobs of queue {around.queue} run"
        yield found(
            "limit_reached", text, blocks=True, max_workers=seen.max_workers, running=seen.running
        )
    if place is not None:
        yield from _ahead(place)
    if around.redis != "ready":
        states = {"away": "Redis does not answer", "rebuilt": "Redis is being rebuilt from the log"}
        slower = f"{states[around.redis]}: claims are made by SQL, slower"
        yield found(f"redis_{around.redis}", slower, redis=around.redis)
    if state.expires_at is not None:
        left = state.expires_at - seen.now
        text = f"it expires in {span(left)} if it has not started" if left > 0 else "it is about to expire"
        yield found("expires", text, expires_at=times.to_text(state.expires_at), seconds=left / 1000)


def _paused(seen: Evidence, around: Surroundings) -> Finding:
    who = f" by {around.paused_by}" if around.paused_by else ""
    since = "" if seen.paused_at is None else f" since {span(seen.now - seen.paused_at)}"
    why = f": {around.reason}" if around.reason else ""
    return found(
        "paused", f"queue {around.queue} is paused{who}{since}{why}", blocks=True, queue=around.queue,
        by=around.paused_by, since=_text(seen.paused_at), reason=around.reason,
        position=seen.paused_position,
    )  # fmt: skip


def _due(state: JobState, seen: Evidence) -> Finding:
    assert state.due_at is not None
    left = state.due_at - seen.now
    facts: dict[str, Any] = {
        "due_at": times.to_text(state.due_at), "seconds": left / 1000, "retry": state.retry,
    }  # fmt: skip
    if left <= -_LATE:
        text = f"it was due {span(-left)} ago: no process with the duty scheduler has made it ready"
        return found("scheduler_late", text, blocks=True, **facts)
    if state.retry:
        text = f"retry {state.retry} of {state.spec.max_retries} is due in {span(max(left, 0))}"
        return found("retry_due_in", text, blocks=True, **facts, cause=state.cause)
    return found("due_in", f"it is due in {span(max(left, 0))}", blocks=True, **facts)


def _served(state: JobState, seen: Evidence, around: Surroundings) -> Iterator[Finding]:
    kind = state.spec.type
    if not seen.in_queue:
        text = f"no live worker serves queue {around.queue}"
        yield found("no_worker", text, blocks=True, queue=around.queue)
    elif not seen.able:
        text = f"none of the {seen.in_queue} live workers of queue {around.queue} runs type {kind}"
        if seen.in_queue == 1:
            text = f"the one live worker of queue {around.queue} does not run type {kind}"
        yield found("type_unserved", text, blocks=True, queue=around.queue, type=kind, workers=seen.in_queue)
    elif seen.silent == seen.able:
        text = f"all {seen.able} workers that run type {kind} are silent"
        yield found("workers_silent", text, blocks=True, workers=seen.able)
    elif seen.busy >= seen.slots:
        text = f"all {seen.slots} slots of the workers that run type {kind} are taken"
        yield found(
            "workers_busy", text, blocks=True, workers=seen.able, slots=seen.slots, busy=seen.busy
        )
    else:
        who = "1 live worker runs" if seen.able == 1 else f"{seen.able} live workers run"
        text = f"{who} type {kind}, {seen.busy} of {seen.slots} slots are taken"
        yield found("served", text, workers=seen.able, slots=seen.slots, busy=seen.busy)


def _ahead(place: Place) -> Iterator[Finding]:
    exact = place.position is not None
    ahead = (place.position if place.position is not None else place.at_least or 1) - 1
    if exact and ahead == 0:
        yield found("next", "it is the next of its queue", ahead=0, exact=True)
        return
    jobs = f"{ahead:,} job is" if ahead == 1 else f"{ahead:,} jobs are"
    text = f"{jobs} ahead of it" if exact else f"at least {jobs} ahead of it"
    done = place.estimated_completion
    yield found("ahead", text, blocks=True, ahead=ahead, exact=exact, estimated_completion=_text(done))


def _running(seen: Evidence, around: Surroundings, state: JobState) -> Iterator[Finding]:
    if seen.started_at is None:  # it ended between the two reads
        return
    since = seen.now - seen.started_at
    yield found(
        "running", f"it runs on {seen.worker or 'a worker that is gone'} since {span(since)}",
        worker=seen.worker, host=seen.host, pid=seen.pid, since=_text(seen.started_at), seconds=since / 1000,
        attempt=state.attempt, progress=state.progress,
    )  # fmt: skip
    if not around.past:
        yield _heartbeat(seen)
    if seen.cancelling is not None:
        asked = seen.now - seen.cancelling
        text = f"it was asked to stop {span(asked)} ago and has {span(around.grace)} for it"
        yield found(
            "cancelling", text, since=_text(seen.cancelling), seconds=asked / 1000,
            grace=around.grace / 1000,
        )  # fmt: skip
    if seen.deadline is not None:
        left = seen.deadline - seen.now
        text = f"its time ends in {span(left)}" if left > 0 else f"its time ended {span(-left)} ago"
        yield found("deadline", text, deadline=_text(seen.deadline), seconds=left / 1000)


def _heartbeat(seen: Evidence) -> Finding:
    if seen.last_heartbeat is None or seen.dead_after is None:
        text = "its worker's session is over: the reaper will give the job to another"
        return found("worker_gone", text, blocks=True)
    age = seen.now - seen.last_heartbeat
    facts: dict[str, Any] = {
        "last_heartbeat": _text(seen.last_heartbeat), "seconds": age / 1000, "dead_after": seen.dead_after,
    }  # fmt: skip
    if age > seen.dead_after * 500:
        text = f"its worker is silent for {span(age)}; after {seen.dead_after} s it counts as dead"
        return found("worker_silent", text, blocks=True, **facts)
    return found("heartbeat", f"its worker was heard {span(age)} ago", **facts)


def _ended(state: JobState, around: Surroundings) -> Finding:
    who = f" by {around.ended_by}" if around.ended_by else ""
    text = f"it is {state.status}{who}" + (f" ({state.cause})" if state.cause else "")
    return found(
        "ended", text, status=state.status, cause=state.cause, at=_text(state.ended_at), by=around.ended_by
    )


def span(ms: int) -> str:
    """4 s, 3 m, 2 h 5 m, 3 d."""
    seconds = max(ms, 0) // 1000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} m"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} m" if hours < 48 else f"{hours // 24} d"


def _text(instant: int | None) -> str | None:
    return None if instant is None else times.to_text(instant)
