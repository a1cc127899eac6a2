"""The filters of job lists, from a request's parameters; names become numbers on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .. import sql
from ..events.names import Names
from ..events.pool import Pool
from ..projections import search_terms
from ..projections.jobs import STATUSES, Filter
from ..projections.moments import Moment
from .behind import wait_for_search
from .errors import invalid, unknown_queue
from .past import queues_then
from .requests import Call

FILTERS: Final = {
    "status": "all, or statuses separated by commas.", "queue": "A queue's name.", "type": "A job type.",
    "since": "Created at or after (RFC 3339).", "until": "Created before (RFC 3339).", "tag": "A tag.",
    "source": "Who enqueued it.", "correlation_id": "A correlation id.",
    "worker": "A worker's name or session.", "fingerprint": "Of its last failed attempt, as in /failures.",
    "started_since": "Last started at or after (RFC 3339).",
    "q": "Payload fields (`user.id:u1`) and words of payloads and errors; all must match.",
    "id": "The last 8 characters of a job's id.",
}  # fmt: skip

_TAIL: Final = re.compile("[0-9a-f]{8}")


async def queues_of(call: Call, moment: Moment | None, queue: str | None = None) -> dict[int, str]:
    """Number -> name of the queues asked for, in the path or by ?queue=, within those that the caller sees.
    Deleted ones too: what happened in them is still told."""
    there = await _queues(call, moment)
    name = call.text("queue") if queue is None else queue
    found = {
        number: each for number, each in there.items() if name in (None, each) and call.caller.sees(each)
    }
    if name is not None and not found:
        raise unknown_queue(name)
    return found


async def _queues(call: Call, moment: Moment | None) -> Mapping[int, str]:
    """All that there are or were, or by the moment."""
    if moment is None:
        return await call.services.names.queue_names()
    return {queue.id: queue.name for queue in await queues_then(call.services, moment, deleted=True)}


async def listed(call: Call, moment: Moment | None, queue: str | None = None) -> list[int]:
    """Those of `queues_of` in which a list looks for jobs."""
    return await with_jobs(call.services.pool, call.services.names, await queues_of(call, moment, queue))


async def with_jobs(pool: Pool, names: Names, queues: Iterable[int]) -> list[int]:
    """Without deleted ones of which retention left no job: a list looks into each queue that it is given."""
    there = {queue.id for queue in await names.queues()}
    deleted = [number for number in queues if number not in there]
    if not deleted:
        return list(queues)
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.load("queues_with_jobs"), {"queues": deleted}, binary=True)
        return [*there.intersection(queues), *(row[0] for row in await cursor.fetchall())]


async def filter_of(call: Call, queues: Sequence[int]) -> Filter:
    """Waits for search, where it is asked and the caller wants its own writes seen."""
    search = _search(call)
    if search is not None:
        await wait_for_search(call.services, call)
    kind = call.text("type")
    return Filter(
        queues=queues,
        statuses=_statuses(call),
        type=None if kind is None else await call.services.names.find_type(kind),
        since=call.instant("since"),
        until=call.instant("until"),
        tag=call.text("tag"),
        source=call.text("source"),
        correlation=call.text("correlation_id"),
        worker=call.text("worker"),
        fingerprint=call.text("fingerprint"),
        started=call.instant("started_since"),
        search=search,
    )


def _search(call: Call) -> str | None:
    """What the search terms must match: the question, the end of the id, or both."""
    terms = [term for term in (_question(call), _tail(call)) if term is not None]
    return " & ".join(terms) if terms else None


def _question(call: Call) -> str | None:
    text, sealed = call.text("q", 500), call.services.vault
    if text is None:
        return None
    try:
        return search_terms.ask(text, sealed.keys, exact=sealed.encrypts)
    except ValueError as error:
        raise invalid("q", str(error), status=400) from None


def _tail(call: Call) -> str | None:
    text = call.text("id")
    if text is None:
        return None
    if not _TAIL.fullmatch(text.lower()):
        raise invalid("id", "must be the last 8 characters of a job's id", status=400)
    return search_terms.tail(text)


def _statuses(call: Call) -> Sequence[str]:
    wanted = call.query.get("status", "all")
    if wanted == "all":
        return STATUSES
    chosen = [part.strip() for part in wanted.split(",")]
    for status in chosen:
        if status not in STATUSES:
            raise invalid("status", f"must be all or some of {', '.join(STATUSES)}", status=400)
    return chosen
