"""A worker without a clock of its own: claims and ends happen when the test says so.

It uses the real `Source`, sessions and endings; only the tasks that drive them are missing. Crashing it is
forgetting it; freezing it is not calling it for a while.
"""

from __future__ import annotations

import msgspec
from hivelog.broker.attempt import Ending, Failure, Success
from hivelog.broker.endings import end_of, key_of, released
from hivelog.broker.engine import Engine
from hivelog.broker.sessions import Session
from hivelog.broker.source import Source
from hivelog.events import ids
from hivelog.events.batch import End, Move, Outcome, Part, Started

ENDINGS: dict[str, Ending | None] = {
    "completed": Success(b'{"ok":true}'),
    "nothing": Success(None),
    "error": Failure("error", "ValueError", "no luck", "Traceback: no luck"),
    "payload": Failure("payload", "ValidationError", "not that", "not that"),
    "timeout": Failure("timeout", "TimeoutError", "timed out", "timed out"),
    "released": None,
}


class SimulatedWorker:
    """Holds leases by token, as the real one does."""

    def __init__(self, engine: Engine, session: Session, source: Source) -> None:
        self.engine, self.session, self.source = engine, session, source
        self.held: dict[int, Started] = {}
        self.cancelling: set[int] = set()
        self.now = 0

    @classmethod
    async def open(
        cls, engine: Engine, queues: list[str], types: list[str], slots: int = 4
    ) -> SimulatedWorker:
        session = await engine.sessions.open("simulated", queues, types, slots, host="here", pid=1)
        source = Source(engine.claims, engine.feeder, engine.names)
        await source.serve(session.id, queues, types)
        return cls(engine, session, source)

    async def claim(self, limit: int, *, ends: list[End] | None = None) -> tuple[Part, Outcome] | None:
        """One turn of the real worker: what it submitted and what came back. None: nothing to ask for."""
        self.source._resting.clear()
        part = await self.source.take(limit) or Part()
        part.ends, part.patient = ends or [], True
        if not part.rows():
            return None
        outcome = await self.engine.appender.submit(part)
        self.now = outcome.recorded_at
        self.source.answered(part, outcome)
        for job in outcome.started:
            self.held[job.token] = job
        return part, outcome

    def end(self, token: int, how: str) -> End:
        """The end of a lease that it holds, or held."""
        job, cancelling = self.held[token], token in self.cancelling
        if (ending := ENDINGS[how]) is None:
            return released(job, "shutdown", cancelling=cancelling, now=self.now)
        key = key_of(self.engine.vault, job)
        return end_of(job, key, ending, cancelling=cancelling, now=self.now)

    def progress(self, token: int, percent: int) -> Move:
        data = b'{"percent": %d}' % percent
        job = ids.to_text(self.held[token].job)
        move = Move(job, "progressed", "lease", "lease", 0, self.session.id, token=token)
        move.data = msgspec.Raw(data)
        return move

    async def beat(self) -> bool:
        """Heartbeat; False if the session is over."""
        held = await self.engine.sessions.heartbeat(self.session.session, list(self.held))
        self.cancelling |= set(held.cancel)
        for token in held.lost:
            self.held.pop(token, None)
        if held.unlisted:
            await self.engine.sessions.release(self.session, held)
        return not held.gone
