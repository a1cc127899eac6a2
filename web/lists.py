"""Lists of jobs, and failures by what they have in common: from the projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import ids, times, types, vault
from ..events.vault import VaultError
from ..projections import search_terms
from ..projections.failures import Failure, failures
from ..projections.jobs import STATUSES, Filter, JobRow, page
from .answers import Answer, json
from .behind import wait_for_search
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .job_reads import read_bodies
from .messages import TOLD_BY_NOBODY, Bodies, Body, Message, metadata, raw, worker_label
from .requests import Call
from .services import Services

_MOST: Final = 500
_SAMPLE: Final = 2000  # characters of an error text in the list of failures


class Jobs(Struct, omit_defaults=True):
    """Newest first. `next` goes into `after`; None at the end. A filtered page may be short and go on."""

    jobs: list[Message]
    count: int
    next: str | None
    position: int
    queue: str | None = None


class FailureRow(Struct):
    """Failed attempts with one fingerprint. `error` is the text of the sample."""

    fingerprint: str
    type: str
    error: str
    count: int
    first_seen: str
    last_seen: str
    queues: list[str]
    sample_job: str
    cause: str


class Failures(Struct):
    failures: list[FailureRow]


async def of_queue(call: Call) -> Answer:
    queue = await call.services.names.queue(call.queue)
    if queue is None:
        raise unknown_queue(call.queue)
    return json(await _page(call, [queue.id], queue.name))


async def of_all(call: Call) -> Answer:
    queues = await call.services.names.queues()
    if (name := call.text("queue")) is not None:
        queues = [queue for queue in queues if queue.name == name]
        if not queues or not call.caller.sees(name):
            raise unknown_queue(name)
    return json(await _page(call, [q.id for q in queues if call.caller.sees(q.name)], None))


async def _page(call: Call, queues: Sequence[int], queue: str | None) -> Jobs:
    call.allow(
        "status", "limit", "after", "type", "since", "until", "tag", "source", "correlation_id", "worker",
        "queue", "q",
    )  # fmt: skip
    if "q" in call.query:
        await wait_for_search(call.services, call)
    chosen = await _filter(call, queues)
    limit = call.number("limit", 50, 1, _MOST)
    async with call.services.pool.connection() as connection:
        try:
            found = await page(connection, chosen, limit=limit, after=call.text("after"))
        except ValueError as error:
            raise invalid("after", str(error), status=400) from None
        rows = found.rows
        bodies = await _bodies(call.services, connection, rows)
    messages = [await _message(call.services, row, bodies.get(row.id)) for row in rows]
    return Jobs(messages, len(messages), found.next, found.position, queue)


async def _filter(call: Call, queues: Sequence[int]) -> Filter:
    kind = call.text("type")
    return Filter(
        queues=queues,
        statuses=_statuses(call),
        type=None if kind is None else await _type(call.services, kind),
        since=call.instant("since"),
        until=call.instant("until"),
        tag=call.text("tag"),
        source=call.text("source"),
        correlation=call.text("correlation_id"),
        worker=call.text("worker"),
        search=_search(call),
    )


def _search(call: Call) -> str | None:
    text, sealed = call.text("q", 500), call.services.vault
    if text is None:
        return None
    try:
        return search_terms.ask(text, sealed.keys, exact=sealed.encrypts)
    except ValueError as error:
        raise invalid("q", str(error), status=400) from None


def _statuses(call: Call) -> Sequence[str]:
    wanted = call.query.get("status", "all")
    if wanted == "all":
        return STATUSES
    chosen = [part.strip() for part in wanted.split(",")]
    for status in chosen:
        if status not in STATUSES:
            raise invalid("status", f"must be all or some of {', '.join(STATUSES)}", status=400)
    return chosen


async def _type(services: Services, name: str) -> int:
    """The type's number without minting one: a question must not change anything."""
    async with services.pool.connection() as connection:
        cursor = await connection.execute("select id from hivelog.job_types where name = %s", (name,))
        row = await cursor.fetchone()
    return -1 if row is None else int(row[0])


async def _bodies(services: Services, connection: Any, rows: Sequence[JobRow]) -> dict[bytes, Bodies]:
    """What these jobs carry, in one query."""
    parameters = {"jobs": [UUID(bytes=row.id) for row in rows]}
    cursor = await connection.execute(sql.load("list_bodies"), parameters, binary=True)
    found: dict[bytes, list[Any]] = {}
    for row in await cursor.fetchall():
        found.setdefault(row[0].bytes, []).append(row[1:])
    return {job: _opened(services, job, of) for job, of in found.items()}


def _opened(services: Services, job: bytes, rows: list[Any]) -> Bodies:
    key = None
    for slot, _, kek, salt, wrapped, _ in rows:
        if slot == vault.PAYLOAD and salt is not None:
            key = services.vault.key_of(job, salt, kek, wrapped)
    return Bodies(key, [Body(row[0], row[1], row[5]) for row in rows])


async def _message(services: Services, row: JobRow, bodies: Bodies | None) -> Message:
    names = services.names
    queue = await names.queue_by_id(row.queue)
    spec = msgspec.convert(row.spec, types.JobSpec)
    actor = None if row.session is None else await names.actor_name(row.session)
    carried = bodies or Bodies(None, [])
    ended = None if row.ended_at is None else times.to_text(row.ended_at)
    return Message(
        id=ids.to_text(row.id), queue=queue.name if queue else f"queue:{row.queue}", type=spec.type,
        payload=raw(carried.open(vault.PAYLOAD)),
        metadata=metadata(
            spec, row.created_at, priority=row.priority, retry=row.retry, correlation=row.correlation,
            due_at=row.due_at,
        ),
        status=row.status, worker_id=worker_label(actor),
        started_at=None if row.started_at is None else times.to_text(row.started_at),
        completed_at=ended if row.status == "completed" else None,
        failed_at=ended if row.status == "failed" else None, ended_at=ended,
        progress=100 if row.status == "completed" else row.progress,
        progress_message=carried.last(vault.PROGRESS) if row.status == "processing" else None,
        error=_error(row, carried),
        result=raw(carried.open(vault.RESULT, row.token or 0) if row.status == "completed" else None),
        cancelling=row.cancelling, attempt=row.attempt, version=row.version, position=row.position,
    )  # fmt: skip


def _error(row: JobRow, carried: Bodies) -> str | None:
    if row.cause is None or row.cause in ("requested", "drained") or row.status == "completed":
        return None
    if (nobody := TOLD_BY_NOBODY.get(row.cause)) is not None:
        return nobody
    if row.error_token is not None and (text := carried.text(vault.ERROR, row.error_token)) is not None:
        return text
    said = ": ".join(part for part in (row.error_type, row.template) if part)
    return said or {"timeout": "timed out"}.get(row.cause, row.cause)


async def list_failures(call: Call) -> Answer:
    call.allow("since", "queue", "limit")
    name, number = call.text("queue"), None
    if name is not None:
        queue = await call.services.names.queue(name)
        if queue is None or not call.caller.sees(name):
            raise unknown_queue(name)
        number = queue.id
    limit = call.number("limit", 100, 1, 200)
    async with call.services.pool.connection() as connection:
        found = await failures(connection, since=call.instant("since"), queue=number, limit=limit)
    rows = [await _failure(call.services, failure) for failure in found if _visible(call, failure)]
    return json(Failures(rows))


def _visible(call: Call, failure: Failure) -> bool:
    return all(call.caller.sees(queue) for queue in failure.queues)


async def _failure(services: Services, failure: Failure) -> FailureRow:
    said = ": ".join(part for part in (failure.error_type, failure.template) if part)
    return FailureRow(
        failure.fingerprint, failure.type, (await _sample(services, failure)) or said or failure.cause,
        failure.count, times.to_text(failure.first_seen), times.to_text(failure.last_seen), failure.queues,
        ids.to_text(failure.sample_job), failure.cause,
    )  # fmt: skip


async def _sample(services: Services, failure: Failure) -> str | None:
    """The last line of the sample's error; None after its erasure, or without its key."""
    try:
        async with services.pool.connection() as connection:
            bodies = await read_bodies(connection, services.vault, failure.sample_job)
        text = bodies.last(vault.ERROR)
    except VaultError:
        return None
    lines = (text or "").strip().splitlines()
    return lines[-1][:_SAMPLE] if lines else None


_LIST: Final = {
    "status": "all, or statuses separated by commas.", "limit": "1 to 500.",
    "after": "`next` of the page before.", "type": "A job type.", "since": "Created at or after (RFC 3339).",
    "until": "Created before (RFC 3339).", "tag": "A tag.", "source": "Who enqueued it.",
    "correlation_id": "A correlation id.", "worker": "A worker's name or session.",
    "q": "Payload fields (`user.id:u1`) and words of payloads and errors; all must match.",
}  # fmt: skip

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/queue/{queue}/jobs", run=of_queue, scope="read", tag="jobs", answer=Jobs,
        summary="Jobs of a queue, newest first.", query=_LIST,
    ),
    Endpoint(
        method="GET", path="/jobs", run=of_all, scope="read", tag="jobs", answer=Jobs,
        summary="Jobs of all queues, newest first.", query={**_LIST, "queue": "A queue's name."},
    ),
    Endpoint(
        method="GET", path="/failures", run=list_failures, scope="read", tag="events", answer=Failures,
        summary="Failed attempts, grouped by what they have in common.",
        query={"since": "RFC 3339; from its hour on.", "queue": "A queue's name.", "limit": "1 to 200."},
    ),
)  # fmt: skip

