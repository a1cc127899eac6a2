"""Wake-ups of idle workers: one subscription a process.

A lost message costs at most the caller's poll: nothing here is needed for correctness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeAlias

from ..stopping import stop_tasks
from . import keys
from .announcements import MARK, Announcement, parse
from .connection import Redis, RedisUnavailable, ScriptFailed

_PING_EVERY: Final = 5.0
_AFTER_YOU: Final = 0.005  # seconds

# A session, and what to call with the jobs announced to it.
Hearer: TypeAlias = tuple[int, Callable[[Announcement], None]]


class Wakes:
    """Remembers which queues had news, until `forget`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis.another(self._on_message)
        self._news: set[int] = set()
        self._waiting: set[asyncio.Future[None]] = set()
        self._hearers: dict[int, Callable[[Announcement], None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="wakes")

    async def stop(self) -> None:
        await stop_tasks(self._task)
        await self._redis.close()

    def forget(self, queues: Iterable[int]) -> None:
        """The caller looks at these queues now: older news are no news."""
        self._news.difference_update(queues)

    async def wait(
        self, queues: Collection[int], timeout: float, hearer: Hearer | None = None
    ) -> set[int]:
        """The queues that have news, as soon as there are some; none after `timeout` seconds. `hearer` is
        told of jobs announced to its session meanwhile."""
        if hearer is None:
            return await self._wait(queues, timeout)
        session, hear = hearer
        self._hearers[session] = hear
        try:
            return await self._wait(queues, timeout)
        finally:
            self._hearers.pop(session, None)

    async def _wait(self, queues: Collection[int], timeout: float) -> set[int]:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self._news.isdisjoint(queues):
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.add(future)
            timer = loop.call_at(end, _set, future)
            try:
                await future
            finally:
                timer.cancel()
                self._waiting.discard(future)
            if loop.time() >= end:
                break
        return self._news.intersection(queues)

    def _on_message(self, message: list[Any]) -> None:
        text = message[2]
        if text.startswith(MARK):
            self._announced(parse(text))
        else:
            self._tell(int(queue) for queue in text.split(b","))

    def _announced(self, announcement: Announcement) -> None:
        if (hear := self._hearers.get(announcement.session)) is not None:
            hear(announcement)
            self._tell([announcement.queue])
        else:
            # For another. Should that one not be able to, the job is ours; later, so as not to race with it.
            asyncio.get_running_loop().call_later(_AFTER_YOU, self._tell, [announcement.queue])

    def _tell(self, queues: Iterable[int]) -> None:
        self._news.update(queues)
        for future in self._waiting:
            _set(future)

    async def _listen(self) -> None:
        while True:
            try:
                await self._redis.command(b"SUBSCRIBE", keys.WAKE)
                while True:
                    await asyncio.sleep(_PING_EVERY)
                    # A peer that vanished without a word is noticed by its silence.
                    await self._redis.command(b"PING")
            except (RedisUnavailable, ScriptFailed):
                await asyncio.sleep(max(self._redis.retry_in, 0.1))


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
