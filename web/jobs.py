"""One job: read it, its history, cancel, retry, reschedule."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..broker.errors import Rejected
from ..events import ids, times, vault
from ..events.read import Event
from ..projections.jobs import place
from ..projections.moments import Moment
from . import job_reads
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, invalid, job_not_found
from .event_rows import EventRow, event_row
from .job_reads import Job
from .messages import Message, Waiting
from .past import AT, moment_of
from .requests import ENVELOPE, Call

# Event -> its text in the vault: (field, slot). Texts of an attempt are found by the lease's token.
_TEXTS: Final = {
    "progressed": ("message", vault.PROGRESS), "cancel_requested": ("reason", vault.REASON),
    "cancelled": ("reason", vault.REASON), "failed": ("error", vault.ERROR),
    "retry_scheduled": ("error", vault.ERROR), "expired": ("error", vault.ERROR),
}  # fmt: skip


class One(Struct):
    job: Message


class Done(Struct):
    """`status`: one of the seven, or `cancelling`."""

    message: str
    id: str
    status: str
    position: int
    version: int


class Reason(Struct, forbid_unknown_fields=True):
    reason: str | None = None


class Again(Struct, forbid_unknown_fields=True):
    """With another payload, or with the one it had."""

    payload: msgspec.Raw | UnsetType = UNSET


class Change(Struct, forbid_unknown_fields=True):
    priority: int | None = None
    scheduled_for: str | None = None


class HistoryRow(EventRow, omit_defaults=True):
    """An event with what the vault holds for it."""

    error: str | None = None
    message: str | None = None
    reason: str | None = None
    result: Any = None
    payload: Any = None


class History(Struct):
    job: Message
    events: list[HistoryRow]


_reason: Final = msgspec.json.Decoder(Reason)
_again: Final = msgspec.json.Decoder(Again)
_change: Final = msgspec.json.Decoder(Change)


async def visible(call: Call, moment: Moment | None = None) -> Job | None:
    """The job in the path, now or at a moment, if the caller may see its queue; None while it is only in
    the outbox, and before it was enqueued."""
    job = await job_reads.load(call.services, call.job)
    if job is not None and moment is not None:
        job = job_reads.at(job, moment.position)
    if job is None or call.caller.queues is None:
        return job
    if not call.caller.sees(await call.services.names.queue_name(job.state.queue)):
        raise job_not_found()
    return job


async def read(call: Call) -> Answer:
    call.allow("at")
    moment = await moment_of(call)
    job = await visible(call, moment)
    if job is None and moment is not None:
        raise job_not_found()
    if job is None:
        waiting = await job_reads.in_outbox(call.services, call.job)
        if waiting is None or not call.caller.sees(waiting.queue):
            raise job_not_found()
        return json(One(waiting))
    message = await job_reads.to_message(call.services, job, placed=True)
    if isinstance(message, Waiting) and job.state.status == "queued":
        await _place(call, job, message, moment)
    return json(One(message))


async def _place(call: Call, job: Job, message: Waiting, moment: Moment | None) -> None:
    """Its place in the queue, and when it should be done by what the queue did of late."""
    state, services = job.state, call.services
    kind = await services.names.type_id(state.spec.type)
    async with services.pool.connection() as connection:
        found = await place(
            connection, job=state.id, queue=state.queue, type_id=kind, priority=state.priority, moment=moment
        )
    if found is None:
        return
    message.queue_position, message.queue_position_at_least = found.position, found.at_least
    if found.estimated_completion is not None:
        message.estimated_completion = times.to_text(found.estimated_completion)


async def history(call: Call) -> Answer:
    call.allow("at")
    job = await visible(call, await moment_of(call))
    if job is None:
        raise job_not_found()
    rows, token = [], 0
    for event in job.events:
        if event.type == "started":
            token = event.position
        rows.append(await _history_row(call, job, event, token))
    return json(History(await job_reads.to_message(call.services, job), rows))


async def _history_row(call: Call, job: Job, event: Event, token: int) -> HistoryRow:
    row = await event_row(call.services.names, event, HistoryRow)
    if not event.body_size:
        return row
    if event.type == "completed":
        row.result = job.bodies.json(vault.RESULT, token)
    elif event.type == "enqueued":
        # What it ran with first: kept as a former payload when a retry brought another.
        former = min((e.position for e in job.events if e.type == "requeued" and e.body_size), default=0)
        row.payload = (
            job.bodies.json(vault.FORMER_PAYLOAD, former) if former else job.bodies.json(vault.PAYLOAD)
        )
    elif (told := _TEXTS.get(event.type)) is not None:
        field, slot = told
        setattr(row, field, job.bodies.text(slot, token if slot == vault.ERROR else event.position))
    return row


async def cancel(call: Call) -> Answer:
    asked = await call.read(_reason)
    await _seen(call)
    try:
        done = await call.services.engine.jobs.cancel(
            call.job, actor=call.caller.actor, reason=asked.reason
        )
    except Rejected as error:
        if error.code == "already_finished":
            raise Problem(error.code, "Failed to cancel job", error.detail) from None
        raise
    said = "Job is being cancelled" if done.status == "cancelling" else "Job cancelled successfully"
    return json(Done(said, ids.to_text(done.job), done.status, done.position, done.version))


async def retry(call: Call) -> Answer:
    limit = (await call.services.engine.configuration.current()).max_message_size
    asked = await call.read(_again, limit + ENVELOPE)
    await _seen(call)
    payload = None if asked.payload is UNSET else asked.payload
    done = await call.services.engine.jobs.retry(call.job, actor=call.caller.actor, payload=payload)
    return json(Done("Job will run again", ids.to_text(done.job), done.status, done.position, done.version))


async def change(call: Call) -> Answer:
    asked = await call.read(_change)
    if asked.priority is None and asked.scheduled_for is None:
        raise invalid("priority", "or scheduled_for must be given")
    await _seen(call)
    done = await call.services.engine.jobs.reschedule(
        call.job, actor=call.caller.actor, priority=asked.priority, scheduled_for=asked.scheduled_for
    )
    return json(Done("Job changed", ids.to_text(done.job), done.status, done.position, done.version))


async def _seen(call: Call) -> None:
    """A token of some queues commands their jobs only. Others need no read for this."""
    if call.caller.queues is not None and await visible(call) is None:
        raise job_not_found()


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/job/{job}", run=read, scope="read", tag="jobs", answer=One,
        summary="A job as it is now; a waiting one with its place in the queue.", query={"at": AT},
    ),
    Endpoint(
        method="GET", path="/job/{job}/history", run=history, scope="read", tag="jobs", answer=History,
        summary="Everything that happened to a job.", query={"at": AT},
    ),
    Endpoint(
        method="POST", path="/job/{job}/cancel", run=cancel, scope="operate", tag="jobs", body=Reason,
        answer=Done, summary="Cancel a job: a waiting one at once, a running one is asked to stop.",
    ),
    Endpoint(
        method="POST", path="/job/{job}/retry", run=retry, scope="operate", tag="jobs", body=Again,
        answer=Done, summary="Run a failed, expired or cancelled job again, under the same id.",
    ),
    Endpoint(
        method="PATCH", path="/job/{job}", run=change, scope="operate", tag="jobs", body=Change,
        answer=Done, summary="Give a waiting job another priority or time.",
    ),
)  # fmt: skip
