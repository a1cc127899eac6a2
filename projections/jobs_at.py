"""The job list at a moment of the past: by the rounds that held it, each job folded from its story.

    page = await page_at(connection, chosen, moment, limit=50)

Rows are what `jobs.page` gave then. What jobs carry is searched as it is now: what was erased stays so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .. import sql
from ..events.job import fold
from ..events.log import milliseconds
from ..events.pool import Connection
from ..events.read import Event
from .jobs import (
    STATUSES,
    Filter,
    JobRow,
    Page,
    lowest_id,
    page,
    parameters_of,
    read_cursor,
    scan_of,
    write_cursor,
)
from .moments import Moment

_AHEAD: Final = 1000  # ms that the clock which minted an id may be ahead of the log's
_ROUNDS: Final = 25
_SCAN: Final = 2000
_LAST: Final = UUID(int=(1 << 128) - 1)


class _Found(Struct):
    """Jobs, newest first, and the id below which to go on; None at the end."""

    jobs: list[bytes]
    before: bytes | None


async def page_at(
    connection: Connection, chosen: Filter, moment: Moment, *, limit: int = 50, after: str | None = None
) -> Page:
    """A page of at most `limit` jobs. Raises ValueError for a cursor that is none of ours."""
    before = None if after is None else read_cursor(after)
    find = _by_key if carried(chosen) else _by_status
    scan, most = scan_of(chosen, limit)
    sessions = await sessions_of(connection, chosen)
    rows: list[JobRow] = []
    for _ in range(_ROUNDS):
        found = await find(connection, chosen, moment, limit + 1 - len(rows), before, scan)
        rows += await fitting_at(connection, found.jobs, chosen, moment, sessions)
        before, scan = found.before, min(2 * scan, most)
        if len(rows) > limit:
            return Page(rows[:limit], write_cursor(rows[limit - 1].id), moment.position)
        if before is None:
            return Page(rows, None, moment.position)
    assert before is not None
    return Page(rows, write_cursor(before), moment.position)


def carried(chosen: Filter) -> bool:
    """Whether jobs are found by what they carry."""
    return bool(chosen.search or chosen.correlation or chosen.tag)


async def sessions_of(connection: Connection, chosen: Filter) -> frozenset[int] | None:
    """The sessions that the filter's worker had; None where it names none."""
    if chosen.worker is None:
        return None
    cursor = await connection.execute(sql.load("worker_sessions"), {"worker": chosen.worker})
    return frozenset(row[0] for row in await cursor.fetchall())


async def fitting_at(
    connection: Connection, jobs: Sequence[bytes], chosen: Filter, moment: Moment,
    sessions: frozenset[int] | None,
) -> list[JobRow]:  # fmt: skip
    """Those of these jobs that the filter means, as they were; stories that cannot fit are not read."""
    if told_by_stories(chosen):
        values = {
            "jobs": [UUID(bytes=job) for job in jobs], "position": moment.position,
            "sessions": None if sessions is None else list(sessions),
            "failed": chosen.fingerprint is not None, "started": parameters_of(chosen, 1)["started"],
        }  # fmt: skip
        cursor = await connection.execute(sql.load("job_candidates_at"), values, binary=True)
        jobs = [row[0].bytes for row in await cursor.fetchall()]
    return [row for row in await rows_at(connection, jobs, moment) if _fits(row, chosen, sessions)]


def told_by_stories(chosen: Filter) -> bool:
    """Whether it asks for what only a job's story tells of a moment."""
    return chosen.worker is not None or chosen.fingerprint is not None or chosen.started is not None


def _fits(row: JobRow, chosen: Filter, sessions: frozenset[int] | None) -> bool:
    """What only the story tells."""
    return (
        row.status in chosen.statuses
        and (sessions is None or row.session in sessions)
        and (chosen.fingerprint is None or (row.fingerprint or row.cause) == chosen.fingerprint)
        and (chosen.started is None or (row.started_at is not None and row.started_at >= chosen.started))
    )


def parameters_at(chosen: Filter, moment: Moment) -> dict[str, Any]:
    """What jobs are found by at a moment, by their states."""
    values = parameters_of(chosen, 1) | moment.parameters
    high = min(values["high"], highest_id(moment))
    return values | {"high": high, "loose": chosen.loose}


def highest_id(moment: Moment) -> UUID:
    """Above the ids of all jobs that there were."""
    return lowest_id(moment.now + _AHEAD)


async def _by_status(
    connection: Connection, chosen: Filter, moment: Moment, limit: int, before: bytes | None, scan: int
) -> _Found:
    values = parameters_at(chosen, moment) | {
        "before": _LAST if before is None else UUID(bytes=before),
        "limit": _SCAN if chosen.loose else limit, "scan": scan if chosen.loose else limit,
    }  # fmt: skip
    rows = await (await connection.execute(sql.load("job_page_at"), values, binary=True)).fetchall()
    jobs = [row[1].bytes for row in rows if row[1] is not None]
    if len(jobs) >= values["limit"]:
        return _Found(jobs, jobs[-1])
    frontier = rows[0][0]
    return _Found(jobs, None if frontier is None else frontier.bytes)


async def _by_key(
    connection: Connection, chosen: Filter, moment: Moment, limit: int, before: bytes | None, _: int
) -> _Found:
    """Whoever carries a tag, a correlation id or a word, whatever became of them since."""
    until = moment.now + 1 if chosen.until is None else min(chosen.until, moment.now + 1)
    any_status = replace(
        chosen, statuses=STATUSES, worker=None, fingerprint=None, started=None, until=until
    )
    after = None if before is None else write_cursor(before)
    found = await page(connection, any_status, limit=max(limit, 200), after=after)
    return _Found([row.id for row in found.rows], None if found.next is None else read_cursor(found.next))


async def rows_at(connection: Connection, jobs: Sequence[bytes], moment: Moment) -> list[JobRow]:
    """These jobs as they were, in the same order; those that did not exist yet are left out."""
    parameters = {"streams": [UUID(bytes=job) for job in jobs], "position": moment.position}
    rows = await (await connection.execute(sql.load("stories_at"), parameters, binary=True)).fetchall()
    stories: dict[bytes, list[Event]] = {}
    for row in rows:
        event = Event(row[0], milliseconds(row[1]), row[2].bytes, *row[3:])
        stories.setdefault(event.stream, []).append(event)
    return [row_of(stories[job]) for job in jobs if job in stories]


def row_of(story: Sequence[Event]) -> JobRow:
    """A story from its beginning -> the row that the projection had after it. `type` and `ready_at` are left
    open: the list shows neither."""
    state = fold(story)
    attempt = _attempt(story)
    error_token, template = _error(story)
    completed = state.status == "completed"
    return JobRow(
        id=state.id, queue=state.queue, type=-1, status=state.status, priority=state.priority,
        attempt=state.attempt, retry=state.retry, version=state.version, position=state.position,
        enqueued=state.enqueued, created_at=state.created_at, due_at=state.due_at, ready_at=None,
        started_at=attempt.recorded_at if attempt else None, ended_at=state.ended_at,
        expires_at=state.expires_at, session=attempt.actor if attempt else None,
        token=attempt.position if attempt else None, error_token=None if completed else error_token,
        progress=state.progress, cancelling=state.cancelling, erased=state.erased, size=state.size,
        correlation=state.correlation, cause=state.cause, error_type=state.error_type,
        fingerprint=state.fingerprint, template=None if completed else template,
        spec=_spec(story[0]),
    )  # fmt: skip


def _spec(first: Event) -> dict[str, Any]:
    return first.data or {}


def _attempt(story: Sequence[Event]) -> Event | None:
    return next((event for event in reversed(story) if event.type == "started"), None)


def _error(story: Sequence[Event]) -> tuple[int | None, str | None]:
    """(the lease that left the last error's text, its template)."""
    token, found, template = None, None, None
    for event in story:
        if event.type == "started":
            token = event.position
        elif event.type in ("retry_scheduled", "failed", "requeued"):
            found = token if event.body_size is not None else None
            template = (event.data or {}).get("template")
    return found, template
