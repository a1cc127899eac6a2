"""Holds everything that is derived from the log against the log: `hivelog diff`.

One snapshot, over two connections: each job's stream is folded in Python and compared with its projected
row and its live row; marks with the live tables; minutes with hours; and every row of every projection with
what folding the log once more makes (`diff_folded`). There are no differences; where there is one, a rebuild
mends the projections, and a difference in a live table or a mark is a bug worth a report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Any

from msgspec import Struct
from psycopg import AsyncServerCursor, IsolationLevel
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from .. import sql
from ..events import ids, pool
from ..events.job import BrokenStream, JobState, evolve
from ..events.log import milliseconds
from ..events.pool import Connection
from ..events.read import Event, head
from ..stopping import stop_tasks
from .checkpoint import checkpoints
from .definitions import PROJECTIONS
from .diff_folded import Told, differing

_PAGE = 2000
Progress = Callable[[int, int], None]
_LIVE = {"pending": "pending", "ready": "queued", "lease": "processing"}


class Difference(Struct, frozen=True):
    """Two places that disagree. `where`: log, live, marks, or a projection's table; `what`: a field."""

    where: str
    subject: str  # a job id, a queue, or a row's key
    what: str
    expected: Any
    found: Any


class Compared(Struct):
    """The outcome, at `position`. `complete` is False when there were more differences than asked for;
    a projection that is behind is itself a difference."""

    position: int
    jobs: int
    differences: list[Difference]
    complete: bool = True


class _Projected(Struct):
    """A row of diff_jobs, times in ms."""

    id: bytes
    jobs: dict[str, Any] | None
    live: dict[str, Any] | None


_FIELDS = (
    "version", "position", "status", "queue", "priority", "attempt", "retry", "due_at", "ended_at",
    "cancelling", "erased", "cause", "fingerprint", "enqueued",
)  # fmt: skip
_LIVE_FIELDS = (
    "table", "version", "queue", "priority", "attempt", "retry", "due_at", "cancelling", "token", "rows",
)  # fmt: skip


async def diff(
    connection: Connection, *, most: int = 100, progress: Progress = lambda done, total: None
) -> Compared:
    """Compare all of it, on a connection of its own in autocommit mode and another beside it; `progress(done,
    total)` now and then, in positions. Reads one snapshot: appends go on meanwhile."""
    async with _snapshot(connection), await _beside(connection) as other:
        row = await (await connection.execute("select pg_export_snapshot()")).fetchone()
        assert row is not None
        async with _snapshot(other, row[0]):
            return await _compare(connection, other, most, progress)


@asynccontextmanager
async def _snapshot(connection: Connection, shared: str | None = None) -> AsyncIterator[None]:
    """A transaction that takes its time, over a snapshot of its own or a shared one."""
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    connection.silence = None
    try:
        async with connection.transaction():
            if shared is not None:
                text = composed.SQL("set transaction snapshot {}").format(composed.Literal(shared))
                await connection.execute(text)
            await connection.execute("set local statement_timeout = 0")
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            yield
    finally:
        await connection.set_isolation_level(None)


async def _beside(connection: Connection) -> Connection:
    """Another connection to the same database."""
    info = connection.info
    return await pool.connect(make_conninfo(info.dsn, password=info.password or None), "hivelog diff")


async def _compare(
    connection: Connection, other: Connection, most: int, progress: Progress
) -> Compared:
    """The database folds on one connection while the core does with what the other reads."""
    result = Compared((await head(connection)).position, 0, [])
    reached = _Reached(result.position, progress)
    result.differences += await _behind(connection, result.position)
    result.differences += await _figures(connection)
    beside = asyncio.create_task(_rows_of_projections(other, most, reached.told))
    try:
        jobs = await _walk(connection, result, most, reached.told)
        result.differences += await beside + jobs
    finally:
        await stop_tasks(beside)
    if len(result.differences) > most:
        result.differences, result.complete = result.differences[:most], False
    return result


class _Reached:
    """How far the core and the folding of each projection are, told as one number."""

    def __init__(self, position: int, progress: Progress) -> None:
        self._all, self._progress = position * (1 + len(PROJECTIONS)), progress
        self._reached: dict[str, int] = {}

    def told(self, who: str, position: int) -> None:
        self._reached[who] = max(position, self._reached.get(who, 0))
        self._progress(sum(self._reached.values()), self._all)


async def _walk(
    connection: Connection, result: Compared, most: int, told: Told
) -> list[Difference]:
    """Differences of jobs, a few more than `most` at most; counts them in the result."""
    found: list[Difference] = []
    async for differences in _jobs(connection, told):
        result.jobs += 1
        found += differences
        if len(found) > most:
            return found
    told("core", result.position)
    return found


async def _behind(connection: Connection, position: int) -> list[Difference]:
    """Projections that have not come as far as the log."""
    return [
        Difference("log", at.name, "position", position, at.position)
        for at in await checkpoints(connection)
        if at.live and at.position != position
    ]


async def _figures(connection: Connection) -> list[Difference]:
    """Marks against the live tables, minutes against hours."""
    found = []
    for where, query in (("marks", "diff_marks"), ("queue_minutes", "diff_minutes")):
        for queue, what, one, other in await (await connection.execute(sql.load(query))).fetchall():
            found.append(Difference(where, queue, what, int(one), int(other)))
    return found


async def _rows_of_projections(connection: Connection, most: int, told: Told) -> list[Difference]:
    """Most fields of a job are left to the core's own folding (`_jobs`)."""
    by_the_core = ("row", *_FIELDS)
    return [
        Difference(table, *row)
        async for table, *row in differing(connection, most=most, told=told)
        if table != "jobs" or row[1] not in by_the_core
    ]


async def _jobs(connection: Connection, told: Told) -> AsyncIterator[list[Difference]]:
    """The log's jobs and the derived rows, both in order of id, walked side by side."""
    folded, projected = _folded(connection, told), _projected(connection)
    state, row = await anext(folded, None), await anext(projected, None)
    while state is not None or row is not None:
        if row is None or (state is not None and state[0] < row.id):
            assert state is not None
            yield _against(state, None)
            state = await anext(folded, None)
        elif state is None or row.id < state[0]:
            yield [Difference("log", ids.to_text(row.id), "job", None, "derived rows")]
            row = await anext(projected, None)
        else:
            yield _against(state, row)
            state, row = await anext(folded, None), await anext(projected, None)


_Folded = tuple[bytes, JobState | BrokenStream]


async def _folded(connection: Connection, told: Told) -> AsyncIterator[_Folded]:
    """Ids are in the order of time, and so are positions, nearly."""
    job: bytes | None = None
    state: JobState | BrokenStream | None = None
    number = 0
    async for row in _rows(connection, "diff_events"):
        number += 1
        if number % _PAGE == 0:
            told("core", row[0])
        event = Event(row[0], milliseconds(row[1]), row[2].bytes, *row[3:])
        if event.stream != job:
            if job is not None and state is not None:
                yield job, state
            job, state = event.stream, None
        if not isinstance(state, BrokenStream):
            try:
                state = evolve(state, event)
            except BrokenStream as error:
                state = error
    if job is not None and state is not None:
        yield job, state


async def _projected(connection: Connection) -> AsyncIterator[_Projected]:
    async for row in _rows(connection, "diff_jobs"):
        values = [milliseconds(x) if isinstance(x, datetime) else x for x in row[1:]]
        cut = len(_FIELDS)
        jobs = dict(zip(_FIELDS, values[:cut], strict=True)) if values[0] is not None else None
        live = dict(zip(_LIVE_FIELDS, values[cut:], strict=True)) if values[cut] is not None else None
        yield _Projected(row[0].bytes, jobs, live)


_names = count()


async def _rows(connection: Connection, query: str) -> AsyncIterator[TupleRow]:
    cursor: AsyncServerCursor[TupleRow] = connection.cursor(f"hivelog_diff_{next(_names)}")
    async with cursor:
        cursor.itersize = _PAGE
        await cursor.execute(sql.load(query), binary=True)
        async for row in cursor:
            yield row


def _against(folded: _Folded, row: _Projected | None) -> list[Difference]:
    job, state = folded
    subject = ids.to_text(job)
    if isinstance(state, BrokenStream):
        return [Difference("log", subject, "history", "legal", str(state))]
    found = [] if row is None or row.jobs is None else _fields("jobs", subject, state, row.jobs)
    if row is None or row.jobs is None:
        found.append(Difference("jobs", subject, "row", state.status, None))
    return found + _live(subject, state, None if row is None else row.live)


def _fields(where: str, subject: str, state: JobState, values: dict[str, Any]) -> list[Difference]:
    return [
        Difference(where, subject, name, getattr(state, name), value)
        for name, value in values.items()
        if getattr(state, name) != value
    ]


def _live(subject: str, state: JobState, live: dict[str, Any] | None) -> list[Difference]:
    """A live job is in exactly one table, an ended one in none."""
    expected = None if state.table == "ended" else state.table
    table = None if live is None else live["table"]
    if table != expected or live is None:
        return [] if table == expected else [Difference("live", subject, "table", expected, table)]
    if live["rows"] != 1:
        return [Difference("live", subject, "rows", 1, live["rows"])]
    names = ("version", "queue", "priority", "attempt", "retry", "cancelling", "token", "due_at")
    return _fields("live", subject, state, {name: live[name] for name in names})
