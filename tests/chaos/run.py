"""One chaos run: start everything, let faults happen while jobs flow, let it come to rest, check."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from hivelog.broker.engine import Engine
from hivelog.settings import Settings
from hivelog.sql import migrate

from ..adversary import Adversary
from .checker import Checked, check
from .disk import Disk
from .faults import NEEDS_DISK, OF_DATABASE, RARE, Fault
from .fleet import TOKEN, fleet
from .producer import Producer
from .records import Record
from .schedule import Planned, plan
from .servers import Postgres, Valkey
from .watch import Watch
from .world import World

QUEUES = ("work", "narrow")
_WAITING = 2  # faults of the database that may be under way or wait for it
_SETTLE = 120.0  # seconds that all jobs may take to end once the faults have stopped
_POLL = 0.25
_LIVE = """
select (select count(*) from hivelog.pending) + (select count(*) from hivelog.ready)
    + (select count(*) from hivelog.leases) + (select count(*) from hivelog.outbox)
"""
_BEHIND = """
select name, position from hivelog.projections join hivelog.checkpoints using (name, generation)
where live and position < (select max(position) from hivelog.batches)
"""
_READY = "select queue, type, uuid_send(job), -priority from hivelog.ready"


@dataclass(frozen=True)
class Options:
    """`apart`: seconds between two faults, on average; `rate`: calls of producers a second."""

    seed: int
    seconds: float
    faults: Mapping[str, Fault]
    apart: float
    rate: float = 12.0
    parameters: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)  # faults that cannot be here, and why


@dataclass(frozen=True)
class Happened:
    """A fault that began and ended; wall clock, in seconds."""

    kind: str
    began: float
    ended: float


@dataclass
class Outcome:
    options: Options
    happened: list[Happened]
    checked: Checked
    died: list[str]  # processes that ended by themselves, and were started again
    away: float  # of the time of the faults, how much PostgreSQL did not answer
    crowded: int  # faults of the database that were left out, since it still had others
    folder: Path


Say = Callable[[str], None]


async def run(options: Options, say: Say) -> Outcome:
    """Everything, in a folder of its own that goes with it unless `keep` or something was found."""
    folder = Path(tempfile.mkdtemp(prefix="hivelog-chaos-"))
    small = NEEDS_DISK in options.faults
    async with open_world(folder, options.parameters, small_disk=small) as world:
        say("starting")
        world.fleet.start()
        await world.fleet.answering()
        chaos = Chaos(world, options, folder, say)
        await chaos.run()
        say("checking")
        checked = await check(world.postgres.url, folder)
        checked.faults += chaos.faults
    if not (options.keep or checked.faults):
        shutil.rmtree(folder)
    return Outcome(options, chaos.happened, checked, chaos.died, chaos.watch.share, chaos.left_out, folder)


@contextlib.asynccontextmanager
async def open_world(
    folder: Path, parameters: Mapping[str, str], *, small_disk: bool = False
) -> AsyncIterator[World]:
    """Servers that run, migrated, and processes that are not started yet."""
    with contextlib.ExitStack() as stack:
        disk = Disk(folder / "disk.image") if small_disk else None
        postgres = Postgres(folder / "postgres", parameters, disk)
        stack.callback(postgres.remove)
        (folder / "valkey").mkdir()
        valkey = Valkey(folder / "valkey")
        stack.callback(valkey.remove)
        migrate.migrate(postgres.url)
        await _configure(postgres.url, valkey.url, folder)
        async with fleet(postgres, valkey, folder) as members:
            yield World(postgres, valkey, members, folder / "copy", Record(folder / "operator.restores"))


async def _configure(database_url: str, redis_url: str, folder: Path) -> None:
    settings = Settings.load({}, database_url=database_url, redis_url=redis_url, data=folder)
    async with Engine(settings, name="chaos") as engine:
        common = {"max_retries": 3, "retry_delay": 1, "retry_backoff": "fixed"}
        await engine.queues.configure("work", common, actor="chaos")
        await engine.queues.configure("narrow", common | {"max_workers": 2}, actor="chaos")


class Chaos:
    """From the first job to the last."""

    def __init__(self, world: World, options: Options, folder: Path, say: Say) -> None:
        self.world, self._options, self._say = world, options, say
        self.happened: list[Happened] = []
        self.died: list[str] = []
        self.faults: list[str] = []
        self._of_database = 0  # faults of the database under way, or waiting for their turn
        self.left_out = 0
        self._record = Record(folder / "harness.faults")
        self.watch = Watch(world.postgres.url)
        self.producer = Producer(world.fleet.urls, world.postgres.url, folder, options.seed, options.rate)

    async def run(self) -> None:
        producing = asyncio.create_task(self.producer.run())
        sitting = asyncio.create_task(self._sit())
        try:
            await self._inject()
            await self._come_to_rest(producing)
        finally:
            sitting.cancel()
        await self._stop()

    async def _sit(self) -> None:
        """What a supervisor does: whoever ended is started again."""
        since: dict[str, float] = {}
        while True:
            for member in self.world.fleet.members:
                since.setdefault(member.name, time.monotonic())
            for member in self.world.fleet.died():
                assert member.process is not None
                lived = time.monotonic() - since[member.name]
                self.died.append(f"{member.name} after {lived:.0f} s with {member.process.returncode}")
                member.start()
            await asyncio.sleep(0.5)

    def _plan(self) -> list[Planned]:
        options = self._options
        usual = [kind for kind in options.faults if kind not in RARE or len(options.faults) == 1]
        rare = [kind for kind in options.faults if kind not in usual]
        return plan(options.seed, options.seconds, usual, options.apart, rare)

    async def _inject(self) -> None:
        options = self._options
        tasks = []
        watching = asyncio.create_task(self.watch.run())
        began = time.monotonic()
        for planned in self._plan():
            await asyncio.sleep(max(0.0, began + planned.at - time.monotonic()))
            self._say(planned.kind)
            tasks.append(asyncio.create_task(self._one(planned)))
        await asyncio.sleep(max(0.0, began + options.seconds - time.monotonic()))
        for task in tasks:
            await task
        watching.cancel()

    async def _one(self, planned: Planned) -> None:
        if planned.kind in OF_DATABASE:
            # On a slow machine they would queue up, and nothing but outages of the database would be left.
            if self._of_database == _WAITING:
                self.left_out += 1
                return
            self._of_database += 1
        began = time.time()
        try:
            await self._options.faults[planned.kind](self.world, random.Random(planned.seed))
        finally:
            self._of_database -= planned.kind in OF_DATABASE
        self.happened.append(Happened(planned.kind, began, time.time()))
        self._record.note("fault", kind=planned.kind, began=began, ended=time.time())

    async def _come_to_rest(self, producing: asyncio.Task[None]) -> None:
        """Faults have stopped. Jobs pile up behind a pause, Redis must be what the log says; then all ends."""
        self._say("coming to rest")
        await self._switch("pause")
        await asyncio.sleep(1)
        self.producer.stopping.set()
        await producing
        await self._until("Redis is not what the log says", self._redis_agrees, 30)
        await self._switch("resume")
        await self._until("jobs do not end", self._all_ended, _SETTLE)

    async def _stop(self) -> None:
        """Servers last: the projections follow to the log's end."""
        await self.world.fleet.stop(self.world.fleet.of("worker"))
        await self._until("projections are behind", self._projected, 30)
        await self.world.fleet.stop(self.world.fleet.of("serve"))

    async def _switch(self, how: str) -> None:
        """By any server that answers."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(headers=headers, timeout=20) as client:
            for queue in QUEUES:
                for url in itertools.islice(itertools.cycle(self.world.fleet.urls), 120):
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.post(f"{url}/queue/{queue}/{how}")).is_success:
                            break
                    await asyncio.sleep(0.5)
                else:
                    self.faults.append(f"queue {queue} does not {how}")

    async def _until(self, otherwise: str, condition: Callable[[], str], seconds: float) -> None:
        """Poll for the empty answer; what is left in the end is a fault. Polls are counted and not time: a
        machine that stands still meanwhile is nobody's fault."""
        for _ in range(round(seconds / _POLL)):
            if not (left := await asyncio.to_thread(condition)):
                return
            await asyncio.sleep(_POLL)
        self.faults.append(f"{otherwise}: {left}")

    def _projected(self) -> str:
        with psycopg.connect(self.world.postgres.url) as connection:
            behind = connection.execute(_BEHIND).fetchall()
        return ", ".join(f"{name} at {position}" for name, position in behind)

    def _all_ended(self) -> str:
        with psycopg.connect(self.world.postgres.url) as connection:
            row = connection.execute(_LIVE).fetchone()
        assert row is not None
        return f"{row[0]} left" if row[0] else ""

    def _redis_agrees(self) -> str:
        adversary = Adversary(self.world.valkey.url, random.Random(0))
        try:
            with psycopg.connect(self.world.postgres.url) as connection:
                ready: dict[tuple[int, int], dict[bytes, float]] = {}
                for queue, type_, job, score in connection.execute(_READY).fetchall():
                    ready.setdefault((queue, type_), {})[job] = score
            held, popped = adversary.ready(), adversary.claims()
        finally:
            adversary.close()
        counts = {place: (len(jobs), len(held.get(place, {}))) for place, jobs in ready.items()}
        return "" if (held, popped) == (ready, 0) else f"ready and held {counts}, popped {popped}"
