"""Lists of jobs, from the projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import ids, times, types, vault
from ..projections.job_counts import Counts, counts, counts_at
from ..projections.jobs import Filter, JobRow, page
from ..projections.jobs_at import page_at
from ..projections.moments import Moment
from .answers import Answer, json
from .bodies import NULL, Bodies, bodies_of
from .endpoint import Endpoint
from .errors import invalid
from .export import FORMAT, export, fields, format_of
from .job_filter import FILTERS, filter_of, listed
from .messages import TOLD_BY_NOBODY, Message, metadata, worker_label
from .past import AT, moment_of
from .requests import Call
from .services import Services

_MOST: Final = 500


class Jobs(Struct, omit_defaults=True):
    """Newest first. `next` goes into `after`; None at the end. A filtered page may be short and go on."""

    jobs: list[Message]
    count: int
    next: str | None
    position: int
    queue: str | None = None


async def of_queue(call: Call) -> Answer:
    return await _listed(call, call.queue)


async def of_all(call: Call) -> Answer:
    return await _listed(call, None)


async def _listed(call: Call, queue: str | None) -> Answer:
    call.allow("limit", "after", "format", "at", *FILTERS)
    moment = await moment_of(call)
    chosen = await filter_of(call, await listed(call, moment, queue))
    if (kind := format_of(call)) is not None:

        async def read(after: str | None, limit: int) -> tuple[Sequence[Message], str | None]:
            found = await _page(call.services, chosen, moment, limit, after or call.text("after"))
            return found.jobs, found.next

        return await export(call, kind, "jobs", COLUMNS, read)
    found = await _page(call.services, chosen, moment, call.number("limit", 50, 1, _MOST), call.text("after"))
    found.queue = queue
    return json(found)


async def counts_of(call: Call) -> Answer:
    """By state, for the tabs over a list. The state is not among the filters."""
    call.allow("at", *(name for name in FILTERS if name != "status"))
    moment = await moment_of(call)
    chosen = await filter_of(call, await listed(call, moment))
    async with call.services.pool.connection() as connection:
        if moment is not None:
            return json(await counts_at(connection, chosen, moment))
        return json(await counts(connection, chosen))


async def _page(
    services: Services, chosen: Filter, moment: Moment | None, limit: int, after: str | None
) -> Jobs:
    async with services.pool.connection() as connection:
        try:
            found = await (
                page(connection, chosen, limit=limit, after=after)
                if moment is None
                else page_at(connection, chosen, moment, limit=limit, after=after)
            )
        except ValueError as error:
            raise invalid("after", str(error), status=400) from None
        bodies = await _bodies(services, connection, found.rows, moment)
    messages = [await _message(services, row, bodies.get(row.id)) for row in found.rows]
    return Jobs(messages, len(messages), found.next, found.position)


async def _bodies(
    services: Services, connection: Any, rows: Sequence[JobRow], moment: Moment | None
) -> dict[bytes, Bodies]:
    """What these jobs carry, or carried at the moment, in one query."""
    slots = [vault.PAYLOAD, vault.RESULT, vault.ERROR, vault.PROGRESS]
    if moment is not None:
        slots.append(vault.FORMER_PAYLOAD)
    parameters = {"jobs": [UUID(bytes=row.id) for row in rows], "slots": slots}
    cursor = await connection.execute(sql.load("list_bodies"), parameters, binary=True)
    found: dict[bytes, list[Any]] = {}
    for row in await cursor.fetchall():
        found.setdefault(row[0].bytes, []).append(row[1:])
    opened = {job: bodies_of(services.vault, job, of) for job, of in found.items()}
    if moment is None:
        return opened
    leases = {row.id: row.token if row.status == "processing" else None for row in rows}
    return {job: bodies.at(moment.position, leases[job]) for job, bodies in opened.items()}


async def _message(services: Services, row: JobRow, bodies: Bodies | None) -> Message:
    names = services.names
    spec = msgspec.convert(row.spec, types.JobSpec)
    actor = None if row.session is None else await names.actor_name(row.session)
    carried = bodies or Bodies(None, [])
    ended = None if row.ended_at is None else times.to_text(row.ended_at)
    return Message(
        id=ids.to_text(row.id), queue=await names.queue_name(row.queue), type=spec.type,
        payload=carried.json(vault.PAYLOAD),
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
        result=carried.json(vault.RESULT, row.token or 0) if row.status == "completed" else NULL,
        cancelling=row.cancelling, erased=row.erased, attempt=row.attempt, version=row.version,
        position=row.position,
        unreadable=carried.unreadable,  # the last: known when all was opened
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


# A file's columns: what a spreadsheet can do with a job.
COLUMNS: Final = fields(
    "id", "queue", "type", "status", "metadata.created_at", "started_at", "ended_at", "attempt",
    "metadata.priority", "worker_id", "metadata.source", "metadata.correlation_id", "metadata.tags",
    "payload", "result", "error",
)  # fmt: skip

_LIST: Final = {
    **FILTERS, "limit": "1 to 500; of a file 1 to 100000.", "after": "`next` of the page before.", "at": AT,
    "format": FORMAT,
}  # fmt: skip
_COUNTED: Final = {**{name: said for name, said in FILTERS.items() if name != "status"}, "at": AT}
_OF_QUEUE: Final = {name: said for name, said in _LIST.items() if name != "queue"}

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/queue/{queue}/jobs", run=of_queue, scope="read", tag="jobs", answer=Jobs,
        summary="Jobs of a queue, newest first.", query=_OF_QUEUE,
    ),
    Endpoint(
        method="GET", path="/jobs", run=of_all, scope="read", tag="jobs", answer=Jobs,
        summary="Jobs of all queues, newest first.", query=_LIST,
    ),
    Endpoint(
        method="GET", path="/jobs/counts", run=counts_of, scope="read", tag="jobs", answer=Counts,
        summary="How many jobs of each state a list has, exact up to 1,000.", query=_COUNTED,
    ),
)  # fmt: skip
