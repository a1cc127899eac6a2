"""Between a process of the simulation and its servers: delays, cut connections, lost requests and answers.

The objects here stand where Log, Pool, Redis, Names and the heartbeat's connection stand in a real process;
everything above them is the product's own code.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from hivelog import sql
from hivelog.broker.connection import RedisUnavailable, ScriptFailed
from hivelog.broker.packing import pack
from hivelog.broker.sessions import Sessions
from hivelog.events import answer
from hivelog.events.batch import Appended, Part
from hivelog.events.errors import DatabaseUnavailable, EpochChanged
from hivelog.events.log import Flight, Lost
from hivelog.events.memory import Memory
from hivelog.events.names import SYSTEM_STREAM, Queue

from .append import Duplicate
from .keyspace import WrongType
from .postgres import Postgres
from .tables import BatchRow
from .valkey import Valkey

T = TypeVar("T")


class Cut(Exception):
    """The connection broke: the request may or may not have been heard."""


class Line:
    """One process's way to the outside. Frozen, it neither sends nor hears; dead, never again."""

    def __init__(self, rng: random.Random, loss: float) -> None:
        self.rng, self.loss = rng, loss
        self.dead = False
        self.ever_frozen = False
        self.slow = rng.choice([0.001, 0.005, 0.02])  # s, the mean of a way
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._graves: list[asyncio.Future[None]] = []  # kept: collecting them would run their clean-up

    def freeze(self) -> None:
        self.ever_frozen = True
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def gate(self) -> None:
        await self._thawed.wait()
        if self.dead:
            self._graves.append(asyncio.get_running_loop().create_future())
            await self._graves[-1]

    async def way(self) -> None:
        await asyncio.sleep(self.rng.expovariate(1 / self.slow))

    async def call(self, effect: Callable[[], T], *, late: bool = False) -> T:
        """There, the effect, and back. Raises Cut, before or after it; with `late` also long before it: an append
        may be heard when the log was asked for it already, and said that it is not there."""
        await self.gate()
        cut = self.rng.random() < self.loss
        kind = self.rng.randrange(3 if late else 2) if cut else -1
        await self.way()
        if kind == 0:
            raise Cut
        if kind == 2:
            asyncio.get_running_loop().call_later(self.rng.expovariate(2), _silently, effect)
            raise Cut
        value = effect()
        await self.way()
        await self.gate()
        if kind == 1:
            raise Cut
        return value


def _silently(effect: Callable[[], Any]) -> None:
    try:
        effect()
    except Exception:
        return  # nobody hears of it


class SimLog:
    """As events/log.py: one connection, one append in flight."""

    def __init__(self, database: Postgres, line: Line, sender: Any) -> None:
        self._database, self._line, self._sender = database, line, sender
        self._life = 0
        self.epoch = self.head = 0
        self.memory = Memory()
        self.known = self.memory.seen  # when it was opened
        self.check_epoch: Any = None

    @property
    def connected(self) -> bool:
        return self._life == self._database.life

    async def open(self) -> None:
        self._life, self.known = 0, self.memory.seen
        try:
            last = await self._line.call(lambda: _last(self._database))
        except (Cut, psycopg.OperationalError) as error:
            raise DatabaseUnavailable(str(error)) from error
        self.head, self.epoch = last.position, last.epoch
        self._life = self._database.life
        if self.check_epoch is not None:
            try:
                self.epoch = await self.check_epoch()
            except psycopg.Error as error:
                self._life = 0
                raise DatabaseUnavailable(str(error)) from error
        if self.epoch == last.epoch:
            self.memory.wrote(last.epoch, last.position, last.id)

    async def close(self) -> None:
        self._life = 0

    async def append(self, parts: list[Part]) -> Appended:
        flight = self.send(parts)
        return self.read(flight, await self.landed(flight))

    def send(self, parts: list[Part], encoded: object = None) -> Flight:
        """`encoded` is what PostgreSQL would be sent; here the parts are."""
        flight = Flight(self._line.rng.randbytes(16), self.head, parts)
        if self.connected:
            flight.answer = asyncio.ensure_future(self._written(flight))
        return flight

    async def landed(self, flight: Flight) -> Any:
        if flight.answer is None:
            await self.open()
            flight.after = self.head
            if not all(part.fits(self.epoch) for part in flight.parts):
                raise EpochChanged("an epoch that is over")
            flight.answer = asyncio.ensure_future(self._written(flight))
        appended: Any = await flight.answer
        self.head = appended.head
        if appended.head >= appended.first:
            self.memory.wrote(self.epoch, appended.head, flight.batch_id)
        return appended

    def read(self, flight: Flight, row: Any) -> Appended:
        appended: Appended = row
        return appended

    async def _written(self, flight: Flight) -> Any:
        life, epoch = self._life, self.epoch

        def effect() -> Appended:
            if not self._database.up or self._database.life != life:
                raise Cut  # the backend that had heard it died with the server
            return self._database.append(flight.batch_id, epoch, flight.parts, self._sender)

        try:
            return await self._line.call(effect, late=True)
        except Cut as error:
            self._life = 0
            raise Lost(flight.batch_id, flight.after, flight.parts) from error
        except Duplicate as error:
            raise psycopg.errors.UniqueViolation(str(error)) from error

    async def recover(self, lost: Lost) -> Appended | None:
        def effect() -> Any:
            _needs(self._database)
            found = self._database.find_batch(lost.batch_id, lost.after)
            return found and (found, self._database.recovered_starts(found[0], found[1]))

        try:
            row = await self._line.call(effect)
        except (Cut, psycopg.OperationalError) as error:
            raise lost from error
        return row and answer.recovered(lost.batch_id, self.epoch, lost.parts, *row)


def _needs(database: Postgres) -> None:
    if not database.up:
        raise psycopg.OperationalError("the database is away")


def _last(database: Postgres) -> BatchRow:
    _needs(database)
    return database.tables.batches[-1]


def _ask(database: Postgres, text: str, parameters: Any) -> list[tuple[Any, ...]]:
    _needs(database)
    return database.execute(text, parameters)


class Cursor:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    async def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    async def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows


class Connection:
    """`execute`, and the one read-only snapshot that a rebuild takes."""

    def __init__(self, database: Postgres, line: Line) -> None:
        self._database, self._line = database, line
        self._pages: list[tuple[Any, ...]] = []

    async def execute(self, text: str, parameters: Any = None, **_: Any) -> Cursor:
        if text.startswith("set transaction"):
            return Cursor([])

        def effect() -> list[tuple[Any, ...]]:
            rows = _ask(self._database, text, parameters)
            if text == sql.load("rebuild_head"):  # the first statement of the snapshot
                self._pages = self._database.execute(sql.load("rebuild_pages"), None)
            return rows

        try:
            return Cursor(await self._line.call(effect))
        except Cut as error:
            raise psycopg.OperationalError("cut") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def cursor(self, name: str, **_: Any) -> AsyncIterator[Any]:
        pages = Cursor(self._pages)
        pages.execute = lambda _: asyncio.sleep(0)  # type: ignore[attr-defined]
        yield pages


class SimPool:
    def __init__(self, database: Postgres, line: Line) -> None:
        self._database, self._line = database, line

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        yield Connection(self._database, self._line)


class SimRedis:
    """As broker/connection.py, without its bytes."""

    def __init__(
        self, server: Valkey, line: Line, on_message: Callable[[list[bytes]], None] | None = None
    ) -> None:
        self._server, self._line, self._on_message = server, line, on_message
        self.connected = False
        self.requests = 0
        self.error: str | None = None

    retry_in = 0.3

    def another(self, on_message: Callable[[list[bytes]], None]) -> SimRedis:
        return SimRedis(self._server, self._line, on_message)

    async def command(self, *words: bytes | int | str | float) -> Any:
        if words[0] == b"SUBSCRIBE" and self._on_message is not None:
            self._server.subscribers.append(self._heard)
            return None
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return await self._reached(lambda: self._server.space.call(*encoded))

    async def run(self, name: Any, *arguments: bytes) -> Any:
        return await self._reached(lambda: self._server.run(name, *arguments))

    async def ask(self, name: Any, **arguments: Any) -> Any:
        return await self.run(name, pack(arguments))

    def tell(self, name: Any, **arguments: Any) -> None:
        packed = pack(arguments)
        told = asyncio.ensure_future(self._line.call(lambda: self._there(lambda: self._server.run(name, packed))))
        told.add_done_callback(asyncio.Future.exception)

    async def quiet(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.connected = False

    async def _reached(self, effect: Callable[[], Any]) -> Any:
        self.requests += 1
        try:
            value = await self._line.call(lambda: self._there(effect), late=True)
        except (Cut, RedisUnavailable) as error:
            self.connected = False
            raise RedisUnavailable(str(error)) from error
        self.connected = True
        return value

    def _there(self, effect: Callable[[], Any]) -> Any:
        if not self._server.up:
            raise RedisUnavailable("away")
        try:
            return effect()
        except WrongType as error:
            raise ScriptFailed(str(error)) from error

    def _heard(self, message: list[bytes]) -> None:
        if self._on_message is not None and self._line.rng.random() >= self._line.loss:
            asyncio.get_running_loop().call_later(self._line.slow, self._on_message, message)


class SimNames:
    """Numbers of queues, types and actors; they never change, so nothing is asked over the line."""

    TYPES = ("a", "b")

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def queue(self, name: str) -> Queue | None:
        number = int(name[1:])
        row = self._database.tables.queues.get(number)
        return row and Queue(number, name, row.stream, row.paused, row.max_workers, {}, 0)

    async def queues(self) -> Sequence[Queue]:
        found = [await self.queue(f"q{number}") for number in self._database.tables.queues]
        return [queue for queue in found if queue is not None]

    async def type_id(self, name: str) -> int:
        return self.TYPES.index(name) + 1

    async def actor_id(self, name: str) -> int:
        return self._database.actor(name)


class SimSessions(Sessions):
    """The real sessions, over a connection that is not one."""

    def __init__(self, database: Postgres, line: Line, appender: Any, names: Any, **timing: float) -> None:
        super().__init__(appender, names, "", **timing)
        self._database, self._line = database, line

    async def _execute(self, parameters: dict[str, Any]) -> Any:
        def effect() -> Any:
            _needs(self._database)
            return self._database.heartbeat(parameters)

        try:
            return await self._line.call(effect)
        except (Cut, psycopg.OperationalError) as error:
            raise DatabaseUnavailable(str(error)) from error


__all__ = ["SYSTEM_STREAM", "Connection", "Cut", "Line", "SimLog", "SimNames", "SimPool", "SimRedis", "SimSessions"]
