"""The job list: filtered pages, newest first, and a waiting job's place in its queue.

A page reads ranges of one index, (queue, status, id), and never the whole table. What has no index (type,
source, worker, times) is filtered within those ranges, a bounded number of rows a call: a page may then be
short, or empty, and still have a `next`. Rows are the state at `Page.position`; who must show the very
present folds the page's streams from the log.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection
from .moments import Moment

STATUSES = ("pending", "queued", "processing", "completed", "failed", "cancelled", "expired")
COUNTED = 1000  # a place in the queue is exact up to here
_SAMPLES = 20  # fewer finished jobs say nothing about the next one
# Rows of each range that are read a round: few at first, since one page is mostly made of a few ranges, then
# twice as many each time. A round reads no more rows than `_READ` of all ranges, or a few of each.
_FEW = 8
_SCAN = 2000
_READ = 20_000
_ROUNDS = 25
# A search looks through so many of the newest jobs, then takes all that match, unless they are more than
# `_MATCHES`.
_NEWEST = 1000
_MATCHES = 10_000
_SLACK = 86_400_000  # ms between the time in an id and created_at: an outbox row may wait for its relay
_FIRST, _LAST = UUID(int=0), UUID(int=(1 << 128) - 1)


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs. Queues and type by number, times in ms since 1970 (since <= created_at < until);
    worker: a name or a session id; fingerprint: of its last failed attempt, or that one's cause; started: its
    last start at or after. None: any."""

    queues: Sequence[int]
    statuses: Sequence[str] = STATUSES
    type: int | None = None
    since: int | None = None
    until: int | None = None
    tag: str | None = None
    source: str | None = None
    correlation: str | None = None
    worker: str | None = None
    fingerprint: str | None = None
    started: int | None = None
    search: str | None = None  # a tsquery over what jobs carry, see search_terms
    ids: Sequence[bytes] | None = None  # of `count` and `named` only

    @property
    def loose(self) -> bool:
        """Whether rows of a range must be looked at one by one."""
        return any(
            (self.type, self.since, self.until, self.source, self.worker, self.fingerprint, self.started)
        )


class JobRow(Struct, frozen=True):
    """A job as projected. Times in ms since 1970; queue, type and session by number; `token` and
    `error_token` name its bodies in the vault; `spec` is the data of `enqueued`."""

    id: bytes
    queue: int
    type: int
    status: str
    priority: int
    attempt: int
    retry: int
    version: int
    position: int
    enqueued: int
    created_at: int
    due_at: int | None
    ready_at: int | None
    started_at: int | None
    ended_at: int | None
    expires_at: int | None
    session: int | None
    token: int | None
    error_token: int | None
    progress: float | None
    cancelling: bool
    erased: bool
    size: int
    correlation: str | None
    cause: str | None
    error_type: str | None
    fingerprint: str | None
    template: str | None
    spec: dict[str, Any]


class Page(Struct):
    """`next`: the cursor of what follows, None at the end; `position`: up to where it is projected."""

    rows: list[JobRow]
    next: str | None
    position: int


class Place(Struct, frozen=True):
    """A ready job's turn. `position` counts from 1 (None past the exact range, then `at_least`);
    `estimated_completion` in ms since 1970, None when too little is known or nobody serves the queue."""

    position: int | None
    at_least: int | None
    estimated_completion: int | None


async def page(connection: Connection, chosen: Filter, *, limit: int = 50, after: str | None = None) -> Page:
    """A page of at most `limit` jobs. Raises ValueError for a cursor that is none of ours."""
    before = _LAST if after is None else UUID(bytes=read_cursor(after))
    parameters = parameters_of(chosen, limit)
    query = sql.load(_query(chosen))
    rows: list[JobRow] = []
    projected = 0
    scan, most = scan_of(chosen, limit)
    for _ in range(_ROUNDS):
        parameters |= {"before": before, "limit": limit + 1 - len(rows), "scan": scan}
        found = await (await connection.execute(query, parameters, binary=True)).fetchall()
        projected = found[0][-1]
        rows += [_row(row) for row in found if row[1] is not None]
        if len(rows) > limit:
            return Page(rows[:limit], write_cursor(rows[limit - 1].id), projected)
        if found[0][0] is None:
            return Page(rows, None, projected)
        before, scan, parameters["common"] = found[0][0], min(2 * scan, most), True
    return Page(rows, write_cursor(before.bytes), projected)


def scan_of(chosen: Filter, limit: int) -> tuple[int, int]:
    """How many rows of a range the first round reads, and how many one ever does."""
    if chosen.search is not None:
        return _NEWEST, 8 * _NEWEST
    ranges = max(len(chosen.queues) * len(chosen.statuses), 1)
    most = max(min(_FEW, _SCAN), min(_SCAN, _READ // ranges))
    return min(max(_FEW, 2 * (limit + 1) // ranges), most), most


async def place(
    connection: Connection,
    *,
    job: bytes,
    queue: int,
    type_id: int,
    priority: int,
    moment: Moment | None = None,
) -> Place | None:
    """Where a ready job stands, or stood, in its queue; None if it is not ready (any more)."""
    values = {
        "job": UUID(bytes=job), "queue": queue, "type": type_id, "priority": priority, "most": COUNTED + 1,
    }  # fmt: skip
    query = "queue_place" if moment is None else "queue_place_at"
    values |= {} if moment is None else moment.parameters
    row = await (await connection.execute(sql.load(query), values)).fetchone()
    if row is None or not row[0]:
        return None
    _, ahead, paused, capacity, samples, run_ms, now = row
    exact = ahead + 1 if ahead < COUNTED else None
    estimate = None
    if exact is not None and samples >= _SAMPLES and capacity and not paused:
        # Those ahead run `capacity` at a time, then this one.
        estimate = milliseconds(now) + round(run_ms / samples * (ahead / capacity + 1))
    return Place(exact, None if exact is not None else COUNTED + 1, estimate)


def write_cursor(job: bytes) -> str:
    """The opaque text for "below this id"."""
    return base64.urlsafe_b64encode(b"j" + job).decode().rstrip("=")


def read_cursor(text: str) -> bytes:
    """The id in a cursor. Raises ValueError."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 17 or raw[:1] != b"j":
        raise ValueError("is not a cursor of this list")
    return raw[1:]


def _query(chosen: Filter) -> str:
    if chosen.search is not None:
        return "job_page_by_search"
    if chosen.correlation is not None:
        return "job_page_by_correlation"
    return "job_page" if chosen.tag is None else "job_page_by_tag"


def parameters_of(chosen: Filter, limit: int) -> dict[str, Any]:
    return {
        "queues": list(chosen.queues),
        "statuses": list(chosen.statuses),
        "type": chosen.type,
        "since": _moment(chosen.since),
        "until": _moment(chosen.until),
        "low": _FIRST if chosen.since is None else lowest_id(chosen.since - _SLACK),
        "high": _LAST if chosen.until is None else lowest_id(chosen.until + _SLACK),
        "tag": chosen.tag,
        "source": chosen.source,
        "correlation": chosen.correlation,
        "worker": chosen.worker,
        "fingerprint": chosen.fingerprint,
        "started": _moment(chosen.started),
        "search": chosen.search,
        "common": False,
        "most": _MATCHES,
    }


def lowest_id(moment: int) -> UUID:
    """The lowest UUIDv7 of a millisecond."""
    return UUID(int=max(moment, 0) << 80)


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else datetime.fromtimestamp(instant / 1000, UTC)


def _row(row: TupleRow) -> JobRow:
    values: list[Any] = [milliseconds(x) if isinstance(x, datetime) else x for x in row[1:-1]]
    return JobRow(values[0].bytes, *values[1:])


async def count(connection: Connection, chosen: Filter, enqueued: int, *, settled: bool) -> int:
    """How many jobs the filter means, of those enqueued up to a position and (settled) unchanged since."""
    values = {**parameters_of(chosen, 1), "ids": _ids(chosen), "enqueued": enqueued, "settled": settled}
    row = await (await connection.execute(sql.load("job_count"), values)).fetchone()
    return int(row[0]) if row else 0


async def named(connection: Connection, chosen: Filter) -> list[tuple[bytes, int, int]]:
    """(id, enqueued, position) of the filter's ids, of its queues and states."""
    values = {**parameters_of(chosen, 1), "ids": _ids(chosen)}
    rows = await (await connection.execute(sql.load("job_named"), values)).fetchall()
    return [(row[0].bytes, row[1], row[2]) for row in rows]


def _ids(chosen: Filter) -> list[UUID] | None:
    return None if chosen.ids is None else [UUID(bytes=job) for job in chosen.ids]
