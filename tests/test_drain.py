"""Drain ends what waits, exactly up to a position, in chunks that let others through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.drain import Action, Drains
from hivelog.broker.enqueue import Item
from hivelog.broker.errors import Rejected
from hivelog.broker.sessions import Sessions
from hivelog.events.batch import Part, Start

from .conftest import Clock

ACTOR = "user:test"


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.create_default_queues()
        yield opened


def drains(backend: Backend, **options: Any) -> Drains:
    return Drains(backend.appender, backend.names, backend.pool, **options)


async def fill(backend: Backend, count: int, queue: str = "default", **options: Any) -> list[bytes]:
    items = [Item(queue, f"type{n % 3}", n, {"priority": n % 4, **options}) for n in range(count)]
    return (await backend.enqueuer.enqueue_many(items, actor=ACTOR)).jobs


async def finished(drains: Drains, action_id: str) -> Action:
    deadline = time.monotonic() + 30
    while True:
        action = await drains.action(action_id)
        if action is not None and action.finished_at is not None:
            return action
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


DEPTHS = """
select pending, ready, running from hivelog.queue_marks where queue = 1 order by position desc limit 1
"""


async def test_ready_and_pending_jobs_end_and_running_ones_go_on(
    backend: Backend, database: str
) -> None:
    jobs = await fill(backend, 10)
    await fill(backend, 5, scheduled_for="2999-01-01T00:00:00Z")
    await fill(backend, 3, queue="reports")
    session = await Sessions(backend.appender, backend.names, database).open(
        "w", ["default"], ["type0"], 1, host="h", pid=1
    )
    kind = await backend.names.type_id("type0")
    started = await backend.appender.submit(Part(starts=[Start(session.id, 1, kind, 0, jobs[0])]))
    assert len(started.started) == 1
    drained = await backend.drains.drain("default", actor=ACTOR)
    assert (drained.matched, drained.cancelled) == (14, 14)
    assert rows(database, DEPTHS) == [(0, 0, 1)]
    assert rows(database, "select count(*) from hivelog.ready") == [(3,)]
    assert rows(database, "select data from hivelog.events where type = 'drained'") == [
        ({"position": drained.position, "cancelled": 14},)
    ]
    causes = "select distinct data ->> 'cause' from hivelog.events where type = 'cancelled'"
    assert rows(database, causes) == [("drained",)]


async def test_a_dry_run_counts_and_its_position_drains_exactly_that(
    backend: Backend, database: str
) -> None:
    await fill(backend, 10)
    dry = await backend.drains.drain("default", actor=ACTOR, dry_run=True)
    assert (dry.matched, dry.cancelled) == (10, None)
    later = await fill(backend, 7)
    drained = await backend.drains.drain("default", actor=ACTOR, position=dry.position)
    assert (drained.matched, drained.cancelled) == (10, 10)
    left = rows(database, "select job from hivelog.ready order by job")
    assert [job.bytes for (job,) in left] == later


async def test_what_arrives_during_a_drain_stays(backend: Backend, database: str) -> None:
    await fill(backend, 3000)
    small = drains(backend, chunk=100)
    task = asyncio.create_task(small.drain("default", actor=ACTOR))
    added = 0
    while not task.done():
        await backend.enqueuer.enqueue("default", "late", {}, actor=ACTOR)
        added += 1
    result = await task
    assert result.cancelled == result.matched
    assert added > 5  # they came through between the chunks
    query = f"select count(*) from hivelog.ready where enqueued > {result.position}"
    stayed = rows(database, "select count(*) from hivelog.ready")
    assert rows(database, query) == stayed
    assert stayed[0][0] + result.matched == 3000 + added


async def test_jobs_that_move_during_a_drain_are_found_where_they_went(
    backend: Backend, database: str
) -> None:
    jobs = await fill(backend, 600)
    task = asyncio.create_task(drains(backend, chunk=300).drain("default", actor=ACTOR))
    moves = (backend.jobs.reschedule(job, actor=ACTOR, priority=900) for job in jobs[::40])
    await asyncio.gather(*moves, return_exceptions=True)
    result = await task
    assert result.cancelled == 600
    assert rows(database, "select count(*) from hivelog.ready") == [(0,)]


async def test_a_big_drain_is_an_action_with_an_exact_end(backend: Backend, database: str) -> None:
    await fill(backend, 300)
    big = drains(backend, at_once=100, chunk=50)
    result = await big.drain("default", actor=ACTOR)
    assert (result.matched, result.cancelled) == (300, None)
    assert result.action_id is not None
    action = await finished(big, result.action_id)
    assert (action.changed, action.position, action.matched) == (300, result.position, 300)
    assert rows(database, DEPTHS) == [(0, 0, 0)]


async def test_an_action_whose_process_died_is_taken_up_by_another(
    backend: Backend, database: str, clock: Clock
) -> None:
    await fill(backend, 3000)
    dying = drains(backend, at_once=100, chunk=20)
    result = await dying.drain("default", actor=ACTOR)
    assert result.action_id is not None
    while rows(database, "select count(*) from hivelog.ready") == [(3000,)]:
        await asyncio.sleep(0.01)
    for task in list(dying._tasks):  # as kill -9 would: nothing is released, nothing is said
        task.cancel()
    await asyncio.sleep(0)
    left = rows(database, "select count(*) from hivelog.ready")[0][0]
    assert 0 < left < 3000
    async with Backend.open(database) as other:
        assert await other.drains.resume_unfinished() == 0  # its lease still runs
        clock.advance(10)
        assert await other.drains.resume_unfinished() == 1
        action = await finished(other.drains, result.action_id)
    assert action.changed == 3000
    assert rows(database, "select count(*) from hivelog.events where type = 'cancelled'") == [(3000,)]
    assert rows(database, "select count(*) from hivelog.ready") == [(0,)]


async def test_two_drains_at_once_end_each_job_once(backend: Backend, database: str) -> None:
    await fill(backend, 500)
    async with Backend.open(database) as other:
        results = await asyncio.gather(
            drains(backend, chunk=50).drain("default", actor=ACTOR),
            drains(other, chunk=50).drain("default", actor=ACTOR),
        )
    assert sum(result.cancelled or 0 for result in results) == 500
    assert rows(database, "select count(*) from hivelog.events where type = 'cancelled'") == [(500,)]


async def test_what_cannot_be_drained(backend: Backend) -> None:
    with pytest.raises(Rejected) as caught:
        await backend.drains.drain("nowhere", actor=ACTOR)
    assert caught.value.code == "unknown_queue"
    with pytest.raises(Rejected) as caught:
        await backend.drains.drain("default", actor=ACTOR, position=10**12)
    assert caught.value.code == "invalid_field"
