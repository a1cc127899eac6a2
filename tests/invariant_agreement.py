"""What always holds: after each step the log is read on, and tables, marks, folds and Redis must agree with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from hivelog.broker.audit import audit
from hivelog.broker.sweep import sweep
from hivelog.events import job as rules_of_jobs
from hivelog.events.read import Event
from hypothesis.stateful import invariant

from .intact import INTACT
from .invariant_world import World
from .queue_model import Seen

_EVENTS = """
select position, round(extract(epoch from recorded_at) * 1000)::bigint, uuid_send(stream), version,
    type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events where position > %s order by position
"""
_TABLES = """
select 'pending', uuid_send(job), queue, type, priority, version, attempt, retry,
    round(extract(epoch from due_at) * 1000)::bigint from hivelog.pending
union all select 'queued', uuid_send(job), queue, type, priority, version, attempt, retry, null
from hivelog.ready
union all select 'processing', uuid_send(job), queue, type, priority, version, attempt, retry, token
from hivelog.leases
"""


class Agreement(World):
    """`read_on` shows the model what happened; `_settle` waits until Redis is what the log says."""

    def read_on(self, last: int | None = None) -> set[bytes]:
        touched = set()
        for row in self.probe.execute(_EVENTS, (self.model.head,)).fetchall():
            if last is not None and row[0] > last:
                break
            data = row[10] or {}
            self.model.observe(Seen(row[0], row[1], *row[2:8], data))
            touched.add(row[2])
        return touched

    @invariant()
    def log_tables_marks_and_folds_agree(self) -> None:
        touched = self.read_on()
        assert self.probe.execute(INTACT).fetchone() == (True,) * 5
        rows = self.probe.execute(_TABLES).fetchall()
        assert len(rows) == len({row[1] for row in rows}), "a live job is in one table"
        for status, job, queue, kind, priority, version, attempt, retry, mark in rows:
            known = self.model.jobs[job]
            seen = (status, queue, kind, priority, version, attempt, retry, mark)
            assert seen == (
                known.status, known.queue, self.types[known.type], known.priority, known.version,
                known.attempt, known.retry, known.due if status == "pending" else known.token,
            )  # fmt: skip
        assert {row[1] for row in rows} == {j.id for j in self.model.of("pending", "queued", "processing")}
        for job in touched & self.model.jobs.keys():
            self._fold(job)
        assert self.acknowledged.keys() <= self.model.jobs.keys(), "what was acknowledged is in the log"

    def _fold(self, job: bytes) -> None:
        query = _EVENTS.replace("position > %s", "stream = %s")
        rows = self.probe.execute(query, (UUID(bytes=job),)).fetchall()
        state = rules_of_jobs.fold(Event(*row) for row in rows)
        known = self.model.jobs[job]
        assert (state.status, state.version, state.retry, state.attempt, state.priority, state.token) == (
            known.status, known.version, known.retry, known.attempt, known.priority, known.token,
        )  # fmt: skip
        assert (state.due_at, state.cancelling, state.session) == (known.due, known.cancelling, known.session)

    async def _settle(self) -> None:
        """Redis in reach again: it must become what the log says."""
        self.proxy._swallow = False
        for feed in self.feeds:
            feed.away, feed.next = False, ""
        self.adversary.forget_builds()
        await self._eventually(self._caught_up)
        self.read_on()
        wanted: dict[tuple[int, int], dict[bytes, float]] = {}
        for job in self.model.of("queued"):
            wanted.setdefault((job.queue, self.types[job.type]), {})[job.id] = -job.priority
        if not self.honest:
            # What the audit finds out within seconds when counts differ, done at once for all that may.
            self.engines[0].feeder.catch_up(anew=True)
        await self._eventually(self._same(wanted))
        self.honest = True

    def _same(self, wanted: dict[Any, Any]) -> Callable[[], Awaitable[bool]]:
        async def same() -> bool:
            with contextlib.suppress(Exception):
                await sweep(self.engines[0].redis, self.engines[0].pool)
                differences = await audit(self.engines[0].redis, self.engines[0].pool)
                return not differences and self.adversary.claims() == 0 and self.adversary.ready() == wanted
            return False

        return same

    async def _caught_up(self) -> bool:
        for engine in self.engines:
            with contextlib.suppress(Exception):
                await engine.feeder.look()
            engine.feeder.catch_up()
        at = self.adversary.checkpoint()
        row = self.probe.execute("select max(position) from hivelog.batches").fetchone()
        return at is not None and row is not None and at[1] == row[0] and all(
            engine.feeder.available and engine.appender.available for engine in self.engines
        )  # fmt: skip

    async def _eventually(self, condition: Callable[[], Awaitable[bool]], seconds: float = 12.0) -> None:
        deadline = time.monotonic() + seconds
        while not await condition():
            assert time.monotonic() < deadline, (
                f"{condition.__qualname__}: {self.adversary.checkpoint()} {self.adversary.ready()}"
                f" {self.adversary.claims()} {[e.feeder.available for e in self.engines]}"
                f" {self.adversary.keys()} {[e.redis.error for e in self.engines]}"
            )
            await asyncio.sleep(0.02)
