"""One process of the simulation: the product's own appender, feeder, worker, reaper and scheduler, wired as
`broker/engine.py` wires them, over simulated servers."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from hivelog.broker.announcements import Announcer
from hivelog.broker.claims import Claims
from hivelog.broker.connection import Redis
from hivelog.broker.context import JobContext
from hivelog.broker.feed import Feeder
from hivelog.broker.lag import Lag
from hivelog.broker.reaper import Reaper
from hivelog.broker.registry import Registry
from hivelog.broker.scheduler import Scheduler
from hivelog.broker.source import Source
from hivelog.broker.worker import Worker
from hivelog.events import epoch
from hivelog.events.appender import Appender
from hivelog.events.batch import Outcome, Part
from hivelog.events.log import Log
from hivelog.events.names import Names
from hivelog.events.pool import Pool
from hivelog.events.vault import Vault

from .network import Line, SimLog, SimNames, SimPool, SimRedis, SimSessions

if TYPE_CHECKING:
    from .world import World

HEARTBEAT, DEAD_AFTER, GRACE = 1, 4, 3  # seconds


class Process:
    """`kind`: worker, leader (reaper and scheduler) or serve (takes commands). Killing it is leaving it."""

    def __init__(self, world: World, name: str, kind: str) -> None:
        self.name, self.kind, self._world = name, kind, world
        self.line = Line(random.Random(world.rng.random()), world.loss)
        self.names = cast("Names", SimNames(world.database))
        self.pool = cast("Pool", SimPool(world.database, self.line))
        self.redis = cast("Redis", SimRedis(world.redis, self.line))
        self.log = cast("Log", SimLog(world.database, self.line, self))
        self.log.check_epoch = self._epoch
        self.log.memory.log = "simulated"
        self.feeder = Feeder(self.redis, self.pool, self.log.memory)
        self.feeder.lag = Lag(world.loop.time)
        self.claims = Claims(self.redis, self.pool, self.feeder, hold_ms=world.hold_ms)
        self.appender = Appender(self.log, [self.feeder.appended])
        self.feeder.on_ahead(self.appender.verify)
        self._announcer = Announcer(self.redis, self.feeder)
        self.sessions = SimSessions(
            world.database, self.line, self.appender, self.names, heartbeat=HEARTBEAT, dead_after=DEAD_AFTER
        )
        self.worker: Worker | None = None
        self.started = world.loop.now
        self.late = False  # a heartbeat was lost on the way, or not sent on time
        self.running: set[tuple[bytes, int]] = set()  # attempts under way: (job, token)
        self.task = asyncio.ensure_future(self._live())

    async def _epoch(self) -> int:
        actor = await self.names.actor_id("system")
        await self.feeder.checkpoint()
        async with self.pool.connection() as connection:
            return await epoch.ensure(self.appender.log, connection, actor)

    def enqueue(self, part: Part) -> asyncio.Future[Outcome]:
        """As broker/enqueue.py posts it."""
        if self.appender.idle and part.enqueues[0].due is None:
            self._announcer.announce(part.enqueues[0])
        return self.appender.post(part)

    async def _live(self) -> None:
        await self.feeder.start()
        await self.appender.start()
        if self.kind == "worker":
            await self.claims.start()
            self.worker = self._worker()
            await self.worker.run(self._world.queue_names)
        elif self.kind == "leader":
            await self._lead()
        else:
            await asyncio.get_running_loop().create_future()

    def _worker(self) -> Worker:
        registry = Registry()
        for kind in SimNames.TYPES:
            registry.handler(kind)(self._handle)
        worker = Worker(
            appender=self.appender, vault=Vault(None), sessions=self.sessions,
            source=Source(self.claims, self.feeder, self.names), registry=registry, name=self.name,
            slots=self._world.rng.choice([1, 2, 4]), grace=GRACE, result_limit=1_000_000,
        )  # fmt: skip
        worker._watchdog.start = lambda: None  # type: ignore[method-assign]  # a thread, which keeps real time
        return worker

    async def _handle(self, ctx: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
        """The user's code: takes a while, succeeds or not. It freezes with its process."""
        assert self.worker is not None
        running = self.worker._leases.running[ctx.token].job
        await self.line.gate()
        self._world.checker.handler_began(self, running)
        self.running.add((running.job, running.token))
        try:
            if (rate := self.line.rng.choice(self._world.rates)) is not None:  # a second
                await asyncio.sleep(self.line.rng.expovariate(rate))
            await self.line.gate()
            if self.line.rng.random() < 0.2:
                raise ValueError("no luck")
            return {"ok": True}
        finally:
            self.running.discard((running.job, running.token))

    async def _lead(self) -> None:
        reaper = Reaper(self.appender, self.names, self.pool, grace=GRACE)
        scheduler = Scheduler(self.appender, self.names, self.pool)
        self.appender.listeners.append(scheduler.appended)
        await asyncio.gather(self._again(reaper.run), self._again(scheduler.run))

    async def _again(self, duty: Any) -> None:
        """As broker/duties.py: a duty that fails is taken up again."""
        while True:
            try:
                await duty()
            except Exception as error:
                self._world.trouble.append(f"{self.name}: {error!r}")
            await asyncio.sleep(0.5)
