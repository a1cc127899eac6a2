"""How long it takes until things go on after a failure, measured on real processes; median and longest, in seconds.

    make recovery
    python -m tests.chaos.recovery --rounds 10 --jobs 0
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from hivelog.broker.engine import Engine
from hivelog.broker.enqueue import Item
from hivelog.events.errors import LogError
from hivelog.settings import Settings
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.table import Table

from ..adversary import Adversary
from ..options import Options
from .fleet import DEAD_AFTER, HEARTBEAT
from .run import open_world
from .world import World

_BULK = 10_000  # jobs of one call
_STARTED = "select actor from hivelog.events where stream = %s and type = 'started' order by position"
_COMPLETED = "select 1 from hivelog.events where stream = %s and type = 'completed'"
_LEADER = "select holder from hivelog.leadership where duty = 'reaper' and expires_at > hivelog.now()"


class Measure:
    """One world, one engine beside it that enqueues, and a connection that looks."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world, self._engine = world, engine
        self._probe = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.world.postgres.url, autocommit=True)

    async def _until(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "it did not recover"
            await asyncio.sleep(0.01)
        return found

    def _rows(self, query: str, *values: Any) -> list[Any]:
        return self._probe.execute(query, values).fetchall()

    async def _put(self, seconds: float, queue: str = "work") -> str:
        accepted = await self._engine.enqueuer.enqueue(
            queue, "work", {"n": "recovery", "seconds": seconds}, actor="recovery"
        )
        return accepted.job.hex()

    async def worker_killed(self) -> float:
        """Until the job that it ran is started by another worker."""
        job = await self._put(4)
        (actor,) = (await self._until(lambda: self._rows(_STARTED, job)))[0]
        pid = self._rows("select pid from hivelog.sessions where id = %s", actor)[0][0]
        victim = next(member for member in self.world.fleet.of("worker") if member.pid == pid)
        victim.signal(signal.SIGKILL)
        began = time.monotonic()
        await self._until(lambda: len(self._rows(_STARTED, job)) > 1)
        took = time.monotonic() - began
        await victim.ended()
        victim.start()
        await self._until(lambda: self._rows(_COMPLETED, job))
        return took

    async def leader_killed(self) -> float:
        """Until another server holds the reaper's duty."""
        leader = await self.world.leader()
        held = (await self._until(lambda: self._rows(_LEADER)))[0]
        leader.signal(signal.SIGKILL)
        began = time.monotonic()
        await self._until(lambda: (rows := self._rows(_LEADER)) and rows[0] != held)
        took = time.monotonic() - began
        await leader.ended()
        leader.start()
        await self.world.fleet.answering()
        return took

    async def postgres_restarted(self) -> float:
        """Immediate stop and start, then until an append of a process that was connected is durable. Counted
        from the moment at which the server accepts connections again."""
        await asyncio.to_thread(self.world.postgres.stop, "immediate")
        await asyncio.to_thread(self.world.postgres.start)
        began = time.monotonic()
        while not await self._accepted():
            assert time.monotonic() - began < 60, "no append gets through"
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        self._probe = self._connect()
        return took

    async def _accepted(self) -> bool:
        try:
            await self._put(0)
        except (LogError, psycopg.Error, PoolTimeout):
            return False
        return True

    async def redis_flushed(self, jobs: int) -> dict[str, float]:
        """With so many jobs ready and the workers busy with them: until the next start (by the database's own
        choice), until Redis is whole again, and until a claim comes out of it."""
        await self._engine.queues.pause("work", actor="recovery")
        for start in range(0, jobs, _BULK):
            items = [Item("work", "work", {"n": n, "seconds": 0.02}) for n in range(start, min(start + _BULK, jobs))]
            await self._engine.enqueuer.enqueue_many(items, actor="recovery")
        resumed = await self._engine.queues.resume("work", actor="recovery")
        adversary = Adversary(self.world.valkey.url, random.Random(0))
        started = "select 1 from hivelog.events where position > %s and type = 'started' limit 1"
        await self._until(lambda: self._rows(started, resumed) and adversary.claims(), 600)
        head = self._rows("select max(position) from hivelog.batches")[0][0]
        adversary.flush()
        began = time.monotonic()
        found = {}
        await self._until(lambda: self._rows(started, head), 600)
        found["next job started"] = time.monotonic() - began
        await self._until(lambda: adversary.checkpoint() is not None, 600)
        found["rebuilt"] = time.monotonic() - began
        await self._until(adversary.claims, 600)
        found["first claim from it"] = time.monotonic() - began
        adversary.close()
        return found


async def measure(rounds: int, jobs: int) -> dict[str, list[float]]:
    """Seconds by what was measured."""
    folder = Path(tempfile.mkdtemp(prefix="hivelog-recovery-"))
    found: dict[str, list[float]] = {}
    try:
        async with open_world(folder, {}) as world:
            settings = Settings.load({}, database_url=world.postgres.url, redis_url=world.valkey.url, data=folder)
            async with Engine(settings, name="recovery") as engine:
                world.fleet.start()
                await world.fleet.answering()
                measured = Measure(world, engine)
                for _ in range(rounds):
                    for name, what in (
                        ("worker killed -> its job runs elsewhere", measured.worker_killed),
                        ("leader killed -> duties taken over", measured.leader_killed),
                        ("PostgreSQL restarted -> first append", measured.postgres_restarted),
                    ):
                        found.setdefault(name, []).append(await what())
                if jobs:
                    for name, took in (await measured.redis_flushed(jobs)).items():
                        found[f"Redis flushed, {jobs:,} ready -> {name}"] = [took]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> int:
    line = Options("tests.chaos.recovery", __doc__)
    line.variable("RECOVERY_ROUNDS", 3, "measurements of each")
    line.variable("RECOVERY_JOBS", 1_000_000, "jobs that are ready when Redis is flushed; 0 leaves that one out")
    given = line.parse_args()
    console = Console()
    console.print(f"heartbeat {HEARTBEAT} s, dead after {DEAD_AFTER} s")
    table = Table("what", "measured", "median s", "longest s")
    with console.status("measuring"):
        found = asyncio.run(measure(given.rounds, given.jobs))
    for name, seconds in found.items():
        table.add_row(name, str(len(seconds)), f"{median(seconds):.2f}", f"{max(seconds):.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
