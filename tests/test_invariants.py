"""The real system against the model, with crashes, lost answers and an untrustworthy Redis in between.

Two processes (an `Engine` each, one behind a proxy that loses answers) on one database and one Redis, and
simulated workers on them. After every step the log is read on and the model refuses what may not happen; then
live tables, marks and the folds of all touched streams must agree with it. `settle` lets Redis catch up and
compares that too. At the end the faults stop, workers run, and every acknowledged job must have ended.

HIVELOG_INVARIANTS=<examples> makes a long, random run; without it the run is short and always the same.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from simulated_clock import Clock

from .conftest import Servers, new_database
from .invariant_faults import Faults
from .invariant_world import QUEUES, STEP

LONG = int(os.environ.get("HIVELOG_INVARIANTS", "0"))
# Shrinking takes minutes: only where somebody asked for a long run.
PHASES = [phase for phase in Phase if phase is not Phase.shrink or LONG]


@pytest.fixture(scope="module")
def prepared(servers: Servers, template: str) -> Any:
    """A database with a clock that can be moved and the queues of the test: what each example copies."""
    with new_database(servers, template) as url:
        Clock(url).install()
        yield urlsplit(url).path.removeprefix("/")


class Machine(Faults):
    """All rules, and how a run ends."""

    def teardown(self) -> None:
        try:
            self.run_to_the_end()
        finally:
            self.proxy._swallow = False
            self.run(self.stack.aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.adversary.close()
            self.closing.close()

    def run_to_the_end(self) -> None:
        """Faults stop, workers run: every acknowledged job ends, and Redis is empty."""
        self.proxy._swallow = False
        self.run(self._settle())
        for name in QUEUES:
            self.run(self.engines[0].queues.resume(name, actor="test"))
        self.run(self._hire(0))
        self.run(self._hire(1))
        for _ in range(60):
            self.read_on()
            if not self.model.of("pending", "queued", "processing"):
                break
            for worker in list(self.workers):
                self._beat(worker)
            self.run(self.scheduler.tick())
            self.run(self.reaper.tick())
            for worker in self.workers:
                ends = [worker.end(token, "completed") for token in sorted(worker.held)]
                worker.held.clear()
                self.run(worker.claim(4, ends=ends))
            self.clock.advance(STEP)
        self.log_tables_marks_and_folds_agree()
        left = self.model.of("pending", "queued", "processing")
        assert left == [], "every job ends when faults stop and workers run"
        self.run(self._settle())
        assert self.adversary.ready() == {}


def test_the_system_is_what_the_model_says(servers: Servers, prepared: str, redis_url: str) -> None:
    Machine.servers, Machine.prepared, Machine.redis_url = servers, prepared, redis_url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=LONG or 40,
            stateful_step_count=80 if LONG else 40,
            deadline=None,
            derandomize=not LONG,
            database=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
