"""One tailer a process: follows the log and hands each event, in order, to its subscribers.

It reads only while somebody subscribes. A wake (local append, Redis, NOTIFY) makes it look at once; the
poll makes a lost wake cost latency only. Positions have no holes, so a page that does not begin at
last + 1 means that the log moved under us: subscribers get a reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import structlog

from ..stopping import stop_tasks
from .pool import Pool
from .read import Event, Head, head, read

_log = structlog.get_logger(__name__)

Subscriber = Callable[[list[Event]], None]

_PAGE = 1000
_POLL = 1.0


class Tail:
    """Follows the log from its head at `start`. Subscribers are called in the loop and must not block."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._subscribers: list[Subscriber] = []
        self._on_reset: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self.position = 0
        self.epoch = 0
        # Called with an epoch and a position that were there once, and are not any more.
        self.on_ahead: Callable[[int, int], None] = lambda epoch, position: None
        self.available = True  # whether the log could be read when last tried

    async def start(self) -> None:
        async with self._pool.connection() as connection:
            now = await head(connection)
        self.position, self.epoch = now.position, now.epoch
        self._task = asyncio.create_task(self._run(), name="tail")

    async def stop(self) -> None:
        await stop_tasks(self._task)

    def subscribe(
        self, subscriber: Subscriber, on_reset: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Call `subscriber` with every page of events from now on; answers how to stop."""
        self._subscribers.append(subscriber)
        if on_reset is not None:
            self._on_reset.append(on_reset)
        self.wake()

        def unsubscribe() -> None:
            self._subscribers.remove(subscriber)
            if on_reset is not None:
                self._on_reset.remove(on_reset)

        return unsubscribe

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    async def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until subscribers have seen `position`; False when the time is over."""
        self.wake()
        async with self._moved:
            try:
                async with asyncio.timeout(timeout):
                    await self._moved.wait_for(lambda: self.position >= position)
            except TimeoutError:
                return False
        return True

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
                self.available = True
            except (psycopg.Error, OSError) as error:
                self.available = False
                _log.warning("tail_interrupted", error=str(error))
                await asyncio.sleep(_POLL)
            try:
                async with asyncio.timeout(_POLL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _follow(self) -> None:
        async with self._pool.connection() as connection:
            now = await head(connection)
            await self._check(now)
            if not self._subscribers:
                await self._advance(now.position, now.epoch)
                return
            while True:
                events = await read(connection, self.position, _PAGE)
                if not events:
                    return
                if events[0].position != self.position + 1:
                    self._reset()
                for subscriber in list(self._subscribers):
                    subscriber(events)
                await self._advance(events[-1].position, self.epoch)
                if len(events) < _PAGE:
                    return

    async def _check(self, now: Head) -> None:
        """Before anything is read: a log that lost its tail may have grown past where we are."""
        if now.position < self.position or now.epoch != self.epoch:
            seen = self.epoch, self.position
            await self._advance(now.position, now.epoch)
            self._reset()
            if seen > (now.epoch, now.position):
                self.on_ahead(*seen)

    def _reset(self) -> None:
        _log.error("tail_reset", position=self.position, epoch=self.epoch)
        for callback in list(self._on_reset):
            callback()

    async def _advance(self, position: int, epoch: int) -> None:
        async with self._moved:
            self.position, self.epoch = position, epoch
            self._moved.notify_all()
