"""A log, a Redis beside it, and the question whether the two agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import redis as redis_py
from hivelog.broker.claims import Claimed, Claims
from hivelog.broker.connection import Redis
from hivelog.broker.feed import Feeder
from hivelog.broker.rebuild import Restorer
from hivelog.events.batch import Appended, Outcome, Part, Start
from hivelog.events.log import Log
from hivelog.events.memory import Memory
from hivelog.events.pool import make_pool

from .batches import Desk

PREFIX = b"{hivelog}:"
# Ids of a queue and type in the order of a claim.
Held = dict[tuple[int, int], list[tuple[int, bytes]]]


class Rig:
    """One process's parts, put together by hand; `feeder` runs only after `feeder.start()`."""

    def __init__(self, database: str, redis_url: str, *, max_workers: int | None = None) -> None:
        self.database = database
        self.desk = Desk(database, max_workers=max_workers)
        self.log = Log(database)
        self.pool = make_pool(database)
        self.redis = Redis(redis_url)
        self.feeder = Feeder(self.redis, self.pool)
        self.claims = Claims(self.redis, self.pool, self.feeder)
        self.restorer = Restorer(self.redis, self.pool, Memory())
        self.raw = redis_py.Redis.from_url(redis_url)

    async def append(self, part: Part, *, feed: bool = True) -> Appended:
        """Write a part; the feeder hears of it unless it is not to."""
        appended = await self.log.append([part])
        if feed:
            self.feeder.appended(appended)
        return appended

    async def claim(self, limit: int, *, types: list[int] | None = None) -> Claimed:
        """Pop from the desk's queue."""
        claimed = await self.claims.pop([(self.desk.queue, types or [self.desk.type], limit)], limit)
        assert claimed is not None
        return claimed

    def starts(self, claimed: Claimed) -> Part:
        """All that was claimed, for the desk's session."""
        return Part(claim=claimed.id, starts=[Start(self.desk.session, *item) for item in claimed.items])

    async def start(self, limit: int, *, feed: bool = True) -> Outcome:
        """Claim and start."""
        appended = await self.append(self.starts(await self.claim(limit)), feed=feed)
        return appended.outcomes[0]

    def held(self) -> Held:
        """What Redis holds for claims."""
        build = self.raw.hget(PREFIX + b"at", "build") or b""
        found: Held = {}
        for queue in self.raw.smembers(PREFIX + build + b":queues"):
            for type_ in self.raw.smembers(PREFIX + build + b":t:" + queue):
                rows = self.raw.zrange(PREFIX + build + b":q:" + queue + b":" + type_, 0, -1, withscores=True)
                if rows:
                    found[int(queue), int(type_)] = [(-int(score), job) for job, score in rows]
        return found

    def ready(self) -> Held:
        """What PostgreSQL says is ready, in the order of a claim."""
        found: Held = {}
        with psycopg.connect(self.database, autocommit=True) as conn:
            for queue, type_, priority, job in conn.execute(
                "select queue, type, priority, job from hivelog.ready"
                " order by queue, type, priority desc, job"
            ):
                found.setdefault((queue, type_), []).append((priority, job.bytes))
        return found

    def state(self, field: str) -> int:
        """A field of the desk's queue in Redis."""
        build = self.raw.hget(PREFIX + b"at", "build") or b""
        value = self.raw.hget(PREFIX + build + b":s:" + str(self.desk.queue).encode(), field)
        return int(value or 0)

    def checkpoint(self) -> int:
        """The position that Redis has reached."""
        return int(self.raw.hget(PREFIX + b"at", "position") or -1)

    async def fed(self) -> None:
        """Until the feeder has brought Redis to the log's head."""
        await until(lambda: self.feeder.available and self.checkpoint() == self.log.head)


@asynccontextmanager
async def rig(
    database: str, redis_url: str, *, running: bool = True, max_workers: int | None = None
) -> AsyncIterator[Rig]:
    """Open everything; `running` starts the feeder and waits until Redis is there."""
    made = Rig(database, redis_url, max_workers=max_workers)
    await made.log.open()
    await made.pool.open()
    if running:
        await made.feeder.start()
        await until(lambda: made.feeder.available)
    else:
        await made.restorer.restore()
    try:
        yield made
    finally:
        await made.feeder.stop()
        await made.redis.close()
        await made.pool.close()
        await made.log.close()
        made.raw.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Poll for a condition; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)
