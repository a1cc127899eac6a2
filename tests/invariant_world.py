"""The system under test: two processes on one database and one Redis, a model beside them, simulated workers.

Draws of the rules never depend on what the system did (numbers are taken modulo): the same seed is the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

import psycopg
from hivelog.broker.drain import Drains
from hivelog.broker.engine import Engine
from hivelog.broker.reaper import Reaper
from hivelog.broker.scheduler import Scheduler
from hivelog.settings import Settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from simulated_clock import Clock

from .adversary import Adversary, BadFeed
from .conftest import Servers, new_database
from .proxy import Proxy, proxied
from .queue_model import QueueModel
from .simulated_worker import ENDINGS, SimulatedWorker

T = TypeVar("T")
QUEUES: Final = ("alpha", "beta")
TYPES: Final = ("one", "two")
STEP: Final = 4.0  # seconds: what the reaper still takes for one observation
ENDS: Final = st.lists(st.sampled_from(sorted(ENDINGS)), min_size=3, max_size=3)


class World(RuleBasedStateMachine):
    """Opens it all; rules come in the classes after this one."""

    servers: Servers
    prepared: str
    redis_url: str

    def __init__(self) -> None:
        super().__init__()
        self.model = QueueModel()
        self.acknowledged: dict[bytes, str] = {}
        self.keys: dict[str, bytes] = {}
        self.workers: list[SimulatedWorker] = []
        self.frozen: list[SimulatedWorker] = []
        self.honest = True  # Redis has not been tampered with since it was compared
        self.stack = contextlib.AsyncExitStack()
        self.closing = contextlib.ExitStack()
        self.loop = asyncio.new_event_loop()
        self.rng = random.Random(1)
        self.url = self.closing.enter_context(new_database(self.servers, self.prepared))
        self.clock = Clock(self.url)
        self.probe = self.closing.enter_context(psycopg.connect(self.url, autocommit=True))
        self.adversary = Adversary(self.redis_url, self.rng)
        self.adversary.flush()
        self.run(self._open())

    def run(self, awaitable: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(30):
                return await awaitable

        return self.loop.run_until_complete(bounded())

    async def _open(self) -> None:
        directory = Path(tempfile.mkdtemp())
        self.closing.callback(shutil.rmtree, directory, True)
        self.proxy: Proxy = await self.stack.enter_async_context(proxied(self.url, directory))
        self.engines = [await self._engine(None), await self._engine(self.proxy.url)]
        self.feeds = [BadFeed(engine.redis) for engine in self.engines]
        first = self.engines[0]
        self.drains = Drains(first.appender, first.names, first.pool)
        self.scheduler = Scheduler(first.appender, first.names, first.pool)
        self.reaper = Reaper(first.appender, first.names, first.pool, grace=30.0)
        for name in QUEUES:
            await first.queues.configure(name, {"retry_delay": 5, "retry_backoff": "fixed"}, actor="test")
        for engine in self.engines:
            await engine.names.refresh()
        self.ids = {name: (await first.queues.state(name)).id for name in QUEUES}
        self.names = {number: name for name, number in self.ids.items()}
        self.types = {name: await first.names.type_id(name) for name in TYPES}
        await self._hire(0)

    async def _engine(self, append_url: str | None) -> Engine:
        known = Settings.load({}, database_url=self.url, redis_url=self.redis_url)
        engine = Engine(known, name="test", pool_size=2)
        if append_url is not None:
            engine.appender.log._url = append_url
        engine.claims._hold_ms = 300
        return await self.stack.enter_async_context(engine)

    async def _hire(self, engine: int) -> None:
        worker = await SimulatedWorker.open(self.engines[engine], list(QUEUES), list(TYPES))
        self.workers.append(worker)

    def _in(self, seconds: float) -> str:
        row = self.probe.execute(
            "select to_char(hivelog.now() + make_interval(secs => %s), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
            (seconds,),
        ).fetchone()
        assert row is not None
        return str(row[0])

    def _now(self) -> int:
        row = self.probe.execute("select round(extract(epoch from hivelog.now()) * 1000)::bigint").fetchone()
        assert row is not None
        return int(row[0])
