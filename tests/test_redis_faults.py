"""Servers that fail while jobs flow: nothing is lost, nothing runs twice, nobody is declared dead for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from hivelog.broker.enqueue import Item
from hivelog.broker.reaper import Reaped, Reaper
from hivelog.broker.scheduler import Scheduler
from hivelog.events.errors import LogError
from psycopg_pool import PoolTimeout
from simulated_clock import Clock

from .adversary import Adversary
from .intact import assert_intact
from .proxy import proxied
from .test_worker import MODULE, Bench, beaten, opened, until, working

JOBS = 120


async def runs(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def ran(file: Path, jobs: int) -> None:
    """Wait until so many have run."""

    async def enough() -> bool:
        return len(await runs(file)) >= jobs

    await until(enough, 60)


async def put_all(bench: Bench, file: Path, seconds: float) -> None:
    for start in range(0, JOBS, 10):
        items = [
            Item("work", "note", {"file": str(file), "n": n, "seconds": 0.01}, {"max_retries": 0})
            for n in range(start, start + 10)
        ]
        await bench.engine.enqueuer.enqueue_many(items, actor="test")
        await asyncio.sleep(seconds / JOBS * 10)


@pytest.mark.parametrize(
    "fault", ["flush", "evict_ready", "lose_an_id", "restore", "wrong_type", "kill_connections"]
)
async def test_redis_goes_wrong_while_jobs_flow(
    database: str, redis_url: str, tmp_path: Path, fault: str
) -> None:
    file = tmp_path / "runs"
    adversary = Adversary(redis_url, random.Random(7))
    async with opened(database, redis_url) as bench, working(bench.engine):
        putting = asyncio.create_task(put_all(bench, file, 1.5))
        for n in range(4):
            await ran(file, (n + 1) * JOBS // 6)
            getattr(adversary, fault)()
            adversary.remember()
        await putting

        async def all_ended() -> bool:
            query = "select count(*) from hivelog.events where type = 'completed'"
            row = bench.probe.execute(query).fetchone()
            return bool(row and row[0] == JOBS)

        await until(all_ended, 40)
    adversary.close()
    assert sorted(await runs(file)) == sorted(f"{n} 1" for n in range(JOBS))
    assert_intact(database)


async def test_postgres_is_away_for_longer_than_dead_after(
    database: str, redis_url: str, tmp_path: Path, clock: Clock
) -> None:
    """Results are held and settled; nobody is declared dead; nothing runs twice."""
    file, go = tmp_path / "runs", tmp_path / "go"
    async with (
        proxied(database, tmp_path) as proxy,
        opened(database, redis_url) as bench,
        opened(proxy.url, redis_url, probe=database) as far,
        working(far.engine) as worker,
    ):
        reaper = Reaper(far.engine.appender, far.engine.names, far.engine.pool)

        async def looked() -> Reaped | None:
            with contextlib.suppress(LogError, psycopg.Error, PoolTimeout):
                return await reaper.tick()
            return None

        async def cut_off() -> bool:
            """All handlers are through, and a heartbeat got nowhere."""
            return not worker._leases.running and worker._source.paused

        jobs = [await bench.put("note", {"file": str(file), "n": n, "until": str(go)}) for n in range(8)]
        for job in jobs:
            await bench.happened(job, "started")
        assert await looked() == Reaped()
        proxy.cut(refuse=True)
        go.touch()
        await until(cut_off, 30)
        assert await looked() is None
        clock.advance(5)  # dead-after is 3 s
        async with worker._pulse._one:  # no heartbeat gets ahead of the reaper's next look
            proxy.restore()
            assert await until(looked, 30) == Reaped(), "time that nobody could see counts for nothing"
        for job in jobs:
            assert (await bench.ended(job))[0] == "completed"
        await beaten(far.probe)  # whatever would be given back wrongly has been
        assert [bench.types(job) for job in jobs] == [["enqueued", "started", "completed"]] * 8
    assert len(await runs(file)) == 8
    assert_intact(database)


async def test_a_killed_worker_process_loses_nothing(database: str, redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "runs"
    script = (
        "import asyncio\nfrom hivelog.settings import Settings\n"
        "from hivelog.broker.serving import WorkerOptions, run_worker\n"
        f"asyncio.run(run_worker(Settings.load(), WorkerOptions(modules=({MODULE!r},), queues=('work',))))\n"
    )
    environment = os.environ | {
        "DATABASE_URL": database, "REDIS_URL": redis_url, "HIVELOG_HEARTBEAT_SECONDS": "1",
        "HIVELOG_DEAD_AFTER_SECONDS": "3", "PYTHONPATH": str(Path(__file__).parents[1]),
    }  # fmt: skip
    async with opened(database, redis_url) as bench:
        process = subprocess.Popen([sys.executable, "-c", script], env=environment)
        try:
            job = await bench.put("note", {"file": str(file), "seconds": 30}, max_retries=1)

            async def began() -> bool:
                return bool(await runs(file))

            await until(began, 30)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        reaper = Reaper(bench.engine.appender, bench.engine.names, bench.engine.pool, interval=0.2)
        reaping = asyncio.create_task(reaper.run())
        assert (await bench.happened(job, "lost"))["to"] == "pending"
        engine = bench.engine
        scheduling = asyncio.create_task(Scheduler(engine.appender, engine.names, engine.pool).run())
        async with working(bench.engine):

            async def ran_again() -> bool:
                return await runs(file) == ["0 1", "0 2"]

            await until(ran_again, 30)
        scheduling.cancel()
        reaping.cancel()
    assert_intact(database)
