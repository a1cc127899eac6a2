"""The whole of it: servers, processes, producers and faults, from one seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from hivelog.broker.jobs import move_of
from hivelog.events import job as rules
from hivelog.events.batch import Appended, Part, Record
from hivelog.events.errors import LogError

from .checker import Checker, Violation
from .loop import SimLoop, simulated
from .postgres import Postgres
from .process import DEAD_AFTER, Process
from .producer import Producer
from .tables import QueueRow, Tables
from .valkey import Edit, Valkey

QUIET = 240.0  # simulated seconds in which everything must have ended
_HUNTED = {"freeze_worker"}  # only where a hunt asks for it
_KINDS = ("worker", "worker", "worker", "leader", "leader", "serve", "serve")


class World:
    """`run` is a whole history. `calm`: no faults at all."""

    def __init__(
        self, loop: SimLoop, seed: int, *, off: Collection[str] = (), edits: Collection[Edit] = (),
        calm: bool = False, favours: Collection[str] = (),
        without: Collection[str] = (), server: type[Postgres] = Postgres,
    ) -> None:  # fmt: skip
        self._favours, self._without = favours, without
        self.loop, self.rng, self.seed = loop, random.Random(seed), seed
        self.loss = 0.0 if calm else 0.01
        self.calm = calm
        # Claims that are swept while their starts are under way, and jobs of all lengths (1/s; None: at once).
        self.hold_ms = self.rng.choice([20, 500])
        self.rates = self.rng.choice([(None, 10, 10, 0.3), (None, None, None, 2)])
        if "freeze_worker" in favours:  # with something to do when it wakes
            self.rates = self.rng.choice([(10, 1, 1, 0.3), (None, 3, 1, 0.5)])
        self.database = server(lambda: loop.ms, random.Random(self.rng.random()), off)
        self.redis = Valkey(lambda: loop.ms, edits)
        self.processes: list[Process] = []
        self._dead: list[Process] = []
        self.trouble: list[str] = []
        self.faults: Counter[str] = Counter()
        self.checker = Checker(self)
        self.database.watch = self._written
        self.redis.checker = self.checker
        self.redis.recorder = self._scripted
        self.queue_names = ["q1", "q2"]
        # (simulated s, who, what), for whoever wants to know how it came to a violation
        self.trace: deque[tuple[float, str, str]] = deque(maxlen=400)
        self._backup: Tables | None = None
        self._dump: Any = None
        self._evicted = False
        self._born = 0

    # -- what happened -----------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """What the history was made of."""
        own = {
            "appends": self.checker.batches, "attempts": self.checker.handled, "scripts": self.redis.calls,
            "processes": self._born, "epochs": self.database.tables.epoch - 1,
            "simulated seconds": int(self.loop.now),
        }  # fmt: skip
        return own | {f"fault {name}": count for name, count in self.faults.items()}

    def say(self, who: str, what: str) -> None:
        self.trace.append((self.loop.now, who, what))

    def _written(self, appended: Appended, tables: Tables, sender: Process | None) -> None:
        for event in tables.events[appended.first - 1 : appended.head]:
            name = event.stream.hex()[8:20]
            self.say(sender.name if sender else "-", f"{event.position} {event.type} {name} {event.data or ''}")
        self.checker.appended(appended, tables, sender)

    def _scripted(self, name: str, arguments: tuple[bytes, ...], answer: Any) -> None:
        self.say(f"redis {name}", repr(answer))

    # -- life --------------------------------------------------------------------------------------------

    async def run(self, steps: int) -> None:
        """Raises Violation."""
        self._make_queues()
        for kind in _KINDS:
            self._spawn(kind)
        background = [asyncio.ensure_future(self._look_on())]
        producers = [asyncio.ensure_future(Producer(self, n).run()) for n in range(2)]
        operators = [asyncio.ensure_future(self._operate()) for _ in range(3)]
        chaos = asyncio.ensure_future(self._break_things())
        while self.loop.steps < steps and self.checker.violation is None:
            await asyncio.sleep(0.1)  # of the simulated loop's time, as everywhere here
        for task in (chaos, *operators, *producers):
            task.cancel()
        await self._end(background)

    async def _end(self, background: list[asyncio.Future[None]]) -> None:
        self._heal()
        end, landed = self.loop.now + QUIET, self.loop.now + 2 * DEAD_AFTER
        while self.loop.now < end and self.checker.violation is None:
            if not self.checker.model.live and self.loop.now > landed:  # also what was on its way then
                break
            await asyncio.sleep(0.5)
            self._open_queues()  # also those that an order on its way has paused meanwhile
        if self.checker.violation is None:
            await asyncio.sleep(2 * DEAD_AFTER)
            self.checker.finished()
        for task in background:
            task.cancel()
        if self.checker.violation is not None:
            raise self.checker.violation

    def _make_queues(self) -> None:
        self.database.execute("select hivelog.first_epoch()", None)
        for name, limit in zip(self.queue_names, (None, 3), strict=True):
            number = int(name[1:])
            self.database.tables.queues[number] = QueueRow(UUID(int=number).bytes)
            data = msgspec.Raw(msgspec.json.encode({"max_workers": limit}))
            self._record(number, "queue_configured", data)

    def _spawn(self, kind: str) -> None:
        self._born += 1
        process = Process(self, f"{kind}-{self._born}", kind)
        self.processes.append(process)
        process.task.add_done_callback(lambda _: self._over(process))

    def _over(self, process: Process) -> None:
        """It ended by itself, which is a crash; whoever watches over it starts another."""
        if not process.line.dead and not process.task.cancelled():
            self.trouble.append(f"{process.name}: {process.task.exception()!r}")
            self.kill(process)

    def kill(self, process: Process) -> None:
        process.line.dead = True
        process.line.thaw()
        self._dead.append(process)
        self.processes.remove(process)
        self.loop.call_later(self.rng.uniform(0.1, 3), self._spawn, process.kind)

    def bury(self) -> None:
        """Nothing here is to run again."""
        self.processes.clear()
        self._dead.clear()
        self.checker.bury()
        self.redis.subscribers.clear()

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if not self._evicted:
                self.checker.redis_is_the_log(exact=True)

    def of(self, kind: str) -> list[Process]:
        return [process for process in self.processes if process.kind == kind]

    # -- operators ---------------------------------------------------------------------------------------

    async def _operate(self) -> None:
        """One of those who pause, limit, cancel, retry and reschedule, through the real rules."""
        while True:
            await asyncio.sleep(self.rng.expovariate(6))
            process = self.rng.choice(self.of("serve") or self.processes)
            try:
                await asyncio.wait_for(self._order(process), 5)
            except (LogError, TimeoutError):
                continue
            except Exception as error:
                self.checker.fail("a command is never refused by the server", repr(error))

    async def _order(self, process: Process) -> None:
        if self.rng.random() < 0.1:
            await self._queue_order(process)
            return
        model = self.checker.model
        stream = self.rng.choice([*model.live, *model.ended, *model.ended] or [b""])
        if stream not in self.database.tables.streams:
            return
        state = self.database.state_of(stream)
        await asyncio.sleep(self.rng.expovariate(10))  # what was read may be old by now
        command = rules.Retry() if state.status in rules.ENDED else self._command()
        decision = rules.decide(state, command, self.loop.ms)
        if not isinstance(decision, rules.Decision):
            return
        actor = await process.names.actor_id("user:ann")
        part = Part(moves=[await move_of(state, decision, actor, process.names)])
        await process.appender.submit(part)

    def _command(self) -> rules.Command:
        return self.rng.choice(
            [rules.Cancel(), rules.Reschedule(priority=self.rng.randint(0, 3)),
             rules.Reschedule(scheduled_for=self.loop.ms + self.rng.randint(-500, 3000))]
        )  # fmt: skip

    async def _queue_order(self, process: Process) -> None:
        number = self.rng.choice([1, 2])
        stream = str(UUID(int=number))
        event = self.rng.choice(["paused", "resumed", "resumed", "queue_configured"])
        record = Record(stream, event, await process.names.actor_id("user:ann"), queue=number)
        if event == "queue_configured":
            limit = self.rng.choice([None, 1, 2, 3])
            record.data = msgspec.Raw(msgspec.json.encode({"max_workers": limit}))
        await process.appender.submit(Part(records=[record]))

    # -- faults ------------------------------------------------------------------------------------------

    async def _break_things(self) -> None:
        if self.calm:
            return
        hunted = _HUNTED - set(self._favours)
        names = [f"fault_{name}" for name in FAULTS if name not in {*self._without, *hunted}]
        # Each seed has other troubles; a hunt for one bug only those that it takes, and more of them.
        weights = [self.rng.choice([0, 1, 1, 4]) for _ in names]
        if self._favours:
            weights = [int(name.removeprefix("fault_") in self._favours) for name in names]
        while any(weights):
            await asyncio.sleep(self.rng.expovariate(2 if self._favours else 0.7))
            (name,) = self.rng.choices(names, weights)
            self.faults[name.removeprefix("fault_")] += 1
            self.say("fault", name)
            getattr(self, name)()

    def _some(self) -> Process | None:
        return self.rng.choice(self.processes) if self.processes else None

    def fault_kill(self) -> None:
        if (process := self._some()) is not None:
            self.kill(process)

    def fault_freeze(self) -> None:
        self._freeze(self.processes)

    def fault_freeze_worker(self) -> None:
        self._freeze(self.of("worker"))

    def _freeze(self, among: list[Process]) -> None:
        if among:
            line = self.rng.choice(among).line
            line.freeze()
            # Most interesting: about as long as it takes to be declared dead.
            seconds = self.rng.choice([0.3, 1, 3]) * DEAD_AFTER + self.rng.uniform(-0.5, 2)
            self.loop.call_later(seconds, line.thaw)

    def fault_slow(self) -> None:
        if (process := self._some()) is not None:
            process.line.slow = self.rng.choice([0.002, 0.02, 0.1])

    def fault_database_restarts(self) -> None:
        self.database.up = False
        self.database.life += 1
        self.loop.call_later(self.rng.uniform(0.1, 3 * DEAD_AFTER), self._database_back)

    def _database_back(self) -> None:
        self.database.up = True

    def fault_backup(self) -> None:
        self._backup = self.database.tables.copy()

    def fault_tail_lost(self) -> None:
        """The database comes back as it was at the last backup, on another timeline."""
        if self._backup is None or self.rng.random() < 0.5:
            return
        self.database.timeline += 1
        self._put_back()

    def fault_copy_put_back(self) -> None:
        """The same from a copy of its disk: same server, same timeline; only who remembers can tell."""
        if self._backup is not None and self.rng.random() < 0.5:
            self._put_back()

    def _put_back(self) -> None:
        assert self._backup is not None
        self.database.tables, self._backup = self._backup, None
        self.database.life += 1
        self.checker.restart(self.database.tables)

    def fault_redis_away(self) -> None:
        self.redis.up = False
        self.loop.call_later(self.rng.uniform(0.1, 4), self._redis_back)

    def _redis_back(self) -> None:
        self.redis.up = True

    def fault_redis_flushed(self) -> None:
        self.redis.flush()
        self._evicted = False

    def fault_redis_dumped(self) -> None:
        self._dump = self.redis.space.dump()

    def fault_redis_restored(self) -> None:
        if self._dump is not None:
            self.redis.space.restore(self._dump)

    def _heal(self) -> None:
        """No more faults: everything is up, awake and open."""
        self.database.up = self.redis.up = True
        self.loss = 0.0
        for process in self.processes:
            process.line.loss = 0.0
            process.line.slow = 0.002
            process.line.thaw()
        for number in self.database.tables.queues:
            self._record(number, "queue_configured", msgspec.Raw(b'{"max_workers":4}'))
        self._open_queues()

    def _open_queues(self) -> None:
        for number, row in self.database.tables.queues.items():
            if row.paused:
                self._record(number, "resumed")

    def _record(self, queue: int, event: str, data: msgspec.Raw | None = None) -> None:
        """Written by nobody whose feed would tell Redis of it."""
        record = Record(str(UUID(int=queue)), event, 1, queue=queue, data=data)
        epoch = self.database.tables.epoch
        self.database.append(self.rng.randbytes(16), epoch, [Part(records=[record])])


FAULTS = tuple(name.removeprefix("fault_") for name in dir(World) if name.startswith("fault_"))


def simulate(
    seed: int, steps: int, *, off: Collection[str] = (), edits: Collection[Edit] = (), calm: bool = False,
    favours: Collection[str] = (), without: Collection[str] = (),
    server: type[Postgres] = Postgres, world: type[World] = World,
) -> World:  # fmt: skip
    """One history. Raises Violation."""
    with simulated(seed) as loop:
        made = world(
            loop, seed, off=off, edits=edits, calm=calm, favours=favours, without=without,
            server=server,
        )  # fmt: skip
        try:
            loop.run_until_complete(made.run(steps))
        except Violation as found:
            found.world = made
            raise
        finally:
            made.bury()
        return made


__all__ = ["Violation", "World", "simulate"]
