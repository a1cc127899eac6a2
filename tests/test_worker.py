"""The real worker with real handlers: whatever they do is recorded, and the worker lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from multiprocessing import forkserver
from typing import Any

import psycopg
import pytest
from hivelog.broker import child
from hivelog.broker.engine import Engine
from hivelog.broker.registry import Registry, registry
from hivelog.broker.serving import WorkerOptions, make_worker
from hivelog.broker.worker import Worker
from hivelog.settings import Settings

from . import worker_handlers
from .intact import assert_intact

MODULE = worker_handlers.__name__


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not in time: {condition.__qualname__}"
        await asyncio.sleep(0.02)
    return found


async def beaten(probe: psycopg.Connection[Any], times: int = 2) -> None:
    """Wait until every living session has sent so many heartbeats from now on."""
    query = "select bool_and(last_heartbeat > %s) from hivelog.sessions"

    async def all_have() -> bool:
        return probe.execute(query, since).fetchone() == (True,)

    for _ in range(times):
        since = probe.execute("select hivelog.now()").fetchone()
        await until(all_have, 30)


class Bench:
    """A queue, a worker process's parts, and what the log says of a job."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url, self.engine = url, engine
        self.probe = psycopg.connect(url, autocommit=True)

    async def put(self, kind: str, payload: Any = None, queue: str = "work", **options: Any) -> bytes:
        options = {"max_retries": 0} | options
        return (await self.engine.enqueuer.enqueue(queue, kind, payload, actor="test", **options)).job

    def events(self, job: bytes) -> list[tuple[str, dict[str, Any]]]:
        query = (
            "select type::text, coalesce(data, '{}') from hivelog.events"
            " where stream = encode(%s, 'hex')::uuid order by version"
        )
        return list(self.probe.execute(query, (job,)).fetchall())

    def types(self, job: bytes) -> list[str]:
        return [event for event, _ in self.events(job)]

    async def happened(self, job: bytes, *events: str, seconds: float = 15.0) -> dict[str, Any]:
        """Wait for one of these events; answers its data."""

        async def found() -> Any:
            return next(((data or {"": 0}) for event, data in self.events(job) if event in events), None)

        return dict(await until(found, seconds))

    async def position_of(self, job: bytes, event: str) -> int:
        await self.happened(job, event)
        query = "select position from hivelog.events where uuid_send(stream) = %s and type::text = %s"
        row = self.probe.execute(query, (job, event)).fetchone()
        assert row is not None
        return int(row[0])

    async def ended(self, job: bytes) -> tuple[str, dict[str, Any]]:
        await self.happened(job, "completed", "failed", "cancelled", "expired")
        return self.events(job)[-1]

    def body(self, job: bytes, slot: int) -> bytes | None:
        row = self.probe.execute(
            "select body from hivelog.vault where uuid_send(job) = %s and slot = %s order by token desc",
            (job, slot),
        ).fetchone()
        return None if row is None else row[0]


@contextlib.asynccontextmanager
async def working(
    engine: Engine, handlers: Registry = registry, *, queues: tuple[str, ...] = ("work",), slots: int = 8
) -> AsyncIterator[Worker]:
    await engine.claims.start()
    worker = await make_worker(engine, handlers, WorkerOptions(modules=(), slots=slots))
    task = asyncio.create_task(worker.run(list(queues)))
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(30):
            await task
        await engine.claims.stop()


@contextlib.asynccontextmanager
async def opened(
    url: str, redis_url: str, *, probe: str | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """`probe`: where the test looks from, if the engine's way is one that gets cut."""
    values = {"heartbeat_seconds": 1.0, "dead_after_seconds": 3.0, "grace_seconds": 1.0} | more
    settings = Settings.load({}, database_url=url, redis_url=redis_url, **values)
    async with Engine(settings, name="test") as engine:
        await engine.queues.configure("work", {"retry_delay": 0, "retry_backoff": "fixed"}, actor="test")
        await engine.names.refresh()
        bench = Bench(probe or url, engine)
        yield bench
        bench.probe.close()


def new_fork_server(*modules: str) -> None:
    """Another test may have started it already, without these modules, in another environment."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    child.preload(list(modules))


@pytest.fixture
async def bench(database: str, redis_url: str) -> AsyncIterator[Bench]:
    new_fork_server(MODULE)
    async with opened(database, redis_url) as bench:
        yield bench
    assert_intact(database)


async def test_each_isolation_runs_where_it_belongs(bench: Bench) -> None:
    async with working(bench.engine):
        jobs = [await bench.put(kind) for kind in ("in_thread", "in_process")]
        jobs.append(await bench.put("add", {"a": 1, "b": 2}))
        assert [(await bench.ended(job))[0] for job in jobs] == ["completed"] * 3
    assert "progressed" in bench.types(jobs[1])
    assert bench.types(jobs[2]) == ["enqueued", "started", "completed"]


@pytest.mark.parametrize(
    ("kind", "cause", "error_type"),
    [
        ("raise", "error", "ValueError"),
        ("raise_in_thread", "error", "RuntimeError"),
        ("exit", "error", "SystemExit"),
        ("exit_in_thread", "error", None),
        ("exit_in_process", "error", "ProcessDied"),
        ("die_in_process", "error", "ProcessDied"),
        ("unfit", "result", "TypeError"),
        ("unfit_in_process", "result", "TypeError"),
        ("huge", "result", None),
        ("huge_in_process", "result", None),
    ],
)
async def test_what_a_handler_does_wrong_is_recorded_and_the_worker_lives(
    bench: Bench, kind: str, cause: str, error_type: str | None
) -> None:
    async with working(bench.engine):
        bad = await bench.put(kind)
        event, data = await bench.ended(bad)
        good = await bench.put("add", {"a": 1, "b": 1})
        assert (await bench.ended(good))[0] == "completed"
    assert (event, data.get("cause", "error")) == ("failed", cause)
    assert error_type is None or data["error_type"] == error_type
    assert bench.body(bad, 2)


async def test_a_result_that_does_not_fit_is_not_tried_again(bench: Bench) -> None:
    async with working(bench.engine):
        jobs = [await bench.put(kind, max_retries=3) for kind in ("unfit", "unfit_in_process")]
        jobs.append(await bench.put("add", {"a": "x"}, max_retries=3))
        for job in jobs:
            assert (await bench.ended(job))[0] == "failed"
    assert [bench.types(job).count("started") for job in jobs] == [1, 1, 1]
    assert bench.events(jobs[2])[-1][1]["cause"] == "payload"


@pytest.mark.parametrize("kind", ["hang", "hang_in_thread", "hang_in_process"])
async def test_a_running_job_is_cancelled(bench: Bench, kind: str) -> None:
    async with working(bench.engine):
        job = await bench.put(kind, max_retries=3)
        await bench.happened(job, "started")
        assert (await bench.engine.jobs.cancel(job, actor="test")).status == "cancelling"
        assert (await bench.ended(job))[0] == "cancelled"


async def test_progress_is_thinned_and_the_last_word_is_kept(bench: Bench) -> None:
    async with working(bench.engine):
        job = await bench.put("progress")
        assert (await bench.ended(job))[0] == "completed"
    percents = [data["percent"] for event, data in bench.events(job) if event == "progressed"]
    assert percents[-1] == 100
    assert 1 <= len(percents) <= 4


async def test_a_type_that_nobody_handles_waits(bench: Bench) -> None:
    async with working(bench.engine):
        alien = await bench.put("alien")
        assert (await bench.ended(await bench.put("in_thread")))[0] == "completed"
        assert bench.types(alien) == ["enqueued"]


async def test_one_slot_runs_one_job_however_many_queues_it_serves(bench: Bench, tmp_path: Any) -> None:
    """With Redis away the database picks: still no more than there are slots."""
    names = tuple(f"q{n}" for n in range(4))
    for name in names:
        await bench.engine.queues.configure(name, {}, actor="test")
    await bench.engine.names.refresh()
    bench.engine.redis.command = _away  # type: ignore[method-assign]
    bench.engine.feeder.available = False
    file = str(tmp_path / "runs")
    jobs = [await bench.put("note", {"file": file, "seconds": 0.3}, queue=name) for name in names]
    most = 0
    async with working(bench.engine, queues=names, slots=1):
        async def all_done() -> bool:
            nonlocal most
            row = bench.probe.execute("select count(*) from hivelog.leases").fetchone()
            assert row is not None
            most = max(most, row[0])
            return all("completed" in bench.types(job) for job in jobs)

        await until(all_done)
    assert most == 1


async def _away(*words: object) -> Any:
    from hivelog.broker.connection import RedisUnavailable

    raise RedisUnavailable("out of reach")


async def test_a_graceful_stop_gives_back_what_does_not_finish(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_handlers, "GATE", gate := asyncio.Event())
    async with working(bench.engine):
        slow, quick = await bench.put("hang"), await bench.put("gate")
        for job in (slow, quick):
            await bench.happened(job, "started")
        # While the worker stops already: the next thing that is done here is to tell it to.
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert bench.types(quick)[-1] == "completed"
    assert bench.types(slow)[-1] == "released"
    (attempt,) = bench.probe.execute("select attempt from hivelog.ready").fetchone() or (None,)
    assert attempt == 0


async def test_hooks_and_middleware_surround_the_jobs(bench: Bench) -> None:
    own = Registry()
    calls: list[str] = []

    @own.handler("own")
    async def run(ctx: Any, payload: Any) -> str:
        calls.append(ctx.state["made"])
        return "done"

    @own.on_startup
    async def begin(state: dict[str, Any]) -> None:
        state["made"] = "by the hook"

    @own.on_shutdown
    def finish(state: dict[str, Any]) -> None:
        calls.append("shutdown")

    @own.around
    async def outer(ctx: Any, payload: Any, call_next: Any) -> Any:
        calls.append("before")
        try:
            return await call_next(ctx, payload)
        finally:
            calls.append("after")

    async with working(bench.engine, own):
        assert (await bench.ended(await bench.put("own")))[0] == "completed"
    assert calls == ["before", "by the hook", "after", "shutdown"]


async def test_a_timeout_is_retried_then_expires(bench: Bench) -> None:
    async with working(bench.engine):
        job = await bench.put("hang", timeout=1)
        assert (await bench.ended(job))[0] == "expired"
        again = await bench.put("hang", timeout=1, max_retries=1)
        assert (await bench.happened(again, "retry_scheduled"))["cause"] == "timeout"
