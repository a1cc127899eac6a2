"""Faults between a worker and the log: the tests that were written when one of them did harm."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from hivelog.broker.reaper import Reaper
from hivelog.events.appender import Appender
from hivelog.events.log import Log
from hivelog.stopping import stop_tasks

from . import bad_handlers, worker_handlers
from .batches import Desk, complete, part
from .intact import assert_intact
from .proxy import proxied
from .test_worker import MODULE, working
from .test_worker import opened as bench_of
from .test_worker_stop import worker


async def opened(url: str) -> Appender:
    appender = Appender(Log(url))
    await appender.start()
    return appender


async def test_a_pick_from_a_queue_over_its_lowered_limit_takes_nothing(database: str) -> None:
    """The limit fell below what runs already; the same part carries a result that must not be lost."""
    desk = Desk(database)
    appender = await opened(database)
    await appender.submit(part(*(desk.enqueue() for _ in range(4))))
    started = (await appender.submit(part(desk.pick(3)))).started
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update hivelog.queues set max_workers = 1 where id = %s", (desk.queue,))
    outcome = await appender.submit(part(complete(started[0]), desk.pick(1)))
    assert not outcome.refused
    assert outcome.started == []
    await appender.stop()
    assert_intact(database)


async def test_two_ends_of_one_lease_in_a_part_are_one_end(database: str) -> None:
    """A worker in another language may name a token twice in one call."""
    desk = Desk(database)
    appender = await opened(database)
    await appender.submit(part(desk.enqueue()))
    (job,) = (await appender.submit(part(desk.pick(1)))).started
    outcome = await appender.submit(part(complete(job), complete(job)))
    assert [refused.code for refused in outcome.refused.values()] == ["stale_token"]
    await appender.stop()
    assert_intact(database)


async def test_recovered_starts_go_to_one_caller_each(database: str, tmp_path: Path) -> None:
    """Two turns of one session in a batch whose answer was lost: a job told to both would run twice."""
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = await opened(proxy.url)
        jobs = [desk.enqueue(priority=priority) for priority in (1, 1, 9, 9)]  # the last two get picked
        await appender.submit(part(*jobs))
        proxy.lose_next_answer()
        turns = [
            part(desk.start(jobs[0])),
            part(desk.start(jobs[1]), desk.pick(1)),
            part(desk.pick(1)),
        ]
        outcomes = await asyncio.gather(*(appender.submit(turn) for turn in turns))
        assert proxy.swallowed.is_set()
        await appender.stop()
    told = [job.job for outcome in outcomes for job in outcome.started]
    assert sorted(told) == sorted(job.job for job in jobs)
    assert outcomes[0].started[0].job == jobs[0].job
    assert_intact(database)


async def test_one_end_that_cannot_be_written_costs_the_others_nothing(
    database: str, redis_url: str
) -> None:
    """A row in the way of one result must not take a whole turn's results with it."""
    async with bench_of(database, redis_url) as bench, working(bench.engine):
        jobs = [await bench.put("gate") for _ in range(5)]
        started = [await bench.position_of(job, "started") for job in jobs]
        bench.probe.execute(
            "insert into hivelog.vault (job, slot, token, body) select stream, 1, position, 'in the way'"
            " from hivelog.events where position = %s",
            (started[2],),
        )
        worker_handlers.GATE.set()
        ends = [await bench.ended(job) for job in jobs]
        starts = [bench.types(job).count("started") for job in jobs]
    assert [event for event, _ in ends] == ["completed", "completed", "failed", "completed", "completed"]
    assert ends[2][1]["cause"] == "result"
    assert starts == [1] * 5
    assert_intact(database)


async def test_a_deadlock_is_tried_again(database: str) -> None:
    """The server ended our transaction to free another: nothing was written, nothing is wrong with it."""
    desk = Desk(database)
    appender = await opened(database)
    await appender.submit(part(desk.enqueue()))
    (job,) = (await appender.submit(part(desk.pick(1)))).started
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "create sequence public.once; grant all on sequence public.once to public;"
            " create function public.deadlock() returns trigger language plpgsql as $$ begin"
            " if nextval('public.once') = 1 then raise exception 'deadlock' using errcode = '40P01'; end if;"
            " return new; end $$;"
            " create trigger once before insert on hivelog.batches for each row execute function"
            " public.deadlock()"
        )
    outcome = await appender.submit(part(complete(job), patient=True))
    assert not outcome.refused
    await appender.stop()
    assert_intact(database)


async def test_a_handler_that_never_returns_does_not_keep_the_process(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """A thread cannot be killed; its job is given back, and then the process has to go."""
    environment = os.environ | {
        "DATABASE_URL": database, "REDIS_URL": redis_url, "HIVELOG_GRACE_SECONDS": "1",
        "HIVELOG_DATA": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1]),
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "hivelog.cli", "worker", "--handlers", MODULE, "--queue", "work"]
    async with bench_of(database, redis_url) as bench:
        process = subprocess.Popen(command, env=environment)
        try:
            job = await bench.put("deaf_in_thread")
            await bench.happened(job, "started", seconds=30)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 20) == 0
        finally:
            process.kill()
        assert bench.types(job) == ["enqueued", "started", "released"]
    assert_intact(database)


@pytest.mark.parametrize("stop", [True, False])
async def test_a_handler_that_swallows_its_cancellation(
    database: str, redis_url: str, tmp_path: Path, stop: bool
) -> None:
    """It keeps its slot, but not the process, and its lease not for ever."""
    async with bench_of(database, redis_url) as bench:
        reaper = Reaper(bench.engine.appender, bench.engine.names, bench.engine.pool, grace=1, interval=0.2)
        reaping = asyncio.create_task(reaper.run())
        options = {"HIVELOG_GRACE_SECONDS": "1", "HIVELOG_HEARTBEAT_SECONDS": "1",
                   "HIVELOG_DEAD_AFTER_SECONDS": "3"}  # fmt: skip
        with worker(database, redis_url, tmp_path, module=bad_handlers.__name__, **options) as process:
            job = await bench.put("deaf", None, **({} if stop else {"timeout": 1}))
            await bench.happened(job, "started", seconds=30)
            if not stop:
                assert await bench.ended(job) == ("expired", {"cause": "timeout"})
                harmless = await bench.put("kill_worker", {"harmless": True})
                assert (await bench.ended(harmless))[0] == "completed", "the others go on"
            process.terminate()
            assert await asyncio.to_thread(process.wait, 20) == 0
        await stop_tasks(reaping)
        if stop:
            assert bench.types(job) == ["enqueued", "started", "released"]
    assert_intact(database)


async def test_a_worker_whose_slots_are_all_stuck_makes_room_for_another(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """It could run nothing any more, and would look alive for ever. Whoever keeps it running starts a new one."""
    options = {"HIVELOG_GRACE_SECONDS": "1", "HIVELOG_HEARTBEAT_SECONDS": "1",
               "HIVELOG_DEAD_AFTER_SECONDS": "3"}  # fmt: skip
    async with bench_of(database, redis_url) as bench:
        with worker(database, redis_url, tmp_path, **options) as process:
            jobs = [await bench.put("deaf_in_thread", timeout=1) for _ in range(10)]
            for job in jobs:
                await bench.happened(job, "expired", seconds=30)
            assert await asyncio.to_thread(process.wait, 20) == 1
        sessions = "select type::text from hivelog.events where type::text like 'worker%'"
        assert [row[0] for row in bench.probe.execute(sessions).fetchall()] == ["worker_started", "worker_stopped"]
    assert_intact(database)
