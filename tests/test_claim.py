"""Claims: order, limits, giving back, the sweep. Against real servers."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest
from hivelog.broker.connection import Redis
from hivelog.broker.packing import raw
from hivelog.broker.sweep import sweep
from hivelog.events.batch import Enqueue

from .batches import complete, part
from .redis_rig import PREFIX, Rig, rig, until


def ordered(jobs: list[Enqueue]) -> list[bytes]:
    return [job.job for job in sorted(jobs, key=lambda job: (-job.priority, job.job))]


def set_queue(bench: Rig, **columns: object) -> None:
    """Change a queue behind the log's back; a rebuild brings it to Redis."""
    with psycopg.connect(bench.database, autocommit=True) as conn:
        for name, value in columns.items():
            conn.execute(f"update hivelog.queues set {name} = %s where id = %s", (value, bench.desk.queue))


def expire_claims(bench: Rig) -> None:
    build = bench.raw.hget(PREFIX + b"at", "build")
    key = PREFIX + build + b":claims"
    for claim in bench.raw.zrange(key, 0, -1):
        bench.raw.zadd(key, {claim: 0})


async def test_higher_priority_first_then_age(database: str, redis_url: str) -> None:
    rng = random.Random(1)
    async with rig(database, redis_url) as bench:
        jobs = [bench.desk.enqueue(priority=rng.randint(0, 9)) for _ in range(300)]
        rng.shuffle(jobs)
        await bench.append(part(*jobs))
        await bench.fed()
        claimed = await bench.claim(200)
        rest = await bench.claim(200)
        assert [item[3] for item in claimed.items + rest.items] == ordered(jobs)
        assert [item[2] for item in claimed.items] == [
            job.priority for job in sorted(jobs, key=lambda job: (-job.priority, job.job))[:200]
        ]
        assert claimed.position == bench.log.head


@pytest.mark.parametrize("types", [2, 5])
async def test_types_are_merged_and_others_left_alone(database: str, redis_url: str, types: int) -> None:
    rng = random.Random(types)
    async with rig(database, redis_url) as bench:
        with psycopg.connect(database, autocommit=True) as conn:
            names = [f"kind{n}" for n in range(types + 1)]
            rows = conn.execute("select id from hivelog.type_ids(%s)", (names,)).fetchall()
        numbers = [row[0] for row in rows]
        jobs = [bench.desk.enqueue(priority=rng.choice([1, 1, 7])) for _ in range(400)]
        for job in jobs:
            job.type = rng.choice(numbers)
        await bench.append(part(*jobs))
        await bench.fed()
        mine = [job for job in jobs if job.type in numbers[:types]]
        claimed = await bench.claim(150, types=numbers[:types])
        assert [item[3] for item in claimed.items] == ordered(mine)[:150]
        assert {item[3]: item[1] for item in claimed.items}.items() <= {j.job: j.type for j in jobs}.items()
        claimed = await bench.claim(1000, types=numbers[:types])
        assert [item[3] for item in claimed.items] == ordered(mine)[150:]
        assert {key[1] for key in bench.held()} == set(numbers[types:])


async def test_more_scores_than_a_byte_names(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        jobs = [bench.desk.enqueue(priority=priority) for priority in range(700)]
        await bench.append(part(*jobs))
        await bench.fed()
        claimed = await bench.claim(700)
        assert [(item[2], item[3]) for item in claimed.items] == [
            (job.priority, job.job) for job in reversed(jobs)
        ]


async def test_started_jobs_leave_and_the_claim_is_settled(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(20))))
        await bench.fed()
        outcome = await bench.start(12)
        assert len(outcome.started) == 12
        await bench.fed()
        assert bench.held() == bench.ready()
        assert (bench.state("popped"), bench.state("running")) == (0, 12)
        await bench.append(part(*(complete(job) for job in outcome.started)))
        await bench.fed()
        assert bench.state("running") == 0


async def test_max_workers_counts_running_and_popped(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, max_workers=5) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(20))))
        await bench.fed()
        first = await bench.claim(3)
        second = await bench.claim(10)
        assert (len(first.items), len(second.items)) == (3, 2)
        assert not (await bench.claim(10)).items
        started = (await bench.append(bench.starts(first))).outcomes[0].started
        await bench.fed()
        assert not (await bench.claim(10)).items
        await bench.append(part(complete(started[0])))
        await bench.fed()
        assert len((await bench.claim(10)).items) == 1


async def test_nothing_from_a_paused_queue(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(3))))
        await bench.append(part(bench.desk.record("paused")))
        await bench.fed()
        assert not (await bench.claim(10)).items
        await bench.append(part(bench.desk.record("resumed")))
        await bench.fed()
        assert len((await bench.claim(10)).items) == 3


async def test_refused_but_ready_ids_go_back(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        jobs = [bench.desk.enqueue() for _ in range(6)]
        await bench.append(part(*jobs))
        await bench.fed()
        claimed = await bench.claim(6)
        set_queue(bench, max_workers=2)  # Redis does not know: the append must say no
        outcome = (await bench.append(bench.starts(claimed))).outcomes[0]
        assert [refused.code for refused in outcome.refused.values()] == ["limit"] * 4
        await bench.fed()
        assert bench.held() == bench.ready()
        assert bench.state("popped") == 0


async def test_an_append_that_refuses_everything_settles_its_claim(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(4))))
        await bench.fed()
        claimed = await bench.claim(4)
        set_queue(bench, paused=True)
        await bench.append(bench.starts(claimed))
        await until(lambda: bench.held() == bench.ready() and bench.state("popped") == 0)


async def test_a_wrong_id_is_refused_and_dropped(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        job = bench.desk.enqueue()
        await bench.append(part(job))
        await bench.append(part(bench.desk.cancel(job)), feed=False)
        claimed = await bench.claims.pop([(bench.desk.queue, [bench.desk.type], 5)], 5)
        while claimed is None or not claimed.items:  # the add may still be under way
            await asyncio.sleep(0.005)
            claimed = await bench.claim(5)
        outcome = (await bench.append(bench.starts(claimed))).outcomes[0]
        assert [refused.code for refused in outcome.refused.values()] == ["not_ready"]
        await until(lambda: bench.held() == {} and bench.state("popped") == 0)


async def test_give_back(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        jobs = [bench.desk.enqueue() for _ in range(5)]
        await bench.append(part(*jobs))
        await bench.fed()
        claimed = await bench.claim(5)
        await bench.claims.give_back(claimed.id)
        assert bench.held() == bench.ready()
        claimed = await bench.claim(5)
        await bench.append(part(bench.desk.cancel(jobs[0])))
        await bench.fed()
        await bench.claims.give_back(claimed.id)  # the log moved on: PostgreSQL is asked
        assert bench.held() == bench.ready()
        assert bench.state("popped") == 0


async def test_the_sweep_returns_what_is_still_ready(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        jobs = [bench.desk.enqueue() for _ in range(5)]
        await bench.append(part(*jobs), feed=False)
        await bench.restorer.restore()
        claimed = await bench.claim(5)
        await bench.append(part(*(bench.desk.start(job) for job in jobs[:2])), feed=False)
        assert await sweep(bench.redis, bench.pool) == 0
        expire_claims(bench)
        assert await sweep(bench.redis, bench.pool) == 1
        await bench.restorer.restore()
        assert bench.held() == bench.ready()
        assert bench.state("popped") == 0
        assert len(claimed.items) == 5


async def test_a_slow_claim_loses_the_race_against_the_sweep(database: str, redis_url: str) -> None:
    """Its ids went back and another worker popped some; all still start once, and Redis ends right."""
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(10))))
        await bench.fed()
        slow = await bench.claim(10)
        expire_claims(bench)
        await sweep(bench.redis, bench.pool)
        quick = await bench.claim(4)
        assert [item[3] for item in quick.items] == [item[3] for item in slow.items[:4]]
        parts = [bench.starts(slow), bench.starts(quick)]
        outcomes = [(await bench.append(each)).outcomes[0] for each in parts]
        assert [len(outcome.started) for outcome in outcomes] == [10, 0]
        await bench.fed()
        await until(lambda: bench.held() == bench.ready() == {} and bench.state("popped") == 0)


async def test_what_two_claims_hold_is_gone_when_one_starts_it(database: str, redis_url: str) -> None:
    """A catch-up from before the first claim puts its id back, another pops it, and the first one's sweep puts it
    back again."""
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        first = await bench.claim(1)
        expire_claims(bench)
        [(queue, type_, priority, job)] = first.items
        build = bench.raw.hget(PREFIX + b"at", "build")
        bench.raw.zadd(PREFIX + build + b":q:%d:%d" % (queue, type_), {job: -priority})
        second = await bench.claim(1)
        assert await sweep(bench.redis, bench.pool) == 1
        assert second.items == first.items
        assert bench.held() == bench.ready()
        await bench.append(bench.starts(second))
        await bench.fed()
        assert bench.held() == bench.ready() == {}
        assert bench.state("popped") == 0


async def test_room_is_shared_between_queues(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        build = bench.raw.hget(PREFIX + b"at", "build")
        for queue, count in ((901, 50), (902, 3), (903, 50)):
            members = {n.to_bytes(16, "big"): -1.0 for n in range(count)}
            bench.raw.zadd(PREFIX + build + b":q:%d:1" % queue, members)
        claimed = await bench.claims.pop([(queue, [1], 20) for queue in (901, 902, 903)], 20)
        assert claimed is not None
        got = [sum(item[0] == queue for item in claimed.items) for queue in (901, 902, 903)]
        assert sum(got) == 20
        assert got[1] == 3
        assert min(got[0], got[2]) >= 6


async def test_an_idle_worker_is_woken_once(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.claims.start()
        await until(lambda: bench.raw.pubsub_numsub(PREFIX + b"wake")[0][1] == 1)
        await bench.claim(1)
        await bench.claim(1)
        waiting = asyncio.ensure_future(bench.claims.wait_for_wake([bench.desk.queue], 5))
        await asyncio.sleep(0)
        await bench.append(part(bench.desk.enqueue()))
        assert await waiting == {bench.desk.queue}
        assert len((await bench.claim(1)).items) == 1
        # Its claim was filled: nobody waits, so nothing is published for the next job.
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        assert await bench.claims.wait_for_wake([bench.desk.queue], 0.1) == set()
        await bench.claims.stop()


async def test_scripts_are_loaded_again_when_forgotten(redis_url: str) -> None:
    redis = Redis(redis_url)
    await redis.ask("expired", limit=1)
    await redis.command(b"SCRIPT", b"FLUSH")
    assert await redis.ask("expired", limit=1) == []
    assert await redis.ask("give_back", claim=raw(b"nobody's")) == b"gone"
    await redis.close()
