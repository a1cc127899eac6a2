"""Drain: end what waits in a queue, of the jobs enqueued at or before a position; what runs goes on.

A small drain is done when the call answers. A big one becomes an action: recorded, done in chunks beside the
caller, and taken up by another process when this one dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import structlog
from msgspec import Struct

from .. import sql
from ..events import types
from ..events.appender import Appender
from ..events.batch import Move, Part, Record
from ..events.log import milliseconds
from ..events.names import SYSTEM_STREAM, Names, Queue
from ..events.pool import Pool
from ..stopping import stop_tasks
from .action_log import duty, record
from .errors import invalid, unknown_queue
from .leadership import Leadership

_log = structlog.get_logger(__name__)

AT_ONCE: Final = 10_000  # jobs; more run as an action
# Events an append: what others wait for meanwhile. A thousand would take four times as long.
CHUNK: Final = 250
_PASSES: Final = 10

_DRAINED: Final = msgspec.Raw(types.encode(types.Cancelled("drained")) or b"")
_FIRST_DUE: Final = datetime(1, 1, 1, tzinfo=UTC)
_FIRST_JOB: Final = UUID(int=0)


class DrainResult(Struct, frozen=True):
    """`matched` waiting jobs up to `position`; `cancelled` None: not done (dry run) or not done yet
    (then `action_id` names the action)."""

    position: int
    matched: int
    cancelled: int | None = None
    action_id: str | None = None


class Action(Struct, frozen=True):
    """A long command, as the log tells it. Times in milliseconds; `finished_at` None: still at it."""

    action_id: str
    action: str
    queue: int | None
    position: int
    matched: int | None
    actor: int
    started_at: int
    finished_at: int | None
    changed: int
    recorded: int  # position of action_started


class Drains:
    """Raises Rejected (unknown_queue, invalid_field), Overloaded, DatabaseUnavailable."""

    def __init__(
        self,
        appender: Appender,
        names: Names,
        pool: Pool,
        *,
        at_once: int = AT_ONCE,
        chunk: int = CHUNK,
    ) -> None:
        self._appender = appender
        self._names = names
        self._pool = pool
        self._at_once = at_once
        self._chunk = chunk
        self._leadership = Leadership(pool)
        self._tasks: set[asyncio.Task[None]] = set()

    async def drain(
        self, queue: str, *, actor: str, position: int | None = None, dry_run: bool = False
    ) -> DrainResult:
        """End the waiting jobs enqueued at or before `position` (None: now); a dry run only counts."""
        found = await self._names.queue(queue)
        if found is None:
            raise unknown_queue(queue)
        async with self._pool.connection() as connection:
            parameters = {"queue": found.id, "position": position}
            row = await (await connection.execute(sql.load("drain_count"), parameters)).fetchone()
        assert row is not None
        head, until, matched = row
        if not 0 <= until <= head:
            raise invalid("position", f"must be from 0 to {head}, the end of the log")
        if dry_run:
            return DrainResult(until, matched)
        number = await self._names.actor_id(actor)
        if matched > self._at_once:
            return await self._start(found, until, matched, number)
        cancelled = await self._work(found.id, until, number, None)
        await self._appender.submit(Part(records=[_drained(found, until, cancelled, number)]))
        return DrainResult(until, matched, cancelled)

    async def _start(self, queue: Queue, until: int, matched: int, actor: int) -> DrainResult:
        action_id = str(uuid4())
        await self._leadership.claim([duty(action_id)])
        data = types.ActionStarted(action_id, "drain", until, matched, {"queue": queue.name})
        started = record("action_started", data, actor, queue.id)
        outcome = await self._appender.submit(Part(records=[started]))
        action = Action(
            action_id, "drain", queue.id, until, matched, actor, outcome.recorded_at, None, 0,
            outcome.positions["r"][0],
        )  # fmt: skip
        self._spawn(action, resumed=False)
        return DrainResult(until, matched, action_id=action_id)

    def _spawn(self, action: Action, *, resumed: bool) -> None:
        task = asyncio.create_task(self._finish(action, resumed), name=f"drain {action.action_id}")
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The action stays unfinished in the log; the leader takes it up again.
            _log.warning("drain_interrupted", task=task.get_name(), error=str(error))

    async def _finish(self, action: Action, resumed: bool) -> None:
        assert action.queue is not None
        queue = await self._names.queue_by_id(action.queue)
        cancelled = await self._work(action.queue, action.position, action.actor, action.action_id)
        if resumed:
            cancelled = await self._count(action)
        finished = types.ActionFinished(action.action_id, cancelled)
        records = [record("action_finished", finished, action.actor, action.queue)]
        if queue is not None:
            records.insert(0, _drained(queue, action.position, cancelled, action.actor))
        await self._appender.submit(Part(records=records))
        await self._leadership.release([duty(action.action_id)])

    async def _count(self, action: Action) -> int:
        parameters = {
            "queue": action.queue, "position": action.position, "start": action.recorded,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.load("drained_count"), parameters)).fetchone()
        assert row is not None
        return int(row[0])

    async def resume_unfinished(self) -> int:
        """Take up the actions whose process died; answers how many. For a leader, now and then."""
        resumed = 0
        for action in await self._actions(None):
            running = any(task.get_name() == f"drain {action.action_id}" for task in self._tasks)
            if not running and await self._leadership.claim([duty(action.action_id)]):
                _log.info("drain_resumed", action=action.action_id)
                self._spawn(action, resumed=True)
                resumed += 1
        return resumed

    async def action(self, action_id: str) -> Action | None:
        found = await self._actions(action_id)
        return found[0] if found else None

    async def _actions(self, action_id: str | None) -> list[Action]:
        parameters = {"stream": UUID(bytes=SYSTEM_STREAM), "action": action_id}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(sql.load("actions"), parameters)).fetchall()
        return [_action(row) for row in rows]

    async def stop(self) -> None:
        """Leave what runs to other processes."""
        tasks = list(self._tasks)
        await stop_tasks(*tasks)
        if tasks:
            await self._leadership.release([duty(t.get_name().split()[1]) for t in tasks])

    # -- the work ----------------------------------------------------------------------------------------

    async def _work(self, queue: int, until: int, actor: int, action_id: str | None) -> int:
        """Passes over pending, then ready, until one meets nothing: a job may have moved, unrefused,
        from where a pass had yet to look to where it had looked."""
        cancelled = 0
        for _ in range(_PASSES):
            met = 0
            async for moves in self._chunks(queue, until, actor):
                outcome = await self._appender.submit(Part(moves=moves))
                met += len(moves)
                cancelled += len(moves) - len(outcome.refused)
                if action_id is not None:
                    await self._leadership.claim([duty(action_id)])
                # The appender takes what others have submitted meanwhile before the next chunk.
                await asyncio.sleep(0)
            if met == 0:
                break
        return cancelled

    async def _chunks(self, queue: int, until: int, actor: int) -> AsyncIterator[list[Move]]:
        common = {"queue": queue, "position": until, "limit": self._chunk}
        after: dict[str, Any] = {"due": _FIRST_DUE, "job": _FIRST_JOB}
        while rows := await self._rows("drain_pending", {**common, **after}):
            yield [_move(row[1], row[2], actor, queue, due_at=row[0].isoformat()) for row in rows]
            after = {"due": rows[-1][0], "job": rows[-1][1]}
        for kind, priority in await self._rows("drain_groups", {"queue": queue}):
            group = {**common, "type": kind, "priority": priority}
            job = _FIRST_JOB
            while rows := await self._rows("drain_ready", {**group, "job": job}):
                yield [
                    _move(row[0], row[1], actor, queue, type=kind, priority=priority) for row in rows
                ]
                job = rows[-1][0]

    async def _rows(self, query: str, parameters: dict[str, Any]) -> list[Any]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load(query), parameters, binary=True)
            return await cursor.fetchall()


def _move(job: UUID, version: int, actor: int, queue: int, **key: Any) -> Move:
    return Move(
        job=str(job), event="cancelled", source="pending" if "due_at" in key else "ready",
        target="none", version=version, actor=actor, queue=queue, data=_DRAINED, **key,
    )  # fmt: skip


def _drained(queue: Queue, until: int, cancelled: int, actor: int) -> Record:
    data = msgspec.Raw(msgspec.json.encode(types.Drained(until, cancelled)))
    stream = str(UUID(bytes=queue.stream))
    return Record(stream=stream, event="drained", actor=actor, queue=queue.id, data=data)


def _action(row: Any) -> Action:
    times = (None if moment is None else milliseconds(moment) for moment in row[6:8])
    return Action(*row[:6], *times, *row[8:])
