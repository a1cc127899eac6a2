"""A job that kills its worker again and again is set aside, and says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hivelog.broker.reaper import Reaper
from hivelog.broker.scheduler import Scheduler
from hivelog.events.job import fold
from hivelog.events.read import read_stream
from hivelog.stopping import stop_tasks
from hivelog.web.bodies import Bodies
from hivelog.web.messages import error_text

from . import bad_handlers
from .intact import assert_intact
from .test_worker import opened, until
from .test_worker_stop import worker

MODULE = bad_handlers.__name__
DEATHS = 2


async def test_a_poison_pill_is_set_aside_and_can_be_retried_by_hand(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    async with opened(database, redis_url) as bench:
        engine = bench.engine
        await engine.configuration.change({"poison_after": DEATHS}, actor="test")
        reaper = Reaper(
            engine.appender, engine.names, engine.pool, interval=0.2, configuration=engine.configuration
        )
        scheduler = Scheduler(engine.appender, engine.names, engine.pool)
        duties = [asyncio.create_task(reaper.run()), asyncio.create_task(scheduler.run())]
        job = await bench.put("kill_worker", {"harmless": False}, max_retries=10)
        beats = {"HIVELOG_HEARTBEAT_SECONDS": "1", "HIVELOG_DEAD_AFTER_SECONDS": "3"}
        for death in range(1, DEATHS + 1):
            with worker(database, redis_url, tmp_path, module=MODULE, **beats) as process:
                assert await asyncio.to_thread(process.wait, 30) == -9

            async def lost(times: int = death) -> bool:
                return bench.types(job).count("lost") == times

            await until(lost, 30)
        assert bench.events(job)[-1] == ("lost", {"to": "failed", "cause": "poison"})
        async with engine.pool.connection() as connection:
            state = fold(await read_stream(connection, job))
        assert (state.status, state.retry) == ("failed", DEATHS - 1), "its retries are not used up"
        assert "poison pill" in (error_text(state, Bodies(None, [])) or "")

        await engine.jobs.retry(job, payload={"harmless": True}, actor="test")
        with worker(database, redis_url, tmp_path, module=MODULE, **beats):
            await bench.happened(job, "completed", seconds=30)
        await stop_tasks(*duties)
    assert_intact(database)
