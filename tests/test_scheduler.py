"""Due jobs become ready in time, late ones expire, and two schedulers do no harm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.enqueue import Item
from hivelog.broker.jobs import load
from hivelog.broker.scheduler import Scheduler

from .conftest import Clock

ACTOR = "user:test"


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.create_default_queues()
        yield opened


def scheduler(backend: Backend) -> Scheduler:
    return Scheduler(backend.appender, backend.names, backend.pool)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


def types(url: str) -> list[str]:
    query = "select type::text from hivelog.events where type <> 'queue_configured' order by position"
    return [name for (name,) in rows(url, query)]


async def state(backend: Backend, job: bytes) -> Any:
    async with backend.pool.connection() as connection:
        return (await load(connection, [job])).jobs[job]


async def enqueue(backend: Backend, **options: Any) -> bytes:
    return (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR, **options)).job


async def test_a_job_becomes_ready_when_its_time_comes_and_not_before(
    backend: Backend, database: str, clock: Clock
) -> None:
    await enqueue(backend, scheduled_for=later(60), priority=7)
    assert await scheduler(backend).tick() == 0
    clock.advance(59)
    assert await scheduler(backend).tick() == 0
    clock.advance(1.5)
    assert await scheduler(backend).tick() == 1
    assert types(database) == ["enqueued", "queued"]
    assert rows(database, "select priority, version from hivelog.ready") == [(7, 2)]
    assert await scheduler(backend).tick() == 0


async def test_two_schedulers_move_each_job_once(backend: Backend, database: str, clock: Clock) -> None:
    items = [Item("default", "mail", n, {"scheduled_for": later(60)}) for n in range(1500)]
    await backend.enqueuer.enqueue_many(items, actor=ACTOR)
    clock.advance(61)
    async with Backend.open(database) as other:
        moved = await asyncio.gather(scheduler(backend).tick(), scheduler(other).tick())
    assert sum(moved) == 1500
    assert types(database).count("queued") == 1500
    assert rows(database, "select count(*) from hivelog.ready") == [(1500,)]


async def test_waiting_jobs_expire_in_both_tables(
    backend: Backend, database: str, clock: Clock
) -> None:
    ready = await enqueue(backend, expires_at=later(60))
    await enqueue(backend, scheduled_for=later(30), expires_at=later(60))
    await enqueue(backend)
    assert await scheduler(backend).tick() == 0
    clock.advance(61)
    assert await scheduler(backend).tick() == 2
    found = rows(
        database,
        "select type::text, data ->> 'cause' from hivelog.events where type in ('expired', 'queued')",
    )
    assert found == [("expired", "expires_at")] * 2
    assert rows(database, "select count(*) from hivelog.ready") == [(1,)]
    depths = "select pending, ready from hivelog.queue_marks order by position desc limit 1"
    assert rows(database, depths) == [(0, 1)]
    assert (await state(backend, ready)).status == "expired"


async def test_a_backlog_of_due_jobs_is_quick(
    backend: Backend, database: str, clock: Clock
) -> None:
    """100,000 within half a minute. Once more where others had the machine meanwhile."""
    assert (
        await moving_takes(backend, clock, 20_000) < 6 or await moving_takes(backend, clock, 20_000, 61) < 6
    )


async def moving_takes(backend: Backend, clock: Clock, jobs: int, ahead: float = 0) -> float:
    """Seconds. `ahead`: of the database's clock already."""
    due = later(60 + ahead)
    for _ in range(jobs // 10_000):
        items = [Item("default", "mail", n, {"scheduled_for": due}) for n in range(10_000)]
        await backend.enqueuer.enqueue_many(items, actor=ACTOR)
    clock.advance(61)
    began = time.monotonic()
    assert await scheduler(backend).tick() == jobs
    return time.monotonic() - began


async def test_the_running_scheduler_wakes_for_what_this_process_adds(
    backend: Backend, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivelog.broker.scheduler.POLL", 60.0)  # it would be far too late
    running = scheduler(backend)
    pause, waits = running._pause, asyncio.Event()

    async def paused(moved: bool) -> float:
        seconds = await pause(moved)
        waits.set()
        return seconds

    monkeypatch.setattr(running, "_pause", paused)
    backend.appender.listeners.append(running.appended)
    task = asyncio.create_task(running.run())
    try:
        await asyncio.wait_for(waits.wait(), 30)  # it has looked, and found nothing
        began = time.monotonic()
        await enqueue(backend, scheduled_for=later(0.2))
        while types(database)[-1] != "queued":
            assert time.monotonic() - began < 30
            await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_when_the_databases_clock_jumps_what_became_due_is_found(
    backend: Backend, database: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much further than a look reaches back, as after a suspended machine: not only at the next look at all."""
    monkeypatch.setattr("hivelog.broker.scheduler._LOOK_FOR_ALL", 3600.0)
    await enqueue(backend, scheduled_for=later(60))
    running = scheduler(backend)
    task = asyncio.create_task(running.run())
    try:
        async with asyncio.timeout(30):
            while running._looked_at == 0.0:
                await asyncio.sleep(0.02)
            clock.advance(86_400)
            while types(database)[-1] != "queued":
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
