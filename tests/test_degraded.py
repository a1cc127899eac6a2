"""Degraded modes under load, both ways: work flows or waits, everybody is told, and it heals by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx
import psycopg
from hivelog.stopping import stop_tasks
from simulated_clock import Clock

from .degraded_world import Follower, busy_share, cpu_seconds, site
from .intact import assert_intact
from .proxy import proxied
from .test_redis_faults import ran, runs
from .test_redis_killed import Valkey, valkey
from .test_worker import until

__all__ = ["valkey"]  # a fixture
JOBS = 120
READS = ("/queues", "/jobs", "/events", "/queue/orders/stats", "/queue/orders/jobs", "/workers/status", "/failures")
_STORIES = """
select array_agg(type::text order by version) from hivelog.events
where queue is not null and type::text in ('enqueued', 'started', 'completed', 'failed', 'lost', 'released')
group by stream
"""
_JOB_EVENTS = "select position from hivelog.events where type <= 'payload_erased' and position > %s order by 1"


def assert_once(database: str, jobs: int) -> None:
    with psycopg.connect(database) as conn:
        stories = Counter(tuple(row[0]) for row in conn.execute(_STORIES).fetchall())
        lost = conn.execute("select count(*) from hivelog.events where type = 'worker_lost'").fetchone()
    assert stories == {("enqueued", "started", "completed"): jobs}
    assert lost == (0,)


def assert_complete(database: str, follower: Follower) -> None:
    """Every job event since the first that the follower saw, once, in order."""
    with psycopg.connect(database) as conn:
        rows = conn.execute(_JOB_EVENTS, (follower.positions[0] - 1,)).fetchall()
    assert follower.positions == [row[0] for row in rows]


async def ran_more(file: Path, more: int) -> None:
    await ran(file, len(await runs(file)) + more)


async def followed(database: str, follower: Follower) -> None:
    """Wait until the follower has seen the last job event that there is."""

    async def all_seen() -> bool:
        with psycopg.connect(database) as conn:
            rows = conn.execute(_JOB_EVENTS, (0,)).fetchall()
        return follower.positions[-1:] == [row[0] for row in rows[-1:]]

    await until(all_seen, 30)


async def test_postgres_goes_and_comes_back_under_load(
    database: str, redis_url: str, tmp_path: Path, clock: Clock
) -> None:
    file = tmp_path / "runs"
    async with proxied(database, tmp_path) as proxy, site(proxy.url, redis_url, tmp_path) as here:
        follower = Follower(here)
        async with here.running() as (serve, worker):
            following = asyncio.create_task(follower.run())
            producing = asyncio.create_task(here.produce(file, JOBS, 0.02, 0.3))

            await ran_more(file, 20)
            proxy.cut(refuse=True)

            async def heard() -> bool:
                return follower.current == {"database": "unhealthy", "redis": "healthy"}

            await until(heard, 20)

            async def reads() -> list[httpx.Response]:
                return await asyncio.gather(*(here.timed("GET", path) for path in READS))

            async def none_from_memory() -> bool:
                return {answer.status_code for answer in await reads()} == {503}

            await until(none_from_memory, 20)  # some answers are good for a second
            here.since, here.slowest = time.monotonic(), 0.0
            answers = await reads()
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            assert (await here.component("database"))[::2] == (503, "unhealthy")
            assert (await here.client.get("/health/live")).status_code == 200
            clock.advance(4)  # dead-after is 3 s
            before, began, refused = cpu_seconds(serve, worker), time.monotonic(), here.answered[503]

            async def kept_asking() -> bool:
                """The client has asked for its job some 15 times, five times a second."""
                return here.answered[503] >= refused + 15

            await until(kept_asking, 60)
            share = busy_share(before, cpu_seconds(serve, worker), time.monotonic() - began)
            print(f"processors used by both while it was away: {share:.3f}")
            assert here.answered[503] > len(READS)
            assert here.slowest < 2, "a caller is told within two seconds"
            assert share < 0.3, "nobody is busy with a database that is away"
            proxy.restore()
            async with asyncio.timeout(60):
                await producing

            async def all_ran() -> bool:
                with psycopg.connect(database) as conn:
                    row = conn.execute("select count(*) from hivelog.events where type = 'completed'").fetchone()
                return row == (JOBS,)

            await until(all_ran, 60)

            async def told() -> bool:
                return follower.health[-1] == {"database": "healthy", "redis": "healthy"}

            await until(told, 10)
            await followed(database, follower)
            assert (await here.component("database"))[2] == "healthy"
            await stop_tasks(following)
    assert (follower.connections, follower.resets) == (1, 0), "the stream was kept"
    assert len(here.acknowledged) == JOBS
    assert Counter(await runs(file)) == {f"{n} 1": 1 for n in range(JOBS)}
    assert_complete(database, follower)
    assert_once(database, JOBS)
    assert_intact(database)


async def test_redis_goes_and_comes_back_under_load(database: str, valkey: Valkey, tmp_path: Path) -> None:
    file = tmp_path / "runs"
    async with site(database, valkey.url, tmp_path) as here:
        follower = Follower(here)
        async with here.running():
            following = asyncio.create_task(follower.run())

            async def told(status: str) -> None:
                async def heard() -> bool:
                    return follower.current == {"database": "healthy", "redis": status}

                await until(heard, 20)

            await told("healthy")
            producing = asyncio.create_task(here.produce(file, 4 * JOBS, 0.01))
            await ran_more(file, 20)
            valkey.kill()
            await told("unhealthy")
            assert await here.component("redis") == (503, "degraded", "unhealthy")
            assert (await here.client.get("/health/ready")).status_code == 200
            await ran_more(file, 40)
            assert valkey.away()
            valkey.start()
            await told("healthy")
            assert (await here.component("redis"))[2] == "healthy"
            before = valkey.claims()
            async with asyncio.timeout(60):
                await producing
            await ran(file, 4 * JOBS)
            assert valkey.claims() > before, "claims are made by it again"
            await followed(database, follower)
            await stop_tasks(following)
    assert (follower.connections, follower.resets) == (1, 0)
    assert here.answered.keys() <= {200, 201}, "nobody was refused for it"
    assert Counter(await runs(file)) == {f"{n} 1": 1 for n in range(4 * JOBS)}
    assert_complete(database, follower)
    assert_once(database, 4 * JOBS)
    assert_intact(database)
