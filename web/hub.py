"""One ring of encoded frames a process; a client is a position in it, not a queue.

A client that falls behind the ring, or comes back with a Last-Event-ID, reads pages of the log instead.
Without a client nothing is read. Statistics and workers are computed once for all, on change at most
twice a second, and at least every five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from ..events import times
from ..events.read import Event, read
from ..stopping import stop_tasks
from .errors import database_is_away
from .frames import Encoder, Frame
from .services import Services

_log = structlog.get_logger(__name__)

_RING: Final = 10_000  # frames kept at least; twice as many at most
_INBOX: Final = 20_000  # events that may wait to be encoded; beyond, clients read the log themselves
# Frames or events at a time: a thousand clients that are behind each hold a page in their buffers.
_PAGE: Final = 100
_BATCH: Final = 500  # events that are encoded together
_LOOK: Final = 0.2  # s; other processes append without telling this one
_OFTEN: Final = 0.5  # s between two statistics
_SELDOM: Final = 5.0  # s after which they are sent unchanged

_encode = msgspec.json.Encoder().encode


class Snapshot(Struct, frozen=True):
    """Statistics by queue, or all workers, at one position. `number` counts them within a process."""

    number: int
    position: int
    timestamp: int
    data: dict[str, Any]


class Health(Struct, frozen=True):
    """What a page must know when figures stand still: the statuses of `/health` that change what it shows."""

    database: str
    redis: str


class Page(Struct):
    """Frames after a position, and the position that they lead to. `more`: ask again at once."""

    frames: list[Frame]
    position: int
    more: bool = False


class Hub:
    """What every stream of this process reads from."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._get = services
        self._clients = 0
        self._frames: list[Frame] = []
        self._positions: list[int] = []
        self._floor = 0
        self.position = 0
        self.epoch = 0
        self.resets = 0
        self.changed = asyncio.Event()
        self.stats: Snapshot | None = None
        self.workers: Snapshot | None = None
        self.health = Health("healthy", "healthy")
        self._inbox: list[Event] = []
        self._arrived = asyncio.Event()
        self._dirty = True
        self._stop: Callable[[], None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._encoder: Encoder | None = None

    @property
    def clients(self) -> int:
        return self._clients

    async def join(self) -> None:
        """One more client; the first starts the reading."""
        self._clients += 1
        if self._clients > 1:
            return
        services = self._get()
        self._encoder = self._encoder or Encoder(services)
        tail = services.tail
        self._empty(tail.position, tail.epoch)
        self._stop = tail.subscribe(self._take, self._reset)
        self._tasks = [
            asyncio.create_task(work(), name=f"hub {work.__name__}")
            for work in (self._encode_all, self._look, self._summarise, self._watch_health)
        ]

    async def leave(self) -> None:
        """One less; the last ends the reading."""
        self._clients -= 1
        if self._clients:
            return
        if self._stop is not None:
            self._stop()
        tasks = self._tasks
        self._stop, self._tasks, self.stats, self.workers = None, [], None, None
        self._inbox.clear()
        await stop_tasks(*tasks)

    def notify(self) -> None:
        """Wake every client once; each then takes all there is."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def holds(self, position: int) -> bool:
        """Whether all that follows this position is in the ring."""
        return position >= self._floor

    async def after(self, position: int) -> Page:
        """What follows this position, from the ring or, when it begins later, from the log; nothing yet
        while the log cannot be read."""
        if position < self._floor:
            try:
                return await self._from_log(position)
            except Exception as error:
                if not database_is_away(error):
                    raise
                return Page([], position)
        start = bisect_right(self._positions, position)
        frames = self._frames[start : start + _PAGE]
        if start + _PAGE < len(self._frames):
            return Page(frames, frames[-1].position, more=True)
        return Page(frames, max(self.position, position))

    async def _from_log(self, position: int) -> Page:
        services = self._get()
        async with services.pool.connection() as connection:
            events = await read(connection, position, _PAGE)
        if not events:
            return Page([], self._floor)
        assert self._encoder is not None
        return Page(await self._encoder.frames(events, self.epoch), events[-1].position, more=True)

    def _empty(self, position: int, epoch: int) -> None:
        self._frames.clear()
        self._positions.clear()
        self._floor = self.position = position
        self.epoch = epoch
        self._dirty = True

    def _take(self, events: list[Event]) -> None:
        """The tail's subscriber: keeps what is to be encoded, and returns at once."""
        self._inbox += events
        self._arrived.set()

    def _reset(self) -> None:
        """The log moved under us: what clients have seen may be gone."""
        self.resets += 1
        self._inbox.clear()
        tail = self._get().tail
        self._empty(tail.position, tail.epoch)
        self.notify()

    async def _encode_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._inbox:
                if len(self._inbox) > _INBOX:
                    last = self._inbox[-1].position
                    self._inbox.clear()
                    self._empty(last, self._get().tail.epoch)
                else:
                    await self._encode_some()
                self._dirty = True
                self.notify()

    async def _encode_some(self) -> None:
        events, self._inbox = self._inbox[:_BATCH], self._inbox[_BATCH:]
        assert self._encoder is not None
        self.epoch = self._get().tail.epoch
        try:
            frames = await self._encoder.frames(events, self.epoch)
        except Exception as error:
            if not database_is_away(error):
                _log.exception("frames_failed", first=events[0].position)
            # Clients read these from the log when it is back.
            self._empty(events[-1].position, self.epoch)
            await asyncio.sleep(_OFTEN)
            return
        if any(event.type == "payload_erased" for event in events):
            # Frames hold texts of what is erased now: clients that are behind read the log, which does not.
            self._empty(events[-1].position, self.epoch)
            return
        self._frames += frames
        self._positions += [frame.position for frame in frames]
        self.position = events[-1].position
        if len(self._frames) > 2 * _RING:
            self._floor = self._positions[-_RING - 1]
            del self._frames[:-_RING], self._positions[:-_RING]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            self._get().tail.wake()

    async def _watch_health(self) -> None:
        while True:
            services = self._get()
            database = services.tail.available and services.appender.available
            found = Health(_status(database), _status(services.engine.feeder.available))
            if found != self.health:
                self.health = found
                self.notify()
            await asyncio.sleep(_OFTEN)

    async def _summarise(self) -> None:
        sent = float("-inf")
        while True:
            if self._dirty or time.monotonic() - sent >= _SELDOM:
                self._dirty = False
                sent = time.monotonic()
                await self.refresh()
            await asyncio.sleep(_OFTEN)

    async def refresh(self) -> None:
        """Compute statistics and workers now. With the database away the last ones stand."""
        from .summaries import stats_of_all, workers_now

        services = self._get()
        try:
            stats, workers = await stats_of_all(services), await workers_now(services)
        except Exception as error:
            if not database_is_away(error):
                _log.exception("summary_failed")
            return
        number = (self.stats.number if self.stats else 0) + 1
        self.stats = Snapshot(number, stats.position, stats.timestamp, stats.queues)
        self.workers = Snapshot(number, workers.position, workers.timestamp, workers.data)
        self.notify()

    async def wait(self, changed: asyncio.Event, timeout: float) -> None:
        """Until `changed` (taken before reading) is set, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await changed.wait()


def _status(available: bool) -> str:
    return "healthy" if available else "unhealthy"


def framed_health(health: Health, position: int) -> bytes:
    """The JSON of a `health` frame. Its time is this process's own: the database's may be out of reach."""
    at = times.from_datetime(datetime.now(UTC))
    data = {"database": health.database, "redis": health.redis}
    return _encode({"type": "health", "data": data, "timestamp": times.to_text(at), "position": position})


def framed_snapshot(kind: str, snapshot: Snapshot, data: Any) -> bytes:
    """The JSON of a `queue_stats` or `worker_status` frame."""
    return _encode(
        {
            "type": kind, "data": data, "timestamp": times.to_text(snapshot.timestamp),
            "position": snapshot.position,
        }
    )  # fmt: skip
