"""Stories are looked for where they can be, and found wherever they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from hivelog import sql
from hivelog.events import ids
from hivelog.events.batch import Part
from hivelog.events.beginnings import Beginnings
from hivelog.events.pool import Connection, make_pool
from hivelog.events.read import read_stream

from .log_writer import LogWriter, end
from .retention_world import DAY, World
from .simulated_clock import Clock


class Kept(Beginnings):
    """Read once the partitions are there."""

    async def now(self) -> None:
        await self._read()


@pytest.fixture
async def days(database: str, clock: Clock) -> AsyncIterator[World]:
    """Three partitions, of a day each."""
    log = LogWriter(database)
    world = World(database, clock, log)
    for _ in range(2):
        await asyncio.to_thread(world.work, 2)
        clock.advance(DAY)
        assert world.cut_anywhere()
    yield world
    log.close()


async def test_a_young_job_is_not_looked_for_in_old_partitions(database: str, days: World) -> None:
    job = (await asyncio.to_thread(days.work, 1))[0]
    async with make_pool(database) as pool, pool.connection() as connection:
        beginnings = Kept(pool)
        assert beginnings.since(job.bytes) == 0
        await beginnings.now()
        since = beginnings.since(job.bytes)
        story = await beginnings.story(connection, job.bytes)
        assert story == await read_stream(connection, job.bytes)
        assert [event.version for event in story] == [1, 2, 3]
        assert await asked(connection, job, since) < await asked(connection, job, 0)


async def asked(connection: Connection, job: UUID, since: int) -> int:
    """In how many partitions a story is looked for."""
    cursor = await connection.execute(
        "explain (costs off) " + sql.load("read_stream"), {"stream": job, "since": since}
    )
    return sum(" on events_" in row[0] for row in await cursor.fetchall())


async def test_an_old_job_is_found_with_what_happened_later(database: str, days: World) -> None:
    """Enqueued on the first day, run on the third."""
    log = days.log
    job = (await asyncio.to_thread(lambda: days.work(1, ended=False)))[0]
    days.clock.advance(DAY)
    assert days.cut_anywhere()
    session = log.session("later", ["q"])
    (name, token, _, _) = log.append(Part(starts=[log.start(session, "q", job.bytes)])).started[0]
    log.append(Part(ends=[end(name, token, "completed", b"1")]))
    async with make_pool(database) as pool, pool.connection() as connection:
        beginnings = Kept(pool)
        await beginnings.now()
        story = await beginnings.story(connection, job.bytes)
    assert [event.type for event in story] == ["enqueued", "started", "completed"]


async def test_an_id_whose_time_is_wrong_hides_nothing(database: str, days: World) -> None:
    """Its clock was a week ahead: by its id it is younger than all of the log."""
    log = days.log
    enqueue = log.enqueue("q")
    ahead = round(log.now() + 7 * DAY * 1000)
    enqueue.job = ahead.to_bytes(6) + enqueue.job[6:]
    log.append(Part(enqueues=[enqueue]))
    days.clock.advance(DAY)
    assert days.cut_anywhere()
    await asyncio.to_thread(days.work, 1)
    async with make_pool(database) as pool, pool.connection() as connection:
        beginnings = Kept(pool)
        await beginnings.now()
        assert beginnings.since(enqueue.job) > 0
        assert [e.type for e in await beginnings.story(connection, enqueue.job)] == ["enqueued"]
        assert await beginnings.story(connection, ids.from_text(str(UUID(int=7 << 76 | 1 << 63)))) == []
