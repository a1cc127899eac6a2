"""A worker's session: opened, kept alive by heartbeats, and opened anew when it is over.

The answer to a heartbeat says what became of the worker's leases. In a new epoch of the log it is asked at
once, before any end of a job is written: what the log does not have is not this worker's any more, and a
token may name another lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ..events.appender import Appender
from ..events.batch import End, Outcome, Part
from ..events.errors import LogError
from .registry import Registry
from .running import Leases, Running
from .sessions import Held, Session, Sessions
from .source import Source
from .watchdog import Watchdog

_log = structlog.get_logger(__name__)

_FINAL_FLUSH = 10.0  # seconds that a stopping worker waits for its last append


class Pulse:
    """One worker's. `epoch`: that of the log up to which its leases were compared with it."""

    session: Session

    def __init__(
        self, appender: Appender, sessions: Sessions, source: Source, registry: Registry, leases: Leases,
        watchdog: Watchdog, *, name: str, slots: int, cancellable: Callable[[Running], bool],
    ) -> None:  # fmt: skip
        self._appender, self._sessions, self._source = appender, sessions, source
        self._registry, self._leases, self._watchdog = registry, leases, watchdog
        self._name, self._slots, self._cancellable = name, slots, cancellable
        self._queues: list[str] = []
        self._one = asyncio.Lock()
        self.epoch = 0

    async def open(self, queues: list[str]) -> None:
        """A session that serves these queues."""
        self._queues, self.epoch = queues, self._appender.log.epoch
        self.session = await self._sessions.register(
            self._name, queues, list(self._registry.handlers.values()), self._slots
        )
        await self._serve()
        _log.info("worker_started", name=self._name, queues=queues, slots=self._slots)

    async def _serve(self) -> None:
        await self._source.serve(self.session.id, self._queues, sorted(self._registry.handlers))

    async def close(self, why: str) -> None:
        try:
            async with asyncio.timeout(_FINAL_FLUSH):
                await self._sessions.leave(self.session, why)
        except (TimeoutError, LogError) as error:
            _log.warning("worker_left_unsaid", name=self._name, error=str(error))

    async def run(self, beaten: Callable[[], None]) -> None:
        """Beat until cancelled; `beaten` is called after each."""
        while True:
            await asyncio.sleep(self.session.heartbeat)
            try:
                async with self._one:
                    held = await self._beat()
                # A sick database must not breed duplicates: who cannot beat does not claim.
                self._source.paused = held is None
                beaten()
            except Exception:
                # A worker without a heartbeat is dead to the others: never let this task end.
                self._source.paused = True
                _log.exception("heartbeat_failed", name=self._name)

    async def follow(self) -> bool:
        """The log is in another epoch: let go of what is not ours in it. False: it cannot be asked, or lacks
        what we serve."""
        epoch, known = self._appender.log.epoch, self.session
        try:
            async with self._one:
                held = await self._beat()
                if held is None:
                    return False
                self._leases.drop_ends(held.lost)
                if self.session is known:
                    await self._serve()  # its queues and types may have other numbers now
                    self.epoch = epoch
        except (LogError, psycopg.Error, PoolTimeout, KeyError) as error:
            _log.error("epoch_not_followed", name=self._name, epoch=epoch, error=str(error))
            return False
        kept = {"session_kept": not held.gone, "leases_kept": len(self._leases.tokens())}
        _log.warning("epoch_followed", name=self._name, epoch=epoch, lost=len(held.lost), **kept)
        return True

    async def _beat(self) -> Held | None:
        busy = len(self._leases.running)
        held = await self._sessions.beat(self.session, self._leases.tokens(), busy, self._watchdog.blocked)
        if held is None:
            return None
        if held.gone:
            _log.error("session_declared_lost", name=self._name, jobs=busy)
            self._leases.drop(list(self._leases.running))
            self._leases.drop_ends(held.lost)
            await self.open(self._queues)
        else:
            self._obey(held)
        return held

    def _obey(self, held: Held) -> None:
        for token in held.cancel:
            if (running := self._leases.running.get(token)) is not None and not running.ctx.cancelled:
                running.ctx.cancelled = True
                if running.task is not None and self._cancellable(running):
                    running.task.cancel()
        self._leases.drop(held.lost)
        if held.unlisted:
            self._give_back(held.unlisted)

    def _give_back(self, unlisted: list[tuple[bytes, int]]) -> None:
        """Leases whose start we were never told. The answer may still be on its way (it was lost, and the
        log is asked for it first): then the job must not run here too."""
        known = self._leases.tokens()
        ends = [End(job, token, "released") for job, token in unlisted if token not in known]
        if not ends:
            return
        tokens = {end.token for end in ends}
        self._leases.disowned |= tokens
        future = self._appender.post(Part(ends=ends, patient=True))
        future.add_done_callback(lambda done: self._given_back(done, tokens))

    def _given_back(self, done: asyncio.Future[Outcome], tokens: set[int]) -> None:
        self._leases.disowned -= tokens
        if (error := done.exception()) is not None:
            # The next beat tells of them again.
            _log.warning("leases_not_given_back", name=self._name, error=str(error))
