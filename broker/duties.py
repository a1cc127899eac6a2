"""What a `serve` process does besides answering: each duty under its own leadership lease.

    duties = Duties(leadership, {"scheduler": scheduler.run, "outbox": every(1.0, relay)})
    await duties.start(); ...; await duties.stop()

A duty that crashes is started again, later each time; one whose lease went to another process is stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import psycopg
import structlog
from msgspec import Struct
from psycopg_pool import PoolTimeout

from ..events import partitions
from ..events.errors import LogError
from ..stopping import stop_tasks
from .backend import Backend
from .leadership import RENEW, Leadership
from .marks import Marks
from .reaper import Reaper
from .scheduler import Scheduler

_log = structlog.get_logger(__name__)

Duty = Callable[[], Awaitable[None]]

_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_PARTITIONS_EVERY: Final = 30.0
ACTIONS_EVERY: Final = 15.0
_BULKS_EVERY: Final = 5.0


def every(seconds: float, work: Callable[[], Awaitable[Any]]) -> Duty:
    """A duty that calls `work` again and again, `seconds` after it returned."""

    async def run() -> None:
        while True:
            await work()
            await asyncio.sleep(seconds)

    return run


def standard(backend: Backend, *, grace: float = 30.0) -> dict[str, Duty]:
    """The duties of the broker itself; relay, Redis and projections bring their own."""
    scheduler = Scheduler(backend.appender, backend.names, backend.pool)
    backend.appender.listeners.append(scheduler.appended)
    reaper = Reaper(
        backend.appender, backend.names, backend.pool, grace=grace, configuration=backend.configuration
    )

    async def partitions_ahead() -> None:
        async with backend.pool.connection() as connection:
            await partitions.ensure(connection)

    return {
        "scheduler": scheduler.run,
        "reaper": reaper.run,
        "marks": Marks(backend.pool).run,
        "partitions": every(_PARTITIONS_EVERY, partitions_ahead),
        "actions": every(ACTIONS_EVERY, backend.drains.resume_unfinished),
        "bulks": every(_BULKS_EVERY, backend.enqueuer.bulks.finish_abandoned),
    }


class _State(Struct):
    term: int = 0
    task: asyncio.Task[None] | None = None
    crashes: int = 0
    restart_at: float = 0.0  # monotonic


class DutyStatus(Struct, frozen=True):
    """For /health: whether this process has the duty, under which term, and its crashes since."""

    held: bool
    term: int
    crashes: int


class Duties:
    """Claims, runs, restarts and gives up duties."""

    def __init__(
        self, leadership: Leadership, duties: Mapping[str, Duty], *, renew: float = RENEW
    ) -> None:
        self._leadership = leadership
        self._duties = dict(duties)
        self._renew = renew
        self._states: dict[str, _State] = {name: _State() for name in duties}
        self._sure_until = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="duties")

    async def stop(self) -> None:
        """Stop every duty and let other processes have them at once."""
        await stop_tasks(self._task)
        held = [name for name, state in self._states.items() if state.task is not None]
        await self._cancel(held)
        try:
            await self._leadership.release(held)
        except (psycopg.Error, PoolTimeout) as error:
            _log.warning("leases_not_released", error=str(error))

    def status(self) -> dict[str, DutyStatus]:
        return {
            name: DutyStatus(state.task is not None, state.term, state.crashes)
            for name, state in self._states.items()
        }

    async def _run(self) -> None:
        while True:
            try:
                await self.tick()
            except Exception:
                # Without this loop the process would lead no more, and nobody would know.
                _log.exception("duties_failed")
            await asyncio.sleep(self._renew)

    async def tick(self) -> None:
        """Renew or claim all leases, then start, restart and stop accordingly."""
        asked_at = time.monotonic()
        try:
            terms = await self._leadership.claim(self._duties)
        except (psycopg.Error, PoolTimeout) as error:
            _log.warning("leadership_unknown", error=str(error))
            if time.monotonic() > self._sure_until:
                await self._cancel(list(self._states))
            return
        # Counted from before the question: the lease cannot have begun earlier.
        self._sure_until = asked_at + self._leadership.lease
        await self._cancel([name for name in self._states if name not in terms])
        if new := {name: term for name, term in terms.items() if self._states[name].term != term}:
            _log.info("duties_taken", duties=list(new), terms=sorted(set(new.values())))
        for name, term in terms.items():
            self._keep(name, term)

    def _keep(self, name: str, term: int) -> None:
        state = self._states[name]
        if state.term != term:
            state.term, state.crashes, state.restart_at = term, 0, 0.0
        if state.task is not None and state.task.done():
            self._crashed(name, state, state.task)
            state.task = None
        if state.task is None and time.monotonic() >= state.restart_at:
            state.task = asyncio.create_task(self._guard(name), name=f"duty {name}")

    async def _guard(self, name: str) -> None:
        await self._duties[name]()

    def _crashed(self, name: str, state: _State, task: asyncio.Task[None]) -> None:
        delay = _BACKOFF[min(state.crashes, len(_BACKOFF) - 1)]
        state.crashes += 1
        state.restart_at = time.monotonic() + delay
        error = None if task.cancelled() else task.exception()
        if isinstance(error, (LogError, psycopg.Error, PoolTimeout)):
            _log.warning("duty_interrupted", duty=name, again_in=delay, error=str(error))
        else:
            _log.error("duty_crashed", duty=name, again_in=delay, exc_info=error)

    async def _cancel(self, names: list[str]) -> None:
        running = {name: task for name in names if (task := self._states[name].task) is not None}
        if running:
            _log.info("duties_given_up", duties=list(running))
        await stop_tasks(*running.values())
        for name, task in running.items():
            if task.done():  # otherwise it is told again at the next tick
                self._states[name].task = None
