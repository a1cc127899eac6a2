"""The feeder: tells Redis of every append of this process, in order, without ever holding one up.

    feeder = Feeder(redis, pool)
    await feeder.start()
    appender.listeners.append(feeder.appended)

While one round trip is under way the next messages merge. When Redis is away, or too much waits, messages
are dropped and Redis is brought to the log's head by state afterwards: nothing is lost, since the log has
it all. A duty of once a second looks after what no feed would notice: a gap that a dead process left, a
flush, claims that nobody settled, evicted keys.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Final

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ..events import epoch
from ..events.batch import Appended, Part
from ..events.memory import Memory
from ..events.pool import Pool
from ..stopping import stop_tasks
from . import keys
from .audit import audit
from .connection import Redis, RedisUnavailable, ScriptFailed
from .feed_message import FeedMessage, feed_message
from .lag import Lag
from .rebuild import Restorer, read_state
from .sweep import sweep

_log = structlog.get_logger(__name__)

_LINGER: Final = 0.003  # s that what is news to nobody may wait
_GAP: Final = 0.05  # s that an early message may wait for the one before it
_BEHIND: Final = 1.0  # s after which a worker had better ask PostgreSQL
_MAX_WAITING: Final = 50_000  # ids and messages kept for Redis; beyond, catching up is cheaper
_AT_ONCE: Final = 16  # messages in one call
_AUDIT_EVERY: Final = 5  # s, one process at a time
_AUDITS: Final = 3  # differences in a row that count
# Rounds of the loop: from an append's answer until a worker whose jobs ended at once has claimed the next,
# and from the claim's answer until their append is on its way.
_BEFORE_CLAIM: Final = 3
_BEFORE_APPEND: Final = 4
_TROUBLE: Final = (psycopg.Error, PoolTimeout, RedisUnavailable, TimeoutError)


class Feeder:
    """Feeds Redis from this process's appends. `available`: claims by Redis make sense now."""

    def __init__(self, redis: Redis, pool: Pool, memory: Memory | None = None) -> None:
        self.available = False
        self.lag = Lag()
        self._suspended = False
        self._redis = redis
        self._pool = pool
        self._memory = memory if memory is not None else Memory()
        self._restorer = Restorer(redis, pool, self._memory)
        self._fresh: list[Appended] = []
        self._news = asyncio.Event()
        self._waiting: deque[FeedMessage] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._restore = True
        self._anew = False
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()

    def on_ahead(self, callback: Callable[[], None]) -> None:
        """Call it when Redis knows more of the log than it has: it was put back to an earlier state."""
        self._restorer.on_ahead = callback

    async def checkpoint(self) -> tuple[int, int] | None:
        """(epoch, position) of what Redis holds, for `Memory`; None when it cannot tell."""
        try:
            return await self._restorer.checkpoint()
        except (RedisUnavailable, ScriptFailed):
            return None

    async def start(self) -> None:
        """Begin; Redis is caught up in the background."""
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._run(), name="feeder"),
            asyncio.create_task(self._look_after(), name="feeder duties"),
        ]

    async def stop(self) -> None:
        """Send what waits (bounded by the time-outs of the connection), then end."""
        if self._tasks and self.available:
            await asyncio.wait([self._tasks[0], asyncio.create_task(self._idle.wait())], timeout=1,
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        if self._timer is not None:
            self._timer.cancel()
        await stop_tasks(*self._tasks)

    def appended(self, appended: Appended) -> None:
        """A listener of the appender: takes note and returns at once."""
        self.lag.saw_head(appended.head)
        if self._restore and not self.available:
            return  # the log has it; the catch-up will read it there
        # Only noted here: whoever waits for the append's answer must not wait for our message as well.
        self._fresh.append(appended)
        if not self._news.is_set() and any(map(_is_news, appended.parts)):
            self._news.set()
        self._size += 1 + appended.head - appended.first
        if self._size > _MAX_WAITING:
            self.catch_up()
            self._drop()
        self._idle.clear()
        self._wake.set()

    def catch_up(self, *, anew: bool = False) -> None:
        """Redis is known to lack something: bring it to the head soon (`anew`: from nothing)."""
        self._restore = True
        self._anew = self._anew or anew
        self._wake.set()

    def saw_head(self, position: int) -> None:
        """Somebody (the tail, an answer) knows that the log is at least this long."""
        self.lag.saw_head(position)

    def behind(self, seconds: float = _BEHIND) -> bool:
        """Has Redis not reached a head of the log that has been known for so long? Then a claim that got
        too little had better be made by SQL; Redis is caught up meanwhile."""
        if self.lag.seconds <= seconds:
            return False
        self.catch_up()
        return True

    def emptied(self) -> None:
        """A claim found no checkpoint: rebuild, and claim by SQL until then."""
        self.available = False
        self.catch_up()

    def failed(self, error: Exception) -> None:
        """A claim found Redis away, or damaged."""
        if isinstance(error, ScriptFailed):
            self._anew = True
        self._suspend(error)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._feed()
            except ScriptFailed as error:
                await self._discard(error)
            except _TROUBLE as error:
                self._suspend(error)
            except Exception:
                _log.exception("feeder_failed")
                self._suspend(None)

    async def _feed(self) -> None:
        while self._restore or self._fresh or self._waiting:
            if self._restore:
                self._restore, anew, self._anew = False, self._anew, False
                self.lag.saw_checkpoint(await self._restorer.restore(anew=anew))
                if not self.available or self._suspended:
                    _log.info("redis_available", checkpoint=self.lag.checkpoint)
                self.available, self._suspended = True, False
            else:
                await self._give_way()
                self._absorb()
                if self._waiting:  # unless Redis went away meanwhile
                    await self._send(self._take())
        self._idle.set()

    async def _give_way(self) -> None:
        """A worker's next turn comes first: its claim, and the append that the claim leads to. Our news of
        its last one can be told while the database works; news of ready jobs cannot wait."""
        if self._waiting or self._has_news():
            await asyncio.sleep(0)  # handlers that the same answer starts, or callers it answers, go first
            return
        before = self._redis.requests
        await _passes(_BEFORE_CLAIM)
        if self._redis.requests != before:
            await self._redis.quiet()
            await _passes(_BEFORE_APPEND)
        if not self._has_news():
            await self._linger()

    async def _linger(self) -> None:
        """Turns that end some and start as many tell nobody anything: several of them make one message."""
        self._news.clear()
        if not self._has_news():
            clock = asyncio.get_running_loop().call_later(_LINGER, self._news.set)
            await self._news.wait()
            clock.cancel()

    def _has_news(self) -> bool:
        """Something that others may wait for: ready jobs, or room."""
        return any(_is_news(part) for each in self._fresh for part in each.parts)

    def _absorb(self) -> None:
        """Messages of what was appended since; consecutive ones become one."""
        fresh, self._fresh = self._fresh, []
        for appended in fresh:
            message = feed_message(appended)
            if not (self._waiting and self._waiting[-1].merge(message)):
                self._waiting.append(message)

    def _take(self) -> list[FeedMessage]:
        """The next messages; one that needs a look into PostgreSQL goes alone."""
        messages = [self._waiting.popleft()]
        while self._waiting and len(messages) < _AT_ONCE:
            if messages[-1].lookup or self._waiting[0].lookup:
                break
            messages.append(self._waiting.popleft())
        if not self._waiting:
            self._size = 0
        return messages

    async def _send(self, messages: list[FeedMessage]) -> None:
        last = messages[-1]
        if last.lookup:
            state = await read_state(self._pool, last.first - 1)
            if state.adds is None or state.epoch != last.epoch:
                self.catch_up()
                return
            packed = [state.encode(last.first, last.claims)]
        else:
            packed = [message.encode() for message in messages]
        self._answered(last.first, await self._redis.run("feed", *packed))

    def _answered(self, first: int, answer: list[bytes | int]) -> None:
        status, position = answer[0], int(answer[2])
        if status == b"rebuild":
            self.emptied()
            return
        self.lag.saw_checkpoint(position)
        if status == b"full":
            self.catch_up()
        elif status == b"early" and self._timer is None:
            # Jitter: of many processes that see one gap, the first to look closes it for all.
            delay = _GAP * random.uniform(1.0, 2.0)  # noqa: S311
            self._timer = asyncio.get_running_loop().call_later(delay, self._check_gap, first)

    def _check_gap(self, first: int) -> None:
        self._timer = None
        if self.lag.checkpoint < first:
            self.catch_up()

    def _drop(self) -> None:
        self._fresh.clear()
        self._waiting.clear()
        self._size = 0

    def _suspend(self, error: Exception | None) -> None:
        """Redis or PostgreSQL is away: drop what waits, try again later."""
        if not self._suspended:
            self._suspended = True
            _log.warning("redis_feed_suspended", error=repr(error))
        self.available = self.available and self._redis.connected
        self._restore = True
        self._drop()
        self._idle.set()
        delay = max(self._redis.retry_in, 0.5) * random.uniform(1.0, 1.2)  # noqa: S311
        asyncio.get_running_loop().call_later(delay, self._wake.set)

    async def _discard(self, error: ScriptFailed) -> None:
        """Keys of ours hold what is not ours: begin again from nothing."""
        _log.error("redis_keys_are_damaged", error=str(error))
        self._suspend(error)
        self.available, self._anew = False, True
        try:
            await self._redis.command(b"DEL", keys.AT, keys.EARLY, keys.BUILDING)
        except (RedisUnavailable, ScriptFailed) as again:
            _log.warning("redis_feed_suspended", error=repr(again))

    async def _look_after(self) -> None:
        """Once a second, a little apart from other processes."""
        turn = random.randrange(_AUDIT_EVERY)  # noqa: S311
        while True:
            await asyncio.sleep(random.uniform(0.9, 1.1))  # noqa: S311
            if not self.available:
                continue
            turn += 1
            try:
                await self.look()
                await sweep(self._redis, self._pool)
                if turn % _AUDIT_EVERY == 0:
                    await self._audit()
            except (*_TROUBLE, ScriptFailed) as error:
                self._suspend(error)
            except Exception:
                _log.exception("feeder_duty_failed")

    async def look(self) -> None:
        """Compare checkpoint and head; what has not moved for a second is caught up."""
        at = await self._restorer.checkpoint()
        async with self._pool.connection() as connection:
            end = await epoch.end_of_log(connection, self._memory)
        if end.cut:
            self._restorer.on_ahead()
        if at is None or at[0] != end.epoch or at[1] > end.head:
            self.emptied()
            return
        self.lag.saw_checkpoint(at[1])
        self.lag.saw_head(end.head)
        if self.lag.seconds > _BEHIND / 2:
            self.catch_up()

    async def _audit(self) -> None:
        """A difference that lasts means lost or foreign keys: rebuild, but at most once a minute."""
        if not await self._redis.command(b"SET", keys.AUDITOR, 1, b"NX", b"PX", 4500):
            return
        lasting: set[tuple[int, str]] | None = None
        for _ in range(_AUDITS):
            differences = await audit(self._redis, self._pool)
            seen = {(each.queue, each.what) for each in differences or []}
            lasting = seen if lasting is None else lasting & seen
            if not lasting:
                return
            await asyncio.sleep(0.7)
        if await self._redis.command(b"SET", keys.AUDIT_REBUILT, 1, b"NX", b"PX", 60_000):
            _log.warning("redis_differs_from_log", queues=sorted(lasting or []))
            self.catch_up(anew=True)


def _is_news(part: Part) -> bool:
    """Also starts without a claim: until Redis knows, others are offered their jobs."""
    return not part.starts or part.claim is None


async def _passes(rounds: int) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)
