"""Follows the log with every projection, for as long as the process lives.

    runner = Runner(url)
    await runner.start()
    appender_listeners.append(lambda appended: runner.wake())
    await runner.wait_for(position, timeout=5)

Any number of processes may run one: checkpoints move by compare-and-set, and a runner that finds itself
overtaken only looks once a second until the leader stops. A projection whose batch fails stops alone: the
others go on, its error and its lag show in `status`, and it tries again by and by.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import psycopg
import structlog
from msgspec import Struct

from ..events.pool import Connection
from ..events.read import head
from ..stopping import stop_tasks
from . import checkpoint
from .checkpoint import Step
from .definitions import PROJECTIONS
from .lane import Follower, Lane

_log = structlog.get_logger(__name__)

POLL = 1.0  # seconds; while events come, or a projection has something to catch up, there is a turn so often
_ALL_QUIET = 5.0  # else so often
# A job whose events come in one batch is written once. So folding waits for a pause in the log, told by two
# looks at its head, but no longer than a poll; while nothing happens it looks less often.
_PAUSE = 0.015
_IDLE = 0.25
_LONGEST_PAUSE = 60.0  # between tries of a projection that fails
_LOOK = 0.05  # how often a waiter looks for another process's progress
# After a round comes a rest of so many times its length, unless somebody waits: few events cost as much as
# many. Beside an old snapshot, where each round leaves dead versions of its rows for the next ones to pass,
# the projections so fall behind by parts of a second, instead of keeping a processor busy. By a rest after so
# many positions nothing would be saved.
_REST = 5
_WORTH = 5_000

# The database is away, busy or changing under us: none of these is the projection's fault.
_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UndefinedTable,  # a generation was swapped or dropped between two statements
    OSError,
)


class Lag(Struct, frozen=True):
    """How far a live projection is. `behind` in positions; `error` says why it stands, if it does."""

    name: str
    generation: int
    position: int
    head: int
    behind: int
    updated_at: int
    error: str | None


class Runner:
    """The projections of one process. `position`: up to where all live ones have folded, as known here."""

    def __init__(self, url: str, *, batch: int = checkpoint.BATCH) -> None:
        self._batch = batch
        self._followers = [Follower(projection) for projection in PROJECTIONS]
        # The first costs as much as the others together.
        self._lanes = [Lane(url, self._followers[:1]), Lane(url, self._followers[1:])]
        self._busy = asyncio.Lock()
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.position = 0
        self._head = 0  # of the log, as known here

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="projections")

    async def stop(self) -> None:
        """Ends at once; a batch under way is rolled back and folded again by whoever is next."""
        await stop_tasks(self._task)
        await self._disconnect()

    def wake(self) -> None:
        """There may be something new in the log."""
        self._woken.set()

    async def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until every live projection has folded `position`; False when the time is over."""
        deadline = time.monotonic() + timeout
        while self.position < position:
            self._hurried.set()
            self.wake()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            async with self._moved:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _LOOK)):
                        await self._moved.wait()
            if self.position < position:
                await self._look()
        return True

    async def status(self) -> list[Lag]:
        """Each live projection and its lag. Raises psycopg.OperationalError."""
        async with self._busy:
            connection = await self._connected()
            now = (await head(connection)).position
            rows = await checkpoint.checkpoints(connection)
        return [
            Lag(c.name, c.generation, c.position, now, max(now - c.position, 0), c.updated_at, c.error)
            for c in rows
            if c.live
        ]

    async def catch_up(self) -> int:
        """Fold all there is now, once; answers the position reached. For commands and tests."""
        await self._turn()
        return self.position

    async def _run(self) -> None:
        while True:
            rest = POLL
            try:
                await self._wait_for_news()
                self._hurried.clear()
                rest = await self._turn()
            except _PASSING as error:
                _log.warning("projections_interrupted", error=str(error))
                await self._disconnect()
                self.position = 0  # when it is back, the log may have lost its tail
                await asyncio.sleep(POLL)
            await _either(self._hurried, rest)

    async def _wait_for_news(self) -> None:
        """Until the log has grown and pauses, or grows all the time, or somebody waits, or a turn is due."""
        settled = all(f.settled and f.reached(self._head) for f in self._followers)
        deadline = time.monotonic() + (_ALL_QUIET if settled else POLL)
        folded = before = self._head
        while not self._hurried.is_set() and time.monotonic() < deadline:
            await self._look_at_head()
            if self._head == before != folded:
                return
            if before == folded != self._head:
                deadline = time.monotonic() + POLL
            before = self._head
            self._woken.clear()
            await _either(*((self._woken, _IDLE) if before == folded else (self._hurried, _PAUSE)))

    async def _look_at_head(self) -> None:
        async with self._busy:
            self._head = (await head(await self._connected())).position

    async def _turn(self) -> float:
        """Rounds of a batch each, so that no projection waits for another's backlog, up to where the log
        is now. Answers how long to rest for the last one that found something, in seconds."""
        rest = 0.0
        async with self._busy:
            connection = await self._connected()
            now = (await head(connection)).position
            await self._locate(connection)
            while (folded := await self._round()) is not None:
                took, positions = folded
                rest = min(POLL, _REST * took * max(0.0, 1 - positions / _WORTH))
                if all(f.waits() or f.reached(now) for f in self._followers):
                    break
            self._head = now
        return rest

    async def _round(self) -> tuple[float, int] | None:
        """A batch of each. Answers how long it took and the largest batch; None when there was nothing."""
        began = time.monotonic()
        # All lanes end before one's failure is told: none is left at work on a connection that is closed.
        ended = await asyncio.gather(*(self._fold(lane) for lane in self._lanes), return_exceptions=True)
        await self._publish()
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        most = max(positions for positions in ended if not isinstance(positions, BaseException))
        return (time.monotonic() - began, most) if most else None

    async def _fold(self, lane: Lane) -> int:
        """A batch of each of its projections; answers how many positions the largest had."""
        connection, most = await lane.connected(), 0
        for follower in lane.followers:
            if not follower.waits():
                assert follower.at is not None
                before = follower.at.position
                if await self._step(connection, follower):
                    most = max(most, follower.at.position - before)
        return most

    async def _step(self, connection: Connection, follower: Follower) -> bool:
        """One batch of one projection. True when there may be more at once."""
        assert follower.at is not None
        limit = self._batch if follower.pause == 0 else 1  # come as close to the bad event as can be
        try:
            step = await checkpoint.advance(connection, follower.projection, follower.at, limit)
        except _PASSING:
            raise
        except Exception as error:
            await self._failed(connection, follower, f"{type(error).__name__}: {error}".splitlines()[0])
            return False
        if step is Step.OVERTAKEN:
            follower.rest(POLL)
        elif step is Step.AHEAD:
            await self._failed(connection, follower, "is ahead of the log: rebuild it")
        elif step is Step.MOVED:
            follower.pause = 0.0
        elif follower.at.filling:
            await checkpoint.filled(connection, follower.at)
        return step is Step.MOVED

    async def _failed(self, connection: Connection, follower: Follower, why: str) -> None:
        assert follower.at is not None
        follower.pause = min(max(follower.pause * 2, POLL), _LONGEST_PAUSE)
        follower.rest(follower.pause)
        _log.error("projection_stopped", name=follower.at.name, after=follower.at.position, error=why)
        await checkpoint.note(connection, follower.at, why)

    async def _locate(self, connection: Connection) -> None:
        """Read the live checkpoints again: another runner or a rebuild may have moved them."""
        live = {c.name: c for c in await checkpoint.checkpoints(connection) if c.live}
        for follower in self._followers:
            follower.at = live[follower.projection.name]

    async def _look(self) -> None:
        with contextlib.suppress(*_PASSING):
            async with self._busy:
                connection = await self._connected()
                rows = await checkpoint.checkpoints(connection)
                waited_for = (c.position for c in rows if c.live and not c.filling)
                self.position = max(self.position, min(waited_for, default=0))

    async def _publish(self) -> None:
        positions = [f.at.position for f in self._followers if f.at is not None and not f.at.filling]
        self.position = min(positions, default=self.position)
        async with self._moved:
            self._moved.notify_all()

    async def _connected(self) -> Connection:
        return await self._lanes[0].connected()

    async def _disconnect(self) -> None:
        for lane in self._lanes:
            await lane.disconnect()


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for it, but no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
