"""Big bulks: accepted at one moment, appended in chunks, finished by others when their process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.bulk import CHUNK, chunks
from hivelog.broker.enqueue import Item
from hivelog.events.batch import Enqueue
from hivelog.events.errors import DatabaseUnavailable

from .conftest import Clock

ACTOR = "user:test"


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.create_default_queues()
        yield opened


def items(count: int, **options: Any) -> list[Item]:
    return [Item("default", "mail", {"n": n}, options or None) for n in range(count)]


def rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


async def test_a_big_bulk_lets_single_jobs_through(backend: Backend, database: str) -> None:
    task = asyncio.create_task(backend.enqueuer.enqueue_many(items(5000), actor=ACTOR))
    singles = []
    while not task.done():
        singles.append((await backend.enqueuer.enqueue("default", "single", 1, actor=ACTOR)).position)
    accepted = await task
    positions = [p for (p,) in rows(database, "select enqueued from hivelog.ready order by job")]
    assert len(positions) == 5000 + len(singles)
    assert accepted.position == max(p for p in positions if p not in singles)
    assert sum(accepted.position > position > 0 for position in singles) > 2
    assert rows(database, "select count(*) from hivelog.bulks") == [(0,)]
    query = "select stream from hivelog.events where data ->> 'type' = 'mail' order by position"
    assert [job.bytes for (job,) in rows(database, query)] == accepted.jobs


async def test_keys_keep_a_big_bulk_in_one_append(backend: Backend, database: str) -> None:
    many = backend.enqueuer.enqueue_many
    first = await many(items(3000), actor=ACTOR, idempotency_key="k")
    assert (await many(items(3000), actor=ACTOR, idempotency_key="k")).jobs == first.jobs
    assert rows(database, "select count(*) from hivelog.ready") == [(3000,)]


async def test_a_bulk_whose_process_died_is_finished_by_another(
    backend: Backend, database: str, clock: Clock
) -> None:
    real, calls = backend.appender.submit, 0

    async def dies(part: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise DatabaseUnavailable("the process is gone")
        return await real(part)

    backend.appender.submit = dies  # type: ignore[method-assign]
    with pytest.raises(DatabaseUnavailable):
        await backend.enqueuer.enqueue_many(items(3000, tags=["x"]), actor=ACTOR)
    assert rows(database, "select count(*) from hivelog.ready") == [(2 * CHUNK,)]
    async with Backend.open(database) as other:
        bulks = other.enqueuer.bulks
        assert await bulks.finish_abandoned() == 0  # it is still held
        clock.advance(20)
        assert await bulks.finish_abandoned() == 1
        assert await bulks.finish_abandoned() == 0
    assert rows(database, "select count(*), count(distinct job) from hivelog.ready") == [(3000, 3000)]
    assert rows(database, "select count(*) from hivelog.vault") == [(3000,)]
    assert rows(database, "select count(*) from hivelog.bulks") == [(0,)]


async def test_a_caller_who_gives_up_leaves_no_half_bulk(backend: Backend, database: str) -> None:
    task = asyncio.create_task(backend.enqueuer.enqueue_many(items(5000), actor=ACTOR))
    while rows(database, "select count(*) from hivelog.ready") == [(0,)]:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await backend.enqueuer.bulks.stop()
    assert rows(database, "select count(*) from hivelog.ready") == [(5000,)]


def test_chunks_are_bounded_in_rows_and_bytes() -> None:
    def made(size: int) -> Enqueue:
        return Enqueue(b"", 1, 1, 1, 1, b"", size, b"", b"", bytes(size))

    assert [len(c) for c in chunks([made(1)] * 1200)] == [500, 500, 200]
    assert [len(c) for c in chunks([made(600_000)] * 3)] == [1, 1, 1]
    assert [len(c) for c in chunks([made(5_000_000), made(1), made(1)])] == [1, 2]
    assert list(chunks([])) == []
