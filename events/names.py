"""The dictionaries of the hot tables, cached: queues, job types, actors."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from .pool import Connection, Pool
from .renewal import Renewal

SYSTEM_STREAM = uuid5(NAMESPACE_URL, "hivelog:system").bytes
# Seconds. A queue's settings are live in every process within two: what is made of them (broker/recipe.py) is
# used for half a second more. Its guards are exact at once (in SQL).
_SOON, _LATEST = 0.7, 1.4


class Queue(Struct, frozen=True):
    """A queue's number and live settings. `config` is the data of its last queue_configured event."""

    id: int
    name: str
    stream: bytes
    paused: bool
    max_workers: int | None
    config: dict[str, Any]
    position: int


class Names:
    """Name <-> number, both ways. Numbers never change; queues are re-read while somebody asks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queues: dict[str, Queue] = {}
        self._queues_by_id: dict[int, Queue] = {}
        self._queue_names: dict[int, str] = {}  # of deleted ones too
        self._nameless: dict[int, float] = {}  # numbers that the database did not know, and when
        self._ids: dict[str, dict[str, int]] = {"t": {}, "a": {}}
        self._names: dict[str, dict[int, str]] = {"t": {}, "a": {}}
        self._upto = {"t": 0, "a": 0}  # read so far; what was learnt beside may have a higher number
        self._renewal = Renewal(self._read, soon=_SOON, latest=_LATEST)
        # Another number whenever a queue may have changed by this process's own doing.
        self.version = 0

    async def find_type(self, name: str) -> int:
        """A type's number without minting one, for who only asks; -1: there is none."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.load("type_find"), {"name": name})).fetchone()
        return -1 if row is None else int(row[0])

    async def refresh(self) -> None:
        """Re-read queues, and the types and actors that are new."""
        await self._renewal.now()

    async def _read(self) -> None:
        async with self._pool.connection() as connection:
            while not await self._load(connection):
                pass

    async def _load(self, connection: Connection) -> bool:
        """False: something was forgotten meanwhile, so what was read may be what was to be forgotten."""
        version = self.version
        rows = await (await connection.execute(sql.load("names_load"))).fetchall()
        queues = [Queue(r[0], r[1], r[2].bytes, *r[3:7]) for r in rows if not r[7]]
        newer = await self._newer(connection)
        if version != self.version:
            return False
        self._queues = {queue.name: queue for queue in queues}
        self._queues_by_id = {queue.id: queue for queue in queues}
        self._queue_names = {row[0]: row[1] for row in rows}
        self._read_were(newer)
        return True

    async def _newer(self, connection: Connection, asked: int = 0) -> list[TupleRow]:
        """Types and actors that were minted since, and the actor that is asked for."""
        known = {"type": self._upto["t"], "actor": self._upto["a"], "asked": asked}
        return await (await connection.execute(sql.load("names_newer"), known)).fetchall()

    def _read_were(self, rows: list[TupleRow]) -> None:
        for kind, number, name in rows:
            self._learn(kind, number, name)
            self._upto[kind] = max(self._upto[kind], number)

    def _learn(self, kind: str, number: int, name: str) -> None:
        self._ids[kind][name] = number
        self._names[kind][number] = name

    async def queue(self, name: str) -> Queue | None:
        await self._renewal.ensure()
        return self._queues.get(name)

    async def queues(self) -> list[Queue]:
        """All queues, by name."""
        await self._renewal.ensure()
        return sorted(self._queues.values(), key=lambda queue: queue.name)

    async def queue_by_id(self, number: int) -> Queue | None:
        if number not in self._queues_by_id:
            await self._renewal.ensure()
        return self._queues_by_id.get(number)

    async def queue_name(self, number: int) -> str:
        """What a queue is called, or was before it was deleted."""
        if number not in self._queue_names and not self._was_nameless(number):
            await self._renewal.now()
            if number not in self._queue_names:
                self._nameless[number] = monotonic()
        return self._queue_names.get(number, f"queue:{number}")

    def _was_nameless(self, number: int) -> bool:
        """Just now: a list of jobs of a queue that is not there must not ask for each of them."""
        since = monotonic() - _LATEST
        self._nameless = {n: asked for n, asked in self._nameless.items() if asked > since}
        return number in self._nameless

    async def queue_names(self) -> dict[int, str]:
        """Of all queues that there are or were."""
        await self._renewal.ensure()
        return self._queue_names

    def forget_queues(self) -> None:
        """The next question re-reads them: this process has just changed one."""
        self.version += 1
        self._nameless.clear()
        self._renewal.forget()

    def forget(self) -> None:
        """The log is in another epoch: what was numbered in its lost tail may have other numbers now."""
        self._ids = {"t": {}, "a": {}}
        self._names = {"t": {}, "a": {}}
        self._upto = {"t": 0, "a": 0}
        self._queues.clear()
        self._queues_by_id.clear()
        self._queue_names.clear()
        self.forget_queues()

    async def new_queue(self, name: str) -> tuple[int, bytes]:
        """(id, stream) of a name; the row stays `deleted` until its first queue_configured event."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("select hivelog.queue_id(%s, %s)", (name, uuid4()))
            row = await cursor.fetchone()
            cursor = await connection.execute(
                "select stream from hivelog.queues where name = %s", (name,)
            )
            stream = await cursor.fetchone()
        assert row is not None
        assert stream is not None
        return row[0], stream[0].bytes

    async def type_id(self, name: str) -> int:
        """The number of a job type, minted on first use."""
        if (known := self._ids["t"].get(name)) is not None:
            return known
        async with self._pool.connection() as connection:
            # Twice: a name that another process mints at this moment shows up at the second look.
            for _ in range(2):
                cursor = await connection.execute("select name, id from hivelog.type_ids(%s)", ([name],))
                for found, number in await cursor.fetchall():
                    self._learn("t", number, found)
                if (known := self._ids["t"].get(name)) is not None:
                    return known
        raise KeyError(name)

    async def actor_id(self, name: str) -> int:
        """The number of an actor (`user:..`, `token:..`, `worker:..`, `leader`, `sql`)."""
        if (known := self._ids["a"].get(name)) is not None:
            return known
        async with self._pool.connection() as connection:
            for _ in range(2):
                cursor = await connection.execute("select hivelog.actor_id(%s)", (name,))
                row = await cursor.fetchone()
                if row is not None and row[0] is not None:
                    self._learn("a", row[0], name)
                    return int(row[0])
        raise KeyError(name)

    async def actor_name(self, number: int) -> str:
        if number not in self._names["a"]:
            await self._find_actor(number)
        return self._names["a"].get(number, f"actor:{number}")

    async def _find_actor(self, number: int) -> None:
        async with self._pool.connection() as connection:
            version = None
            while version != self.version:
                version = self.version
                newer = await self._newer(connection, number)
        self._read_were(newer)
