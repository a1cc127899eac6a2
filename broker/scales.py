"""The number of worker processes that each queue should have, as the log says it: read, and changed.

The number is the last `scaled` event of the queue's stream. Every change names the version of the stream that
it was decided on, so of two that decide at once one is refused and looks again.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, field

from .. import sql
from ..events import types
from ..events.appender import Appender
from ..events.batch import Part, Record
from ..events.names import Names
from ..events.pool import Connection, Pool
from ..events.queue import QueueConfig
from ..events.types import Scaled
from .supervisor_restart import Crashing
from .supervisor_share import Member, Wish

# Seconds of silence after which a supervisor is not counted, and others run its share.
LEASE: Final = 6.0


class Scale(Struct, frozen=True):
    """A queue as a supervisor sees it. `scaled` None: nobody has decided yet. `waiting` in seconds."""

    id: int
    queue: str
    stream: bytes
    version: int
    config: QueueConfig
    paused: bool
    scaled: Scaled | None
    ready: int
    waiting: float
    idle: int  # living sessions that run nothing

    @property
    def desired(self) -> int:
        """What supervisors run, or would run if there were any."""
        return self.config.scaling.min if self.scaled is None else self.scaled.workers

    @property
    def wish(self) -> Wish:
        pinned = self.scaled is not None and self.scaled.pinned
        return Wish(self.queue, self.desired, pinned, self.config.priority)


class Supervisor(Struct, frozen=True):
    """A living one. `processes`: queue -> the process ids that it keeps running; `crashes`: queue -> what
    they end of again and again."""

    id: str
    name: str
    host: str
    pid: int
    queues: frozenset[str] | None = None  # None: all
    limit: int | None = None
    processes: dict[str, list[int]] = field(default_factory=dict)
    crashes: dict[str, Crashing] = field(default_factory=dict)

    @property
    def member(self) -> Member:
        return Member(self.id, self.queues, self.limit)

    @classmethod
    def of(cls, row: Any) -> Supervisor:
        """A row of sql/queries/supervisors.sql."""
        queues = None if row[4] is None else frozenset(row[4])
        crashes = msgspec.convert(row[7], dict[str, Crashing])
        return cls(str(row[0]), row[1], row[2], row[3], queues, row[5], row[6], crashes)


class Order(Struct, frozen=True):
    """A `scaled` event of somebody who wants a certain worker to stop."""

    version: int
    actor: str
    session: str | None


class Scales:
    """Raises DatabaseUnavailable, Overloaded, psycopg's errors."""

    def __init__(self, appender: Appender, names: Names, pool: Pool) -> None:
        self._appender, self._names, self._pool = appender, names, pool

    async def all(self) -> list[Scale]:
        """All queues, by name."""
        async with self._pool.connection() as connection:
            return await scales(connection)

    async def change(self, scale: Scale, scaled: Scaled, actor: str) -> int | None:
        """Append it; answers its position, None when the queue's stream has moved since `scale` was read."""
        encoded = types.encode(scaled)
        assert encoded is not None
        record = Record(
            stream=str(UUID(bytes=scale.stream)), event="scaled", queue=scale.id, expected=scale.version,
            actor=await self._names.actor_id(actor), data=msgspec.Raw(encoded),
        )  # fmt: skip
        outcome = await self._appender.submit(Part(records=[record]))
        if scaled.max_workers is not None:
            self._names.forget_queues()
        return None if outcome.refused else outcome.positions["r"][0]

    async def orders(self, scale: Scale, after: int) -> list[Order]:
        """The `scaled` events of the queue's stream after this version."""
        async with self._pool.connection() as connection:
            values = {"stream": UUID(bytes=scale.stream), "version": after}
            rows = await (await connection.execute(sql.load("scales_after"), values)).fetchall()
        return [Order(version, actor, data.get("session")) for version, actor, data in rows]


async def scales(connection: Connection) -> list[Scale]:
    """All queues, by name."""
    rows = await (await connection.execute(sql.load("scales"))).fetchall()
    return [_scale(row) for row in rows]


async def supervisors(connection: Connection) -> list[Supervisor]:
    """Those that live."""
    cursor = await connection.execute(sql.load("supervisors"), {"lease": LEASE})
    return [Supervisor.of(row) for row in await cursor.fetchall()]


def running(queue: str, among: list[Supervisor]) -> int:
    """Processes of a queue that supervisors keep."""
    return sum(len(each.processes.get(queue, ())) for each in among)


def _scale(row: Any) -> Scale:
    config = msgspec.convert(row[4], QueueConfig)
    scaled = None if row[6] is None else msgspec.convert(row[6], Scaled)
    return Scale(row[0], row[1], row[2].bytes, row[3], config, row[5], scaled, *row[7:])
