"""Brings Redis to the log's head: by state for what was touched since its checkpoint, or from nothing.

Any process may do either at any time. A catch-up's message is final state and carries the checkpoint it
starts from, so of two the later is stale; a rebuild takes a build id by compare-and-set, fills keys that
nobody reads yet, and one script makes them the live ones.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from .. import sql
from ..events.memory import Memory
from ..events.pool import Connection, Pool
from . import keys
from .connection import Redis, RedisUnavailable
from .feed_message import NO_LIMIT, Claim, Group, QueueState, Started, encode
from .packing import raw_last

_log = structlog.get_logger(__name__)

# Up to so many events back, what changed is looked up; beyond, loading everything is cheaper.
# Of jobs that are older than that a twentieth: each costs a look at its story.
_FAR: Final = 50_000
_BUILD_TTL: Final = 15_000  # ms without a page until another may build
_ROUNDS: Final = 40


class State(msgspec.Struct):
    """Ready and not ready among the jobs touched after a checkpoint; `adds` None: too far back."""

    head: int
    epoch: int
    adds: list[Group] | None
    dels: list[Started]
    queues: list[QueueState]

    def encode(self, first: int, claims: list[Claim]) -> bytes:
        """The feed message from `first` to the head."""
        assert self.adds is not None
        return encode(self.epoch, first, self.head, self.adds, self.dels, self.queues, claims, state=True)


async def read_state(pool: Pool, after: int) -> State:
    """What the jobs touched after position `after` have become, in one snapshot."""
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.load("feed_state"), (after, _FAR))
        row: Any = await cursor.fetchone()
    head, epoch, *rest, edge = row
    if rest[-1] is None or after < edge:
        return State(head, epoch, None, [], [])
    a_queue, a_type, a_priority, a_jobs, d_queue, d_jobs, *q = (column or [] for column in rest)
    scores = [-priority for priority in a_priority]
    return State(
        head,
        epoch,
        list(zip(a_queue, a_type, scores, a_jobs, strict=True)),
        [(queue, -1, jobs) for queue, jobs in zip(d_queue, d_jobs, strict=True)],
        [queue_state(*values) for values in zip(*q, strict=True)],
    )


def queue_state(queue: int, running: int | None, paused: bool, limit: int | None) -> QueueState:
    """A whole entry, nothing left as it was."""
    return QueueState(queue, running or 0, int(paused), NO_LIMIT if limit is None else limit)


class Restorer:
    """Catch-up and rebuild over one Redis connection and a pool."""

    def __init__(self, redis: Redis, pool: Pool, memory: Memory) -> None:
        self._redis = redis
        self._pool = pool
        self._memory = memory
        self.on_ahead: Callable[[], None] = lambda: None

    async def checkpoint(self) -> tuple[int, int] | None:
        """(epoch, position) of what Redis holds of this log; None after a flush. It is remembered: the log
        may have been further than it is now."""
        fields = (b"epoch", b"position", b"build", b"log")
        answer = await self._redis.command(b"HMGET", keys.AT, *fields)
        if None in answer or answer[3] != self._memory.log.encode():
            return None
        at = int(answer[0]), int(answer[1])
        self._memory.saw(*at)
        return at if at <= self._memory.seen else None  # beyond belief: damaged

    async def restore(self, *, anew: bool = False) -> int:
        """Bring Redis to the head of now, with `anew` from nothing; answers the checkpoint reached.

        Raises RedisUnavailable, ScriptFailed, psycopg.Error, TimeoutError (another's build stands still).
        """
        for _ in range(_ROUNDS):
            at = None if anew else await self.checkpoint()
            state = None if at is None else await self._reachable_from(*at)
            if at is None or state is None:
                await self._rebuild_or_wait(at)
                anew = False
                continue
            if state.head == at[1]:
                return at[1]
            answer = await self._redis.run("feed", state.encode(at[1] + 1, []))
            if answer[0] in (b"applied", b"stale"):
                return int(answer[2])
        raise TimeoutError("Redis was neither caught up nor rebuilt")

    async def _reachable_from(self, epoch: int, position: int) -> State | None:
        """None: the checkpoint is of another epoch, or too far back."""
        state = await read_state(self._pool, position)
        if (epoch, position) > (state.epoch, state.head):
            # Others that come to know the log by it must see this too: it stays until the new epoch is open.
            self.on_ahead()
            raise RedisUnavailable("it has more of the log than there is: the log was put back")
        return state if state.epoch == epoch and state.adds is not None else None

    async def _rebuild_or_wait(self, at: tuple[int, int] | None) -> None:
        if not await self.rebuild():
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - another is at it
        elif at is not None:
            _log.info("redis_rebuilt", was_at=at)

    async def rebuild(self) -> bool:
        """Load everything from one snapshot and take over. False if another builds, or overtook this."""
        build = os.urandom(6).hex()
        if not await self._redis.ask("rebuild_begin", build=build, ttl=_BUILD_TTL):
            return False
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("set transaction isolation level repeatable read read only")
            rows = await (await connection.execute(sql.load("rebuild_head"))).fetchall()
            if not await self._load(connection, build):
                return False
        queues = [queue_state(*row[2:]) for row in rows if row[2] is not None]
        swapped = await self._redis.ask(
            "rebuild_swap", build=build, epoch=rows[0][1], position=rows[0][0], queues=queues,
            log=self._memory.log,
        )  # fmt: skip
        return bool(swapped)

    async def _load(self, connection: Connection, build: str) -> bool:
        async with connection.cursor(f"build_{build}", binary=True) as cursor:
            await cursor.execute(sql.load("rebuild_pages"))
            while rows := await cursor.fetchmany(4):
                groups = [(queue, type_, -priority, jobs) for queue, type_, priority, jobs in rows]
                if not await self._redis.ask(
                    "rebuild_load", build=build, ttl=_BUILD_TTL, groups=raw_last(groups)
                ):
                    return False
        return True
