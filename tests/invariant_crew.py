"""Rules: time passes, leaders do their duties, workers come, crash, freeze and go."""

from __future__ import annotations

import asyncio
import contextlib

from hivelog.events.batch import Part
from hivelog.events.errors import DatabaseUnavailable
from hypothesis import strategies as st
from hypothesis.stateful import rule

from .invariant_work import Work
from .invariant_world import ENDS, STEP
from .queue_model import DEAD_AFTER
from .simulated_worker import SimulatedWorker


class Crew(Work):
    """Who works, and for how long the others believe it."""

    # -- time and leaders --------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 1, STEP]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run(self.reaper.tick())

    @rule()
    def scheduler_looks(self) -> None:
        self.run(self.scheduler.tick())
        self.read_on()
        late = [j.id for j in self.model.of("pending") if (j.due or 0) <= self.model.now]
        assert late == [] or self.model.now >= self._now() - 5

    @rule(nth=st.integers(0, 60))
    def beat(self, nth: int) -> None:
        if not self.workers:
            return
        self._beat(self.workers[nth % len(self.workers)])

    def _beat(self, worker: SimulatedWorker) -> None:
        known = worker.session.id in self.model.beats
        alive = self.run(worker.beat())
        assert alive == known, "a session is over exactly when the log says so"
        if alive:
            self.model.beats[worker.session.id] = self._now()
        else:
            self.workers.remove(worker)

    @rule()
    def long_silence(self) -> None:
        """More than dead-after, in steps that the reaper observes; the living go on beating."""
        for _ in range(int(DEAD_AFTER / 1000 / STEP) + 3):
            self.clock.advance(STEP)
            for worker in list(self.workers):
                self._beat(worker)
            self.run(self.reaper.tick())
            self.read_on()

    # -- workers come and go -----------------------------------------------------------------------------

    @rule(engine=st.integers(0, 1))
    def hire(self, engine: int) -> None:
        if len(self.workers) >= 3:
            return
        with contextlib.suppress(DatabaseUnavailable):
            self.run(self._hire(engine))

    @rule(nth=st.integers(0, 60))
    def crash(self, nth: int) -> None:
        if not self.workers:
            return
        self.workers.remove(self.workers[nth % len(self.workers)])

    @rule(nth=st.integers(0, 60), limit=st.integers(1, 3))
    def crash_after_the_pop(self, nth: int, limit: int) -> None:
        """Popped from Redis, never appended."""
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self.run(worker.source.take(limit))
        self.workers.remove(worker)

    @rule(nth=st.integers(0, 60), limit=st.integers(1, 3), crash=st.booleans())
    def claim_ahead(self, nth: int, limit: int, crash: bool) -> None:
        """Popped for a turn that does not come: given back, or the worker dies with it."""
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self.run(self._claim_ahead(worker, limit, crash))
        if crash:
            self.workers.remove(worker)

    async def _claim_ahead(self, worker: SimulatedWorker, limit: int, crash: bool) -> None:
        worker.source.take_ahead(limit)
        if crash:
            await asyncio.sleep(0)
            worker.source.forget_ahead()
        else:
            await worker.source.let_go()

    @rule(nth=st.integers(0, 60))
    def freeze(self, nth: int) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self.workers.remove(worker)
        self.frozen.append(worker)

    @rule(hows=ENDS)
    def thaw(self, hows: list[str]) -> None:
        """It goes on where it was: first with what it holds, which may long be somebody else's."""
        if not self.frozen:
            return
        worker = self.frozen.pop()
        self.workers.append(worker)
        self._end(worker, hows)

    @rule(nth=st.integers(0, 60))
    def leave(self, nth: int) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        ends = [worker.end(token, "released") for token in sorted(worker.held)]
        if ends:
            self.run(worker.engine.appender.submit(Part(ends=ends, patient=True)))
        self.workers.remove(worker)
        with contextlib.suppress(DatabaseUnavailable):
            self.run(worker.engine.sessions.leave(worker.session, "stopped"))
