"""Every process is restarted in its turn under load: no request that is repeated is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

from hivelog.stopping import stop_tasks

from .cli_world import free_port
from .degraded_world import Follower, site
from .intact import assert_intact
from .test_degraded import assert_complete, assert_once, followed, ran_more
from .test_redis_faults import ran, runs
from .test_worker import until


async def test_everything_is_restarted_in_turn_under_load(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "runs"
    async with site(database, redis_url, tmp_path) as here, contextlib.AsyncExitStack() as stack:
        ports = [here.port, free_port()]
        here.bases = [f"http://127.0.0.1:{port}" for port in ports]

        async def serving(port: int) -> contextlib.ExitStack:
            """A server that is ready; close it and it gets SIGTERM."""
            running = stack.enter_context(contextlib.ExitStack())
            running.enter_context(here.serve(port))
            await until(lambda: here.is_ready(f"http://127.0.0.1:{port}"), 40)
            return running

        def working(name: str) -> contextlib.ExitStack:
            running = stack.enter_context(contextlib.ExitStack())
            running.enter_context(here.worker(name))
            return running

        servers = {port: await serving(port) for port in ports}
        await here.client.put("/queue/orders", json={"max_retries": 0})
        workers = {name: working(name) for name in ("one", "two")}
        follower = Follower(here)
        following = asyncio.create_task(follower.run())
        enough = asyncio.Event()
        producing = asyncio.create_task(here.produce(file, 10_000, 0.02, 0.05, enough))
        await ran_more(file, 10)
        for name, running in workers.items():
            await asyncio.to_thread(running.close)
            working(name)
            await ran_more(file, 5)
        for port, running in servers.items():
            await asyncio.to_thread(running.close)
            await serving(port)
            await ran_more(file, 5)
        enough.set()
        async with asyncio.timeout(60):
            jobs = await producing
        await ran(file, jobs)
        await followed(database, follower)
        await stop_tasks(following)
    assert follower.connections >= 2, "its server was restarted"
    assert follower.resets == 0
    assert set(here.answered) <= {0, 200, 201, 503}
    assert len(here.acknowledged) == jobs > 50
    assert Counter(await runs(file)) == {f"{n} 1": 1 for n in range(jobs)}
    assert_complete(database, follower)
    assert_once(database, jobs)
    assert_intact(database)
