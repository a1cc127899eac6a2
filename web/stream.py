"""The live feed as Server-Sent Events, and what it shares with the WebSocket: position, filter, frames.

One coroutine a client writes everything, heartbeats too, under one time limit: a frozen reader is
let go after ten seconds instead of filling buffers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from starlette.types import Receive, Send

from ..events import ids
from ..events.read import head
from ..events.retained import retained
from ..stopping import stop_tasks
from .answers import NO_STORE, SECURITY
from .callers import Caller
from .errors import Problem, invalid
from .frames import Frame
from .hub import Health, Hub, Snapshot, framed_health, framed_snapshot
from .replay import Asked, Player
from .services import Services
from .summaries import narrowed_workers

HEARTBEAT: Final = 15.0
SEND_TIMEOUT: Final = 10.0
RECHECK: Final = 60.0
_FAR_BEHIND: Final = 200_000  # positions; beyond, a fresh snapshot serves better than a replay
_PER_CALLER: Final = 32
_IN_ALL: Final = 2000

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    NO_STORE,
    (b"x-accel-buffering", b"no"),
    *SECURITY,
]


class Narrowed(Struct, frozen=True):
    """What a stream is about; None: everything that the caller may see."""

    queues: frozenset[str] | None = None
    job: bytes | None = None
    types: frozenset[str] | None = None

    @property
    def everything(self) -> bool:
        return self.queues is None and self.job is None and self.types is None

    def fits(self, frame: Frame) -> bool:
        return (
            (self.queues is None or frame.queue in self.queues)
            and (self.job is None or frame.job == self.job)
            and (self.types is None or frame.type in self.types)
        )


def narrowed(query: dict[str, str], caller: Caller) -> Narrowed:
    """`?queue=a,b&job=..&types=x,y`, and the queues a token is limited to. Raises Problem."""
    queues = _names(query.get("queue"))
    if caller.queues is not None:
        queues = caller.queues if queues is None else queues & caller.queues
    job = None
    if wanted := query.get("job"):
        try:
            job = ids.from_text(wanted)
        except ValueError as error:
            raise invalid("job", str(error), status=400) from None
    return Narrowed(queues, job, _names(query.get("types")))


def _names(text: str | None) -> frozenset[str] | None:
    return frozenset(part.strip() for part in text.split(",")) if text else None


class Cursor:
    """Where one client is. `next` gives what to send now, in order."""

    def __init__(self, hub: Hub, filter_: Narrowed, position: int, epoch: int) -> None:
        self._hub, self._filter = hub, filter_
        self.position, self.epoch = position, epoch
        self._resets = hub.resets
        self._seen = 0
        self._health = Health("healthy", "healthy")

    @property
    def is_reset(self) -> bool:
        return self._hub.resets != self._resets

    def start_over(self) -> None:
        """After a reset: from the head on."""
        self._resets = self._hub.resets
        self.position, self.epoch = self._hub.position, self._hub.epoch

    async def frames(self) -> list[Frame]:
        """The next frames that fit; moves the position also past those that do not."""
        while True:
            page = await self._hub.after(self.position)
            self.position = page.position
            if self._filter.everything:
                return page.frames
            frames = [frame for frame in page.frames if self._filter.fits(frame)]
            if frames or not page.more:
                return frames

    def snapshots(self) -> list[bytes]:
        """Health when it changed; statistics and workers, when there are newer ones than this client has."""
        return [*self._changed_health(), *self._newer_snapshots()]

    def _changed_health(self) -> list[bytes]:
        if self._hub.health == self._health:
            return []
        self._health = self._hub.health
        return [framed_health(self._health, self.position)]

    def _newer_snapshots(self) -> list[bytes]:
        stats, workers = self._hub.stats, self._hub.workers
        if stats is None or workers is None or stats.number == self._seen:
            return []
        self._seen = stats.number
        return [
            framed_snapshot("queue_stats", stats, {"queues": self._of(stats)}),
            framed_snapshot("worker_status", workers, narrowed_workers(workers.data, self._filter.queues)),
        ]

    def _of(self, stats: Snapshot) -> dict[str, Any]:
        queues = self._filter.queues
        return {name: of for name, of in stats.data.items() if queues is None or name in queues}


class Places:
    """How many streams a caller, and all callers, may have open."""

    def __init__(self, per_caller: int = _PER_CALLER, in_all: int = _IN_ALL) -> None:
        self._per_caller, self._in_all = per_caller, in_all
        self._open: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self._open.total()

    def take(self, caller: Caller) -> None:
        """Raises Problem when there is no place; `leave` gives it back."""
        if self._open[caller.actor] >= self._per_caller or self.total >= self._in_all:
            raise Problem(
                "too_many", "too many streams are open; close one", {"limit": self._per_caller}
            )
        self._open[caller.actor] += 1

    def leave(self, caller: Caller) -> None:
        self._open[caller.actor] -= 1
        if self._open[caller.actor] <= 0:
            del self._open[caller.actor]


async def begin(services: Services, filter_: Narrowed, last_id: str | None) -> tuple[Cursor, bool]:
    """A cursor for a client that saw `last_id` last; True when it must start over instead.

    An id of another epoch, or beyond the head, is of a log that is no more; so is one before the edge of
    retention.
    """
    hub = services.hub
    cursor = Cursor(hub, filter_, hub.position, hub.epoch)
    if not last_id:
        return cursor, False
    epoch, _, position = last_id.partition("-")
    if not (epoch.isdigit() and position.isdigit() and len(last_id) < 40):
        return cursor, True
    seen = int(position)
    if int(epoch) != hub.epoch or hub.position - seen > _FAR_BEHIND:
        return cursor, True
    if seen > hub.position and seen > await _head(services):
        return cursor, True
    if not hub.holds(seen) and seen < await _edge(services):
        return cursor, True
    cursor.position = seen
    return cursor, False


async def _head(services: Services) -> int:
    """The client may have read from a process whose tail is ahead of this one's."""
    async with services.pool.connection() as connection:
        return (await head(connection)).position


async def _edge(services: Services) -> int:
    async with services.pool.connection() as connection:
        return (await retained(connection)).edge


async def still_welcome(services: Services, caller: Caller) -> bool:
    """Whether the session behind a stream lives on; with the database away, the benefit of the doubt."""
    if caller.session is None:
        return True
    try:
        return await services.access.session(caller.session) is not None
    except Exception:
        return True


class EventStream:
    """The answer to `GET /queue/status` with `Accept: text/event-stream`."""

    def __init__(
        self,
        services: Services,
        caller: Caller,
        filter_: Narrowed,
        last_id: str | None,
        receive: Receive,
        abort: Callable[[], None],
        replay: Asked | None = None,
    ) -> None:
        self._services, self._caller, self._filter = services, caller, filter_
        self._last_id, self._receive, self._abort = last_id, receive, abort
        self._replay = replay

    async def send(self, send: Send) -> None:
        """Stream until the client leaves, freezes, loses its session, or the server stops."""
        services = self._services
        await services.hub.join()
        writer = asyncio.create_task(self._write(send), name="stream")
        leaver = asyncio.create_task(self._left(), name="stream client")
        try:
            await asyncio.wait([writer, leaver], return_when=asyncio.FIRST_COMPLETED)
        finally:
            services.places.leave(self._caller)
            await stop_tasks(writer, leaver)
            await services.hub.leave()

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _write(self, send: Send) -> None:
        # The place in the feed comes before the headers: what a page reads once the stream is open, and
        # the stream itself, leave no gap between them.
        cursor, reset = await begin(self._services, self._filter, self._last_id)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # A comment at once, so that proxies pass the response on.
        await _send(send, b": hivelog\nretry: 2000\n\n")
        if reset and self._replay is None:
            await _send(send, _reset(cursor))
        try:
            if self._replay is None or await self._play(send, cursor, self._replay):
                await self._follow(send, cursor)
        except TimeoutError:
            self._abort()  # frozen: nothing more to say to it
            return
        await _send(send, b"event: bye\nretry: 1000\ndata: {}\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _play(self, send: Send, cursor: Cursor, replay: Asked) -> bool:
        """The past; whether the present is to follow, from where the cursor now is."""
        services = self._services
        player = Player(services, replay, self._filter.queues)
        spoke = checked = time.monotonic()
        while not services.stopping.is_set():
            played = await player.next()
            body = b"".join([frame.sse for frame in played.frames if self._filter.fits(frame)])
            body += b"".join([b"data: " + frame + b"\n\n" for frame in played.snapshots])
            now = time.monotonic()
            if not body and now - spoke >= HEARTBEAT:
                body = b"event: heartbeat\ndata: {}\n\n"
            if played.done is not None:
                body += b'event: %s\ndata: {"position":%d}\n\n' % (played.done.encode(), player.position)
            if body:
                await _send(send, body)
                spoke = now
            if played.done is not None:
                cursor.position = player.position
                return played.done == "live"
            if now - checked >= RECHECK:
                checked = now
                if not await still_welcome(services, self._caller):
                    return False
        return False

    async def _follow(self, send: Send, cursor: Cursor) -> None:
        services = self._services
        spoke = checked = time.monotonic()
        while not services.stopping.is_set():
            changed = services.hub.changed
            body = await self._next(cursor)
            now = time.monotonic()
            if not body and now - spoke >= HEARTBEAT:
                body = self._heartbeat(cursor)
            if body:
                await _send(send, body)
                spoke = now
                continue
            if now - checked >= RECHECK:
                if not await still_welcome(services, self._caller):
                    return
                checked = now
            await services.hub.wait(changed, min(1.0, HEARTBEAT))

    async def _next(self, cursor: Cursor) -> bytes:
        if cursor.is_reset:
            cursor.start_over()
            return _reset(cursor)
        body = b"".join([frame.sse for frame in await cursor.frames()])
        return body + b"".join([b"data: " + frame + b"\n\n" for frame in cursor.snapshots()])

    def _heartbeat(self, cursor: Cursor) -> bytes:
        """A narrowed stream may be silent for hours: its heartbeat carries how far it has read."""
        beat = b"event: heartbeat\ndata: {}\n\n"
        if self._filter.everything:
            return beat
        return b"id: %d-%d\n" % (cursor.epoch, cursor.position) + beat


def _reset(cursor: Cursor) -> bytes:
    return b"id: %d-%d\nevent: reset\ndata: {\"position\":%d}\n\n" % (
        cursor.epoch, cursor.position, cursor.position,
    )  # fmt: skip


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await send({"type": "http.response.body", "body": body, "more_body": True})
