"""The past once more through the live feed: `GET /queue/status?from=<time|position>&speed=1..1000`.

Events come in the rhythm in which they were recorded, divided by the speed; statistics and workers as they
were at that moment, at most once a second. Where the log cannot be read that fast it goes as fast as it can.
At the present it says `live` and goes on as the live feed; at `until` it says `end`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from msgspec import Struct

from ..events.read import Event, head, read
from ..projections.moments import Moment, folded
from ..projections.stats import queue_stats
from .errors import invalid
from .frames import Encoder, Frame
from .hub import Snapshot, framed_snapshot
from .past import moment_at
from .past_workers import narrowed_workers_then, workers_then
from .services import Services

_PAGE: Final = 200  # events read at once: more are never held for one client
_SUMMARY: Final = 1.0  # s of real time between statistics
_LONGEST_WAIT: Final = 0.25
_BEHIND: Final = 1000  # ms of real time; a replay that is further behind counts from where it is


class Asked(Struct, frozen=True):
    """Where a replay begins, where it ends (None: it becomes live) and how fast it goes."""

    start: Moment
    until: Moment | None
    speed: float


class Played(Struct):
    """What to send now. `done`: None, or `live` or `end`, when it is over."""

    frames: list[Frame]
    snapshots: list[bytes]
    done: str | None = None


async def asked(services: Services, query: dict[str, str], last_id: str | None) -> Asked | None:
    """What `from`, `until` and `speed` ask for; None without `from`. A client that comes back goes on after
    the last event that it saw. Raises Problem."""
    if "from" not in query:
        if "speed" in query or "until" in query:
            raise invalid("from", "must say where the replay begins", status=400)
        return None
    start = await moment_at(services, "from", _resumed(last_id) or query["from"])
    until = await moment_at(services, "until", query["until"]) if "until" in query else None
    if until is not None and until.position < start.position:
        raise invalid("until", "must not be before `from`", status=400)
    return Asked(start, until, _speed(query.get("speed", "1")))


def _resumed(last_id: str | None) -> str | None:
    _, _, position = (last_id or "").partition("-")
    return position if position.isascii() and position.isdigit() and position != "0" else None


def _speed(text: str) -> float:
    try:
        speed = float(text) if len(text) <= 10 else 0.0
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= 1000:
        raise invalid("speed", "must be a number from 1 to 1000", status=400)
    return speed


class Player:
    """One client's way through the past."""

    def __init__(self, services: Services, replay: Asked, queues: frozenset[str] | None) -> None:
        self._services, self._replay, self._queues = services, replay, queues
        self._encoder = Encoder(services)
        self._epoch = services.tail.epoch
        self._events: list[Event] = []
        self._summed_at = float("-inf")
        self._count = 0
        self.position = replay.start.position
        self._begin(replay.start.now)

    def _begin(self, at: int) -> None:
        self._from, self._since = at, time.monotonic()

    @property
    def now(self) -> int:
        """The time that it is there, in ms since 1970."""
        return self._from + round((time.monotonic() - self._since) * 1000 * self._replay.speed)

    async def next(self) -> Played:
        """What is due; waits a moment, at most a quarter of a second, when nothing is."""
        services, until = self._services, self._replay.until
        async with services.pool.connection() as connection:
            if not self._events:
                self._events = await read(connection, self.position, _PAGE)
            present = (await head(connection)).position
        now = self.now if until is None else min(self.now, until.now)
        due = [event for event in self._events if event.recorded_at <= now]
        due = due if until is None else [event for event in due if event.position <= until.position]
        self._events = self._events[len(due) :]
        frames = await self._encoder.frames(due, self._epoch) if due else []
        if due:
            self.position = due[-1].position
            self._catch_breath(due[-1].recorded_at)
        done = await self._done(present)
        snapshots = await self._summaries(min(now, self.now), last=done is not None)
        if not frames and not snapshots and done is None:
            await asyncio.sleep(self._pause())
        return Played(frames, snapshots, done)

    def _catch_breath(self, recorded_at: int) -> None:
        """What could not be sent in time is not hurried after: the clock there waits."""
        if not self._events and self.now - recorded_at > _BEHIND * self._replay.speed:
            self._begin(recorded_at)

    async def _done(self, present: int) -> str | None:
        until = self._replay.until
        if until is not None:
            over = self.position >= until.position and self.now >= until.now
            return "end" if over else None
        at_head = not self._events and self.position >= present
        return "live" if at_head and self.now >= await self._services.engine.clock.now() else None

    def _pause(self) -> float:
        if not self._events:
            return _LONGEST_WAIT
        wait = (self._events[0].recorded_at - self.now) / 1000 / self._replay.speed
        return min(max(wait, 0.0), _LONGEST_WAIT)

    async def _summaries(self, now: int, *, last: bool) -> list[bytes]:
        if time.monotonic() - self._summed_at < _SUMMARY and not last:
            return []
        moment = Moment(self.position, now)
        async with self._services.pool.connection() as connection:
            if not await folded(connection, moment):
                return []
            found = await queue_stats(connection, None, moment)
        workers = narrowed_workers_then(await workers_then(self._services, moment), self._queues)
        self._summed_at = time.monotonic()
        self._count += 1
        stats: dict[str, Any] = {} if found is None else dict(found.queues)
        if self._queues is not None:
            stats = {name: of for name, of in stats.items() if name in self._queues}
        snapshot = Snapshot(self._count, moment.position, moment.now, {})
        return [
            framed_snapshot("queue_stats", snapshot, {"queues": stats}),
            framed_snapshot("worker_status", snapshot, workers),
        ]
