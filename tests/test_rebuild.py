"""Rebuilds: from one snapshot, by one builder at a time, beside feeds and claims. Against real servers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from hivelog.broker import rebuild
from hivelog.broker.audit import Difference, audit
from hivelog.broker.feed_message import feed_message
from hivelog.broker.packing import raw_last
from hivelog.broker.rebuild import Restorer, read_state
from hivelog.events.batch import End
from hivelog.events.memory import Memory
from psycopg import AsyncConnection

from .batches import part
from .redis_rig import PREFIX, Rig, rig


async def begin(bench: Rig, build: str) -> bool:
    return bool(await bench.redis.ask("rebuild_begin", build=build, ttl=60_000))


async def test_an_empty_redis_is_loaded_in_order(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False, max_workers=7) as bench:
        jobs = [bench.desk.enqueue(priority=n % 5) for n in range(1500)]
        await bench.append(part(*jobs), feed=False)
        await bench.append(part(*(bench.desk.enqueue(priority=3) for _ in range(1500))), feed=False)
        await bench.append(part(bench.desk.pick(4)), feed=False)
        bench.raw.flushdb()
        assert await bench.restorer.restore() == bench.log.head
        assert bench.held() == bench.ready()
        assert (bench.state("running"), bench.state("max")) == (4, 7)
        assert await audit(bench.redis, bench.pool) == []
        assert bench.raw.ttl(next(iter(bench.raw.keys(PREFIX + b"*:q:*")))) == -1


async def test_the_old_build_leaves_nothing_behind(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(9))), feed=False)
        await bench.restorer.restore()
        await bench.claim(3)
        before = set(bench.raw.keys(PREFIX + b"*"))
        await bench.restorer.restore(anew=True)
        after = set(bench.raw.keys(PREFIX + b"*"))
        assert before & after == {PREFIX + b"at"}
        assert bench.held() == bench.ready()
        assert bench.state("popped") == 0


async def test_many_rebuilders_one_build(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(500))), feed=False)
        bench.raw.flushdb()
        restorers = [Restorer(bench.redis, bench.pool, Memory()) for _ in range(6)]
        heads = await asyncio.gather(*(restorer.restore() for restorer in restorers))
        assert set(heads) == {bench.log.head}
        assert bench.held() == bench.ready()
        assert not bench.raw.exists(PREFIX + b"building")


async def test_a_build_that_lost_its_turn_neither_loads_nor_swaps(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        assert await begin(bench, "slow")
        assert not await begin(bench, "other")
        assert not await bench.restorer.rebuild()
        bench.raw.delete(PREFIX + b"building")  # it was silent for too long
        assert await begin(bench, "other")
        groups = raw_last([(bench.desk.queue, bench.desk.type, -1, bytes(16))])
        assert await bench.redis.ask("rebuild_load", build="slow", ttl=1000, groups=groups) == 0
        swap = {"build": "slow", "epoch": 1, "position": 99, "queues": []}
        assert await bench.redis.ask("rebuild_swap", **swap) == 0
        assert bench.checkpoint() == bench.log.head
        assert bench.held() == {}


async def test_a_dead_builders_keys_expire(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        assert await begin(bench, "dead")
        groups = raw_last([(bench.desk.queue, bench.desk.type, -1, bytes(16))])
        assert await bench.redis.ask("rebuild_load", build="dead", ttl=1000, groups=groups) == 1
        left = bench.raw.keys(PREFIX + b"dead:*")
        assert len(left) == 3
        assert all(bench.raw.pttl(key) > 0 for key in [*left, PREFIX + b"building"])


async def test_what_is_fed_during_a_build_is_not_lost(database: str, redis_url: str) -> None:
    """The snapshot is older than the swap; what came between waits, or is caught up."""
    async with rig(database, redis_url, running=False) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(3))), feed=False)
        await bench.restorer.restore()
        position = bench.log.head
        assert await begin(bench, "build")
        queues = [(bench.desk.queue, 0, 0, -2)]
        ready = [
            (bench.desk.queue, bench.desk.type, -priority, job)
            for priority, job in bench.ready()[bench.desk.queue, bench.desk.type]
        ]
        await bench.redis.ask("rebuild_load", build="build", ttl=60_000, groups=raw_last(ready))
        messages = [
            feed_message(await bench.append(part(bench.desk.enqueue()), feed=False)) for _ in range(3)
        ]
        await bench.redis.run("feed", messages[0].encode())  # applied to the old build
        await bench.redis.run("feed", messages[2].encode())  # early: waits
        swap = {"build": "build", "epoch": 1, "position": position, "log": "", "queues": queues}
        assert await bench.redis.ask("rebuild_swap", **swap) == 1
        assert bench.checkpoint() == position
        await bench.redis.run("feed", messages[1].encode())  # early now
        await bench.redis.run("feed", messages[0].encode())
        assert bench.checkpoint() == bench.log.head
        assert bench.held() == bench.ready()


async def test_a_claim_from_before_the_rebuild_takes_its_started_ids_out(
    database: str, redis_url: str
) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(5))))
        await bench.fed()
        claimed = await bench.claim(3)
        await bench.restorer.restore(anew=True)
        assert len(bench.held()[bench.desk.queue, bench.desk.type]) == 5
        await bench.append(bench.starts(claimed))
        await bench.fed()
        assert bench.held() == bench.ready()


async def test_a_catch_up_tells_only_what_changed(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        jobs = [bench.desk.enqueue() for _ in range(6)]
        await bench.append(part(*jobs), feed=False)
        before = bench.log.head
        await bench.append(part(bench.desk.cancel(jobs[0]), bench.desk.start(jobs[1])), feed=False)
        late = bench.desk.enqueue(priority=9)
        started = (await bench.append(part(late, bench.desk.start(jobs[2])), feed=False)).outcomes[0].started
        await bench.append(part(End(started[0].job, started[0].token, "released")), feed=False)
        state = await read_state(bench.pool, before)
        place = (bench.desk.queue, bench.desk.type)
        assert sorted(state.adds or []) == sorted([(*place, -9, late.job), (*place, -100, jobs[2].job)])
        ((queue, type_, gone),) = state.dels
        assert (queue, type_) == (bench.desk.queue, -1)
        assert {gone[:16], gone[16:]} == {jobs[0].job, jobs[1].job}
        assert state.head == bench.log.head


async def test_far_behind_means_rebuild(
    database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(database, redis_url, running=False) as bench:
        build = bench.raw.hget(PREFIX + b"at", "build")
        await bench.append(part(*(bench.desk.enqueue() for _ in range(20))), feed=False)
        monkeypatch.setattr(rebuild, "_FAR", 19)
        await bench.restorer.restore()
        assert bench.raw.hget(PREFIX + b"at", "build") != build
        assert bench.held() == bench.ready()


async def test_the_checkpoint_of_another_log_is_rebuilt(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        await bench.append(part(bench.desk.enqueue()), feed=False)
        bench.raw.hset(PREFIX + b"at", mapping={"log": "another", "epoch": 41})
        await bench.restorer.restore()
        assert bench.raw.hget(PREFIX + b"at", "epoch") == b"1"
        assert bench.held() == bench.ready()


async def test_the_audit_names_what_differs(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, max_workers=4) as bench:
        jobs = [bench.desk.enqueue() for _ in range(5)]
        await bench.append(part(*jobs))
        await bench.fed()
        await bench.claim(2)
        assert await audit(bench.redis, bench.pool) == []
        build = bench.raw.hget(PREFIX + b"at", "build")
        bench.raw.zrem(PREFIX + build + b":q:%d:%d" % (bench.desk.queue, bench.desk.type), jobs[4].job)
        bench.raw.hset(PREFIX + build + b":s:%d" % bench.desk.queue, mapping={"max": 9, "popped": 77})
        assert await audit(bench.redis, bench.pool) == [
            Difference(bench.desk.queue, "ready", 4, 5),
            Difference(bench.desk.queue, "max_workers", 9, 4),
        ]
        assert bench.state("popped") == 2  # corrected at once: the claims tell


_SCANS: Final = "pg_stat_get_xact_numscans('hivelog.ready'::regclass)"  # of the whole table, in this transaction
_SEEN: Final = "pg_stat_get_xact_tuples_returned('hivelog.ready_key'::regclass)"  # entries of the key read


async def test_what_was_touched_is_looked_up_by_its_key(database: str, redis_url: str) -> None:
    """Whatever happened to it since, and however much waits beside it."""
    async with rig(database, redis_url, running=False) as bench:
        older = [bench.desk.enqueue(priority=n % 7) for n in range(400)]
        await bench.append(part(*older), feed=False)
        after = (await bench.append(part(bench.desk.pick(50)), feed=False)).head
        waiting = [job for job in older if job.priority < 5]
        changed, gone = waiting[:20], waiting[20:30]
        moves = [bench.desk.reprioritize(job, 4 - job.priority) for job in changed]
        await bench.append(part(*moves, *(bench.desk.cancel(job) for job in gone)), feed=False)
        fresh = [bench.desk.enqueue(priority=n % 7) for n in range(60)]
        await bench.append(part(*fresh), feed=False)
        outcome = await bench.append(part(bench.desk.pick(30)), feed=False)
        started = {job.job for job in outcome.outcomes[0].started}
        async with bench.pool.connection() as connection, connection.transaction():
            scans, seen = (await _rows(connection, f"{_SCANS}, {_SEEN}"))[0]
            row = (await _rows(connection, "hivelog.feed_state(%s, 50000)", after))[0]
            scans_now, seen_now = (await _rows(connection, f"{_SCANS}, {_SEEN}"))[0]
            assert scans_now == scans
            assert seen_now - seen <= len(fresh) + len(changed), "a look finds one job or none"
        told = {ids[n : n + 16] for ids in row[5] for n in range(0, len(ids), 16)}
        ready = {job for rows in bench.ready().values() for _, job in rows}
        touched = {job.job for job in (*fresh, *changed, *gone)} | started
        assert told == touched & ready
        assert {job.job for job in changed} & ready <= told, "with the priority that it has now"
        lacking = {ids[n : n + 16] for ids in row[7] for n in range(0, len(ids), 16)}
        assert lacking == touched - ready


async def test_many_older_jobs_are_a_rebuild(
    database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would need a look at its story."""
    async with rig(database, redis_url, running=False) as bench:
        older = [bench.desk.enqueue() for _ in range(20)]
        await bench.append(part(*older), feed=False)
        await bench.restorer.restore()
        build = bench.raw.hget(PREFIX + b"at", "build")
        monkeypatch.setattr(rebuild, "_FAR", 200)
        for count, rebuilt in ((10, False), (11, True)):
            await bench.append(part(*(bench.desk.reprioritize(job, count) for job in older[:count])), feed=False)
            older = [bench.desk.enqueue() for _ in range(20)]
            await bench.restorer.restore()
            assert (bench.raw.hget(PREFIX + b"at", "build") != build) == rebuilt
            assert bench.held() == bench.ready()
            await bench.append(part(*older), feed=False)
            await bench.restorer.restore()


async def _rows(connection: AsyncConnection, call: str, *parameters: object) -> list[Any]:
    return await (await connection.execute(f"select * from {call}", parameters)).fetchall()
