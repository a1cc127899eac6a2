"""The real system against the model, with crashes, lost answers and an untrustworthy Redis in between.

Two processes (an `Engine` each, one behind a proxy that loses answers) on one database and one Redis, and
simulated workers on them. After every step the log is read on and the model refuses what may not happen; then
live tables, marks and the folds of all touched streams must agree with it. `settle` lets Redis catch up and
compares that too. At the end the faults stop, workers run, and every acknowledged job must have ended.

HIVELOG_INVARIANTS=<examples> makes a long, random run; without it the run is short and always the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import pytest
from hivelog.broker.audit import audit
from hivelog.broker.drain import Drains
from hivelog.broker.engine import Engine
from hivelog.broker.enqueue import Item
from hivelog.broker.errors import Rejected
from hivelog.broker.reaper import Reaper
from hivelog.broker.scheduler import Scheduler
from hivelog.broker.sweep import sweep
from hivelog.events import job as rules_of_jobs
from hivelog.events.batch import Part
from hivelog.events.errors import DatabaseUnavailable
from hivelog.events.read import Event
from hivelog.settings import Settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from simulated_clock import Clock

from .adversary import Adversary, BadFeed
from .conftest import Servers, new_database
from .proxy import Proxy, proxied
from .queue_model import DEAD_AFTER, ENDED, QueueModel, Seen
from .simulated_worker import ENDINGS, SimulatedWorker
from .test_append import INTACT

T = TypeVar("T")
QUEUES = ("alpha", "beta")
TYPES = ("one", "two")
LONG = int(os.environ.get("HIVELOG_INVARIANTS", "0"))
# Shrinking takes minutes: only where somebody asked for a long run.
PHASES = [phase for phase in Phase if phase is not Phase.shrink or LONG]
STEP = 4.0  # seconds: what the reaper still takes for one observation

_ENDS = st.lists(st.sampled_from(sorted(ENDINGS)), min_size=3, max_size=3)
# Draws never depend on what the system did (numbers are taken modulo): the same seed is the same run.
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


@pytest.fixture(scope="module")
def prepared(servers: Servers, template: str) -> Any:
    """A database with a clock that can be moved and the queues of the test: what each example copies."""
    with new_database(servers, template) as url:
        Clock(url).install()
        yield urlsplit(url).path.removeprefix("/")


class Machine(RuleBasedStateMachine):
    servers: Servers
    prepared: str
    redis_url: str
    began: float

    def __init__(self) -> None:
        super().__init__()
        self.model = QueueModel()
        self.acknowledged: dict[bytes, str] = {}
        self.keys: dict[str, bytes] = {}
        self.workers: list[SimulatedWorker] = []
        self.frozen: list[SimulatedWorker] = []
        self.honest = True  # Redis has not been tampered with since it was compared
        self.stack = contextlib.AsyncExitStack()
        self.closing = contextlib.ExitStack()
        self.loop = asyncio.new_event_loop()
        self.rng = random.Random(1)
        self.url = self.closing.enter_context(new_database(self.servers, self.prepared))
        self.clock = Clock(self.url)
        self.probe = self.closing.enter_context(psycopg.connect(self.url, autocommit=True))
        self.adversary = Adversary(self.redis_url, self.rng)
        self.adversary.flush()
        self.run(self._open())

    def run(self, awaitable: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(30):
                return await awaitable

        return self.loop.run_until_complete(bounded())

    async def _open(self) -> None:
        directory = Path(tempfile.mkdtemp())
        self.closing.callback(shutil.rmtree, directory, True)
        self.proxy: Proxy = await self.stack.enter_async_context(proxied(self.url, directory))
        self.engines = [await self._engine(None), await self._engine(self.proxy.url)]
        self.feeds = [BadFeed(engine.redis) for engine in self.engines]
        first = self.engines[0]
        self.drains = Drains(first.appender, first.names, first.pool)
        self.scheduler = Scheduler(first.appender, first.names, first.pool)
        self.reaper = Reaper(first.appender, first.names, first.pool, grace=30.0)
        for name in QUEUES:
            await first.queues.configure(name, {"retry_delay": 5, "retry_backoff": "fixed"}, actor="test")
        for engine in self.engines:
            await engine.names.refresh()
        self.ids = {name: (await first.queues.state(name)).id for name in QUEUES}
        self.names = {number: name for name, number in self.ids.items()}
        self.types = {name: await first.names.type_id(name) for name in TYPES}
        await self._hire(0)

    async def _engine(self, append_url: str | None) -> Engine:
        known = Settings.load({}, database_url=self.url, redis_url=self.redis_url)
        engine = Engine(known, name="test", pool_size=2)
        if append_url is not None:
            engine.appender.log._url = append_url
        engine.claims._hold_ms = 300
        return await self.stack.enter_async_context(engine)

    async def _hire(self, engine: int) -> None:
        worker = await SimulatedWorker.open(self.engines[engine], list(QUEUES), list(TYPES))
        self.workers.append(worker)

    # -- work --------------------------------------------------------------------------------------------

    @rule(
        engine=st.integers(0, 1), queue=st.sampled_from(QUEUES), kind=st.sampled_from(TYPES),
        priority=st.sampled_from([0, 100, 500]), count=st.integers(1, 3), retries=st.integers(0, 2),
        delay=st.sampled_from([None, None, 3, 12]), life=st.sampled_from([None, None, None, 15, 40]),
        timeout=st.sampled_from([None, 6]),
    )  # fmt: skip
    def enqueue(
        self, engine: int, queue: str, kind: str, priority: int, count: int, retries: int, delay: int | None,
        life: int | None, timeout: int | None,
    ) -> None:  # fmt: skip
        options: dict[str, object] = {"priority": priority, "max_retries": retries, "timeout": timeout}
        if delay is not None:
            options["scheduled_for"] = self._in(delay)
        if life is not None:
            options["expires_at"] = self._in(life)
        items = [Item(queue, kind, {"n": n}, options) for n in range(count)]
        with contextlib.suppress(DatabaseUnavailable):  # then nothing was acknowledged
            accepted = self.run(self.engines[engine].enqueuer.enqueue_many(items, actor="test"))
            self.acknowledged |= dict.fromkeys(accepted.jobs, queue)

    @rule(key=st.sampled_from("abc"), callers=st.integers(1, 4))
    def enqueue_with_a_key(self, key: str, callers: int) -> None:
        async def all_at_once() -> list[Any]:
            calls = [
                self.engines[n % 2].enqueuer.enqueue("alpha", "one", {}, actor="test", idempotency_key=key)
                for n in range(callers)
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

        answers = self.run(all_at_once())
        jobs = {accepted.job for accepted in answers if not isinstance(accepted, DatabaseUnavailable)}
        if not jobs:
            return
        assert len(jobs) == 1, "one key, one job"
        assert self.keys.setdefault(key, *jobs) in jobs, "one key, the same job for ever"
        self.acknowledged |= dict.fromkeys(jobs, "alpha")

    @rule(nth=st.integers(0, 60), limit=st.integers(1, 4))
    def claim(self, nth: int, limit: int) -> None:
        if not self.workers:
            self.run(self._hire(0))
        worker = self.workers[nth % len(self.workers)]
        taken = self.run(worker.claim(limit))
        if taken is None or not taken[0].picks:
            return
        part, outcome = taken
        self.read_on(last=outcome.head - len(outcome.started))
        wanted: list[bytes] = []
        for pick in part.picks:
            wanted += self.model.choice(pick.queue, TYPES, pick.limit, outcome.recorded_at)
        assert sorted(job.job for job in outcome.started) == sorted(wanted)

    @rule(nth=st.integers(0, 60), count=st.integers(1, 3), hows=_ENDS)
    def end(self, nth: int, count: int, hows: list[str]) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self._end(worker, hows[:count])

    def _end(self, worker: SimulatedWorker, hows: list[str]) -> None:
        """Ends and claims in one part, as a turn of the real worker."""
        tokens = sorted(worker.held)[: len(hows)]
        ends = [worker.end(token, how) for token, how in zip(tokens, hows, strict=False)]
        if not ends:
            return
        expected = [self.model.answer_to_end(end.job, end.token, end.event) for end in ends]
        claimed = self.run(worker.claim(len(hows), ends=ends))
        assert claimed is not None
        refused = claimed[1].refused
        lost = self.lost_one
        for n, (token, answer) in enumerate(zip(tokens, expected, strict=True)):
            code = refused[("e", n)].code if ("e", n) in refused else "accepted"
            assert code == answer or (lost and code == "conflict" and answer != "accepted")
            if code == "cancelling":
                worker.cancelling.add(token)
            elif token not in {job.token for job in claimed[1].started}:
                worker.held.pop(token, None)

    @property
    def lost_one(self) -> bool:
        """An answer was lost since the last question; refusals then come without their reasons."""
        lost = self.proxy.swallowed.is_set()
        self.proxy.swallowed.clear()
        return lost

    @rule(nth=st.integers(0, 60), percent=st.integers(0, 100))
    def progress(self, nth: int, percent: int) -> None:
        if not any(worker.held for worker in self.workers):
            return
        busy = [worker for worker in self.workers if worker.held]
        worker = busy[nth % len(busy)]
        token = sorted(worker.held)[0]
        part = Part(moves=[worker.progress(token, percent)], patient=True)
        outcome = self.run(worker.engine.appender.submit(part))
        holds = self.model.jobs[worker.held[token].job].token == token
        assert bool(outcome.refused) != holds

    # -- people ------------------------------------------------------------------------------------------

    def _command(self, call: Awaitable[Any]) -> str:
        try:
            done = self.run(call)
        except Rejected as error:
            return error.code
        except DatabaseUnavailable:
            return "unknown"
        return str(done.status)

    @rule(nth=st.integers(0, 60), engine=st.integers(0, 1))
    def cancel(self, nth: int, engine: int) -> None:
        if not self.model.jobs:
            return
        job = list(self.model.jobs)[nth % len(self.model.jobs)]
        expected = self.model.answer_to_cancel(job)
        answer = self._command(self.engines[engine].jobs.cancel(job, actor="test", reason="no need"))
        # Behind the proxy an answer may be lost, or the connection with it; the caller then asks again.
        lost = self.lost_one and answer in ("already_finished", "cancelling")
        assert answer == expected or (engine == 1 and (lost or answer == "unknown"))

    @rule(nth=st.integers(0, 60))
    def retry(self, nth: int) -> None:
        if not self.model.of(*ENDED):
            return
        job = list(self.model.jobs)[nth % len(self.model.jobs)]
        expected = self.model.answer_to_retry(job)
        assert self._command(self.engines[0].jobs.retry(job, actor="test", payload={"x": 1})) == expected

    @rule(
        nth=st.integers(0, 60), priority=st.sampled_from([None, 7, 900]),
        delay=st.sampled_from([None, -5, 2, 9]),
    )  # fmt: skip
    def reschedule(self, nth: int, priority: int | None, delay: int | None) -> None:
        if not self.model.of("pending", "queued"):
            return
        waiting = self.model.of("pending", "queued")
        job = waiting[nth % len(waiting)].id
        at = None if delay is None else self._in(delay)
        if priority is None and at is None:
            return
        answer = self._command(
            self.engines[0].jobs.reschedule(job, actor="test", priority=priority, scheduled_for=at)
        )
        assert answer in ("pending", "queued") or (self.model.jobs[job].expires and answer == "invalid_field")

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans(), engine=st.integers(0, 1))
    def switch(self, queue: str, paused: bool, engine: int) -> None:
        queues = self.engines[engine].queues
        with contextlib.suppress(DatabaseUnavailable):
            self.run(queues.pause(queue, actor="test") if paused else queues.resume(queue, actor="test"))

    @rule(queue=st.sampled_from(QUEUES), most=st.sampled_from([None, 1, 2]))
    def limit(self, queue: str, most: int | None) -> None:
        self.run(self.engines[0].queues.configure(queue, {"max_workers": most}, actor="test"))

    @rule(queue=st.sampled_from(QUEUES))
    def drain(self, queue: str) -> None:
        waiting = sum(job.queue == self.ids[queue] for job in self.model.of("pending", "queued"))
        assert self.run(self.drains.drain(queue, actor="test")).cancelled == waiting

    # -- time and leaders --------------------------------------------------------------------------------

    def _in(self, seconds: float) -> str:
        row = self.probe.execute(
            "select to_char(hivelog.now() + make_interval(secs => %s), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
            (seconds,),
        ).fetchone()
        assert row is not None
        return str(row[0])

    @rule(seconds=st.sampled_from([0.5, 1, STEP]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(self.reaper.tick())

    @rule()
    def scheduler_looks(self) -> None:
        self.run(self.scheduler.tick())
        self.read_on()
        late = [j.id for j in self.model.of("pending") if (j.due or 0) <= self.model.now]
        assert late == [] or self.model.now >= self._now() - 5

    def _now(self) -> int:
        row = self.probe.execute("select round(extract(epoch from hivelog.now()) * 1000)::bigint").fetchone()
        assert row is not None
        return int(row[0])

    @rule(nth=st.integers(0, 60))
    def beat(self, nth: int) -> None:
        if not self.workers:
            return
        self._beat(self.workers[nth % len(self.workers)])

    def _beat(self, worker: SimulatedWorker) -> None:
        known = worker.session.id in self.model.beats
        alive = self.run(worker.beat())
        assert alive == known, "a session is over exactly when the log says so"
        if alive:
            self.model.beats[worker.session.id] = self._now()
        else:
            self.workers.remove(worker)

    @rule()
    def long_silence(self) -> None:
        """More than dead-after, in steps that the reaper observes; the living go on beating."""
        for _ in range(int(DEAD_AFTER / 1000 / STEP) + 3):
            self.clock.advance(STEP)
            for worker in list(self.workers):
                self._beat(worker)
            self.run(self.reaper.tick())
            self.read_on()

    # -- workers come and go -----------------------------------------------------------------------------

    @rule(engine=st.integers(0, 1))
    def hire(self, engine: int) -> None:
        if len(self.workers) >= 3:
            return
        with contextlib.suppress(DatabaseUnavailable):
            self.run(self._hire(engine))

    @rule(nth=st.integers(0, 60))
    def crash(self, nth: int) -> None:
        if not self.workers:
            return
        self.workers.remove(self.workers[nth % len(self.workers)])

    @rule(nth=st.integers(0, 60), limit=st.integers(1, 3))
    def crash_after_the_pop(self, nth: int, limit: int) -> None:
        """Popped from Redis, never appended."""
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self.run(worker.source.take(limit))
        self.workers.remove(worker)

    @rule(nth=st.integers(0, 60))
    def freeze(self, nth: int) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self.workers.remove(worker)
        self.frozen.append(worker)

    @rule(hows=_ENDS)
    def thaw(self, hows: list[str]) -> None:
        """It goes on where it was: first with what it holds, which may long be somebody else's."""
        if not self.frozen:
            return
        worker = self.frozen.pop()
        self.workers.append(worker)
        self._end(worker, hows)

    @rule(nth=st.integers(0, 60))
    def leave(self, nth: int) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        ends = [worker.end(token, "released") for token in sorted(worker.held)]
        if ends:
            self.run(worker.engine.appender.submit(Part(ends=ends, patient=True)))
        self.workers.remove(worker)
        with contextlib.suppress(DatabaseUnavailable):
            self.run(worker.engine.sessions.leave(worker.session, "stopped"))

    # -- faults ------------------------------------------------------------------------------------------

    @rule()
    def next_answer_is_lost(self) -> None:
        self.proxy.lose_next_answer()

    @rule()
    def connections_to_postgres_are_cut(self) -> None:
        self.proxy.cut()
        self.run(asyncio.sleep(0))

    @rule(engine=st.integers(0, 1), fault=st.sampled_from(["lose", "repeat", "reorder"]))
    def next_feed_goes_wrong(self, engine: int, fault: str) -> None:
        self.feeds[engine].next = fault
        self.honest = False

    @rule(engine=st.integers(0, 1), away=st.booleans())
    def redis_is_out_of_reach(self, engine: int, away: bool) -> None:
        self.feeds[engine].away = away

    @rule(
        fault=st.sampled_from([
            "flush", "drop_key", "evict_ready", "remember", "restore", "lose_an_id", "wrong_type",
            "kill_connections",
        ])
    )  # fmt: skip
    def redis_goes_wrong(self, fault: str) -> None:
        getattr(self.adversary, fault)()
        self.honest = self.honest and fault in ("remember", "kill_connections")

    @rule(by=st.sampled_from([-3, -1, 1, 2, 50]))
    def checkpoint_moves(self, by: int) -> None:
        self.adversary.move_checkpoint(by)
        self.honest = False

    @rule(queue=st.sampled_from(QUEUES), kind=st.sampled_from(TYPES))
    def redis_names_wrong_jobs(self, queue: str, kind: str) -> None:
        some = sorted(self.model.jobs)[:6]
        self.adversary.add_ids(self.ids[queue], self.types[kind], some)
        self.honest = False

    @rule()
    def settle(self) -> None:
        self.run(self._settle())

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

    # -- what always holds -------------------------------------------------------------------------------

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
        rows = self.probe.execute(query, (_uuid(job),)).fetchall()
        state = rules_of_jobs.fold(Event(*row) for row in rows)
        known = self.model.jobs[job]
        assert (state.status, state.version, state.retry, state.attempt, state.priority, state.token) == (
            known.status, known.version, known.retry, known.attempt, known.priority, known.token,
        )  # fmt: skip
        assert (state.due_at, state.cancelling, state.session) == (known.due, known.cancelling, known.session)

    # -- the end -----------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.run_to_the_end()
        finally:
            self.proxy._swallow = False
            self.run(self.stack.aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.adversary.close()
            self.closing.close()

    def run_to_the_end(self) -> None:
        """Faults stop, workers run: every acknowledged job ends, and Redis is empty."""
        self.proxy._swallow = False
        self.run(self._settle())
        for name in QUEUES:
            self.run(self.engines[0].queues.resume(name, actor="test"))
        self.run(self._hire(0))
        self.run(self._hire(1))
        for _ in range(60):
            self.read_on()
            if not self.model.of("pending", "queued", "processing"):
                break
            for worker in list(self.workers):
                self._beat(worker)
            self.run(self.scheduler.tick())
            self.run(self.reaper.tick())
            for worker in self.workers:
                ends = [worker.end(token, "completed") for token in sorted(worker.held)]
                worker.held.clear()
                self.run(worker.claim(4, ends=ends))
            self.clock.advance(STEP)
        self.log_tables_marks_and_folds_agree()
        left = self.model.of("pending", "queued", "processing")
        assert left == [], "every job ends when faults stop and workers run"
        self.run(self._settle())
        assert self.adversary.ready() == {}


def _uuid(job: bytes) -> Any:
    from uuid import UUID

    return UUID(bytes=job)


def test_the_system_is_what_the_model_says(servers: Servers, prepared: str, redis_url: str) -> None:
    Machine.servers, Machine.prepared, Machine.redis_url = servers, prepared, redis_url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=LONG or 40,
            stateful_step_count=80 if LONG else 40,
            deadline=None,
            derandomize=not LONG,
            database=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
