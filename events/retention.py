"""Takes what is older than the retention time out of the log: archived first, whole partitions at a time.

    retention = Retention(url, archive, submit)
    done = await retention.run(days=30)

Each step may be the last of a process: the archive is a file that is whole or absent, what must stay is
copied beside the log, the partitions go and the copy comes in one transaction, and what hangs on them is
swept before the detached tables are dropped. The next run goes on where this one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import psycopg
import structlog
from msgspec import Struct

from .. import sql
from . import archive, types, verify_kept
from .batch import Part, Record
from .names import SYSTEM_STREAM
from .pool import Connection, connect
from .retained import retained
from .retention_plan import Plan, cut_after, read_plan

_log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 50
_PAUSE: Final = 0.1  # seconds, longer with each attempt, to let the readers through
_NEAR: Final = 1000  # positions left for the last look, which is under the lock of the append
_SLICE: Final = 50_000  # positions swept in one statement
_MARKS: Final = 20_000
_LOOK: Final = 0.2
_LOOKS: Final = 150  # half a minute; a seal comes within a second or two

Submit = Callable[[Part], Awaitable[Any]]
Progress = Callable[[str, int, int], None]


class Busy(Exception):
    """Another process is at it."""


class Unsealed(Exception):
    """What will be gone was announced in the log, and no seal came."""


class Done(Struct, frozen=True):
    """What one run did: the edge is where the log begins now."""

    edge: int
    dropped: int = 0
    carried: int = 0
    jobs: int = 0
    archived: list[archive.Manifest] = []
    plan: Plan | None = None


class Retention:
    """`submit` appends; `archive_to` None: nothing is archived. `progress(step, done, total)`."""

    def __init__(
        self, url: str, archive_to: Path | None, submit: Submit, *, actor: int,
        progress: Progress = lambda step, done, total: None,
    ) -> None:  # fmt: skip
        self._url, self._archive, self._submit, self._actor = url, archive_to, submit, actor
        self._progress = progress

    async def run(self, days: int) -> Done:
        """Everything that may go now. Raises Busy, Unsealed, archive.ArchiveError,
        psycopg.Error."""
        async with self._alone() as connection:
            await self._sweep(connection)  # what an earlier run left
            plan = await read_plan(connection, days)
            if not plan.parts:
                return Done(plan.limits.edge, plan=plan)
            return await self._take(connection, plan)

    async def cut(self, days: int) -> bool:
        """End the partition that is being written, if it is old enough."""
        connection = await connect(self._url, "hivelog retention")
        try:
            return bool(await _patiently(connection, "select hivelog.cut_partition(%s)", (cut_after(days),)))
        finally:
            await connection.close()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection]:
        """A connection without time limits, for one process at a time."""
        connection = await connect(self._url, "hivelog retention")
        try:
            await connection.execute("set statement_timeout = 0")
            connection.silence = None
            query = "select pg_try_advisory_lock(hivelog.partition_lock() + 1)"
            if not await _value(connection, query):
                raise Busy("another process is removing events")
            yield connection
        finally:
            await connection.close()

    async def _take(self, connection: Connection, plan: Plan) -> Done:
        edge = plan.edge
        await self._tell_start(connection, plan)
        archived = await self._archive_all(connection, plan)
        await _announced(connection, edge)
        self._progress("carry", 0, 1)
        looked_to, carried = await _row(connection, "select * from hivelog.retention_stage(%s)", (edge,))
        while True:
            values = (edge, looked_to)
            now, added = await _row(connection, "select * from hivelog.retention_catch_up(%s, %s)", values)
            carried, near = carried + added, now - looked_to <= _NEAR
            looked_to = now
            if near:
                break
        to = None if self._archive is None else str(self._archive)
        swap = (edge, plan.cutoff, looked_to, to)
        dropped = await _patiently(connection, "select hivelog.retention_swap(%s, %s, %s, %s)", swap)
        _log.info("retention_edge", edge=edge, events=dropped, carried=carried)
        jobs = await self._sweep(connection)
        return Done(edge, dropped, carried, jobs, archived, plan)

    async def _archive_all(self, connection: Connection, plan: Plan) -> list[archive.Manifest]:
        if self._archive is None:
            return []
        done: list[archive.Manifest] = []
        before = 0
        for part in plan.parts:
            told = before

            def progress(count: int, of: int, told: int = told) -> None:
                self._progress("archive", told + count, plan.count)

            done.append(await archive.write(connection, self._archive, part.first, part.last, progress))
            before += part.count
        return done

    # -- after the partitions are off the log ------------------------------------------------------------

    async def _sweep(self, connection: Connection) -> int:
        """Forget what hung on the tables taken off, then drop these; answers how many jobs went."""
        tables = (await read_plan(connection, 36_500)).limits.unfinished
        if not tables:
            return 0
        jobs = 0
        for table in tables:
            jobs += await self._sweep_table(connection, table)
        query = "select hivelog.retention_sweep_rest(%s)"
        while await _value(connection, query, (_MARKS,)) == _MARKS:
            pass
        await self._tell_end(connection, jobs)
        for table in tables:
            await _patiently(connection, "select hivelog.retention_drop(%s)", (table,))
        return jobs

    async def _sweep_table(self, connection: Connection, table: str) -> int:
        low, high = await _row(connection, "select * from hivelog.retention_range(%s)", (table,))
        jobs, at = 0, (low or 1) - 1
        while high is not None and at < high:
            end = min(at + _SLICE, high)
            query = "select hivelog.retention_sweep(%s, %s, %s)"
            jobs += int(await _value(connection, query, (table, at, end)))
            self._progress("sweep", end - low + 1, high - low + 1)
            at = end
        return jobs

    # -- in the log --------------------------------------------------------------------------------------

    async def _tell_start(self, connection: Connection, plan: Plan) -> None:
        action = _action(plan.edge)
        if "action_started" not in await _told(connection, action):
            said = {"before": plan.cutoff.isoformat(), "archived": self._archive is not None}
            data = types.ActionStarted(action, "retention", plan.edge, plan.count, said)
            await self._submit(self._record("action_started", data))

    async def _tell_end(self, connection: Connection, jobs: int) -> None:
        edge = (await retained(connection)).edge
        action = _action(edge)
        told = await _told(connection, action)
        if "action_started" in told and "action_finished" not in told:
            query = "select dropped from hivelog.retention where edge = %s"
            dropped = await _value(connection, query, (edge,))
            kept = msgspec.to_builtins(await verify_kept.digest(connection, edge))
            data = types.ActionFinished(action, dropped, detail=kept)
            await self._submit(self._record("action_finished", data))

    def _record(self, event: str, data: Struct) -> Part:
        raw = msgspec.Raw(types.encode(data) or b"{}")
        return Part(records=[Record(str(UUID(bytes=SYSTEM_STREAM)), event, self._actor, data=raw)])


def _action(edge: int) -> str:
    """The same for every attempt to get to this edge."""
    return str(uuid5(NAMESPACE_URL, f"hivelog:retention:{edge}"))


async def _told(connection: Connection, action: str) -> dict[str, int]:
    """Which of its events the log has, and where."""
    cursor = await connection.execute(sql.load("retention_told"), {"action": action})
    return dict(await cursor.fetchall())


async def _announced(connection: Connection, edge: int) -> None:
    """The log must say under a seal what will be gone, or a verifier would have to believe less than that."""
    at = (await _told(connection, _action(edge)))["action_started"]
    query = "select coalesce(max(position), 0) from hivelog.seals"
    for _ in range(_LOOKS):
        if await _value(connection, query) >= at:
            return
        await asyncio.sleep(_LOOK)
    raise Unsealed("the log is not being sealed: nothing is taken from it")


async def _patiently(connection: Connection, query: str, values: tuple[object, ...]) -> Any:
    """A change of partitions waits 200 ms for the readers, then lets everybody through and tries again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _value(connection, query, values)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(_PAUSE * min(attempt, 20))
    raise AssertionError("unreachable")


async def _row(connection: Connection, query: Any, values: tuple[object, ...] = ()) -> Any:
    row = await (await connection.execute(query, values)).fetchone()
    assert row is not None
    return row


async def _value(connection: Connection, query: Any, values: tuple[object, ...] = ()) -> Any:
    return (await _row(connection, query, values))[0]
