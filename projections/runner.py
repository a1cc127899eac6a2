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
from .checkpoint import Checkpoint, Step
from .definitions import PROJECTIONS, Projection

_log = structlog.get_logger(__name__)

POLL = 1.0  # seconds; a lost wake costs no more
_LONGEST_PAUSE = 60.0  # between tries of a projection that fails
_LOOK = 0.05  # how often a waiter looks for another process's progress
# After a round comes a rest of so many times its length, unless somebody waits: few events cost as much as
# many. Beside an old snapshot, where each round leaves dead versions of its rows for the next ones to pass,
# the projections so fall behind by parts of a second, instead of keeping a processor busy.
_REST = 5

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


class _Follower:
    """One projection's way along the log in this process."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.at: Checkpoint | None = None
        self.pause = 0.0
        self.not_before = 0.0

    def waits(self) -> bool:
        return time.monotonic() < self.not_before

    def rest(self, seconds: float) -> None:
        self.not_before = time.monotonic() + seconds


class Runner:
    """The projections of one process. `position`: up to where all live ones have folded, as known here."""

    def __init__(self, url: str, *, batch: int = checkpoint.BATCH) -> None:
        self._url = url
        self._batch = batch
        self._followers = [_Follower(projection) for projection in PROJECTIONS]
        self._connection: Connection | None = None
        self._busy = asyncio.Lock()
        self._woken = asyncio.Event()
        self._hurried = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.position = 0

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
        self.wake()
        while self.position < position:
            self._hurried.set()
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
                rest = min(POLL, _REST * await self._turn())
            except _PASSING as error:
                _log.warning("projections_interrupted", error=str(error))
                await self._disconnect()
                self.position = 0  # when it is back, the log may have lost its tail
                await asyncio.sleep(POLL)
            await _either(self._hurried, rest)
            await _either(self._woken, POLL - rest)
            self._woken.clear()
            self._hurried.clear()

    async def _turn(self) -> float:
        """Rounds of a batch each, so that no projection waits for another's backlog. Answers how long the
        last one that found something took, in seconds."""
        took = 0.0
        async with self._busy:
            connection = await self._connected()
            await self._locate(connection)
            more = True
            while more:
                more, began = False, time.monotonic()
                for follower in self._followers:
                    if not follower.waits():
                        more |= await self._step(connection, follower)
                await self._publish()
                if more:
                    took = time.monotonic() - began
        return took

    async def _step(self, connection: Connection, follower: _Follower) -> bool:
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

    async def _failed(self, connection: Connection, follower: _Follower, why: str) -> None:
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
        if self._connection is None or self._connection.closed:
            self._connection = await checkpoint.connect(self._url)
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for it, but no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
