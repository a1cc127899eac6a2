"""How many worker processes a queue should have: the decision, in simulated time."""

from __future__ import annotations

from collections.abc import Callable

from hivelog.broker.supervisor_scaling import (
    DOWN_PAUSE,
    QUIET,
    UP_PAUSE,
    Load,
    Pace,
    ceiling,
    decide,
    observe,
)
from hivelog.events.queue import DEFAULT_QUEUES, Scaling
from hypothesis import given
from hypothesis import strategies as st

REPORTS = DEFAULT_QUEUES["reports"].scaling  # 2 to 5, more than 10 waiting


class Simulated:
    """A queue that is looked at once a second; the number becomes what is decided, as the log has it."""

    def __init__(self, scaling: Scaling, workers: int | None = None) -> None:
        self.scaling, self.workers, self.now = scaling, workers, 1000.0
        self.pace = Pace()
        self.changes: list[tuple[float, int, str]] = []

    def look(self, load: Load) -> None:
        self.pace = observe(self.pace, self.workers, load, self.now)
        change = decide(self.scaling, load, self.pace, self.now)
        if change is not None:
            assert change.workers != self.workers
            self.workers = change.workers
            self.changes.append((self.now, change.workers, change.reason))
        self.now += 1

    def run(self, seconds: int, load: Load | Callable[[int], Load]) -> list[int]:
        """The numbers that it went to meanwhile."""
        before = len(self.changes)
        for second in range(seconds):
            self.look(load if isinstance(load, Load) else load(second))
        return [workers for _, workers, _ in self.changes[before:]]


def test_begins_with_the_minimum_and_says_so() -> None:
    queue = Simulated(REPORTS)
    assert queue.run(100, Load(ready=0, idle=2)) == [2]
    assert queue.changes[0][2] == "the queue's minimum"


def test_goes_up_by_one_above_the_threshold_to_the_maximum_and_down_when_it_was_quiet() -> None:
    queue = Simulated(REPORTS, 2)
    assert queue.run(10, Load(ready=10)) == []
    assert queue.run(60, Load(ready=11)) == [3, 4, 5]
    assert queue.changes[0][2] == "11 jobs wait, more than 10"
    pauses = [after[0] - before[0] for before, after in zip(queue.changes, queue.changes[1:], strict=False)]
    assert min(pauses) >= UP_PAUSE
    assert queue.run(round(QUIET) - 1, Load(ready=0, idle=5)) == []
    assert queue.run(round(3 * DOWN_PAUSE) + 60, Load(ready=0, idle=5)) == [4, 3, 2]
    assert queue.changes[-1][2] == "nothing has waited for 60 s"


def test_a_job_that_waits_too_long_asks_for_one_more() -> None:
    queue = Simulated(Scaling(1, 3, 1000, 30), 1)
    assert queue.run(20, Load(ready=1, waiting=30)) == []
    assert queue.run(3, Load(ready=1, waiting=31)) == [2]
    assert queue.changes[0][2] == "a job has waited for 31 s, longer than 30 s"
    assert Simulated(Scaling(1, 3, 1000), 1).run(9, Load(ready=1, waiting=61)) == [2, 3]  # 60 s unless set


def test_a_load_that_comes_and_goes_does_not_make_it_flap() -> None:
    queue = Simulated(REPORTS, 2)
    wave = queue.run(3600, lambda second: Load(ready=40 if second % 50 < 10 else 0, idle=1))
    assert wave == [3, 4, 5]  # it never was quiet for long enough


def test_a_worker_at_work_is_not_stopped() -> None:
    queue = Simulated(REPORTS, 5)
    assert queue.run(600, Load(ready=0, idle=0)) == []
    assert queue.run(1, Load(ready=0, idle=1)) == [4]


def test_a_paused_queue_is_left_as_it_is() -> None:
    queue = Simulated(REPORTS, 3)
    assert queue.run(600, Load(ready=5000, waiting=900, paused=True, idle=3)) == []
    assert queue.run(600, Load(ready=0, paused=True, idle=3)) == []


def test_never_more_processes_than_max_workers_lets_run() -> None:
    assert Simulated(REPORTS, 2).run(600, Load(ready=500, max_workers=3)) == [3]
    assert Simulated(REPORTS, 2).run(600, Load(ready=500, max_workers=8, slots=2)) == [3, 4]
    assert Simulated(REPORTS, 2).run(600, Load(ready=500, max_workers=1)) == []  # the minimum stays


def test_new_bounds_take_effect_at_once() -> None:
    queue = Simulated(REPORTS, 5)
    queue.scaling = Scaling(1, 3, 10)
    assert queue.run(2, Load(ready=500)) == [3]
    queue.scaling = Scaling(4, 6, 10)
    assert queue.run(1, Load(ready=0)) == [4]


@st.composite
def scalings(draw: st.DrawFn) -> Scaling:
    low = draw(st.integers(0, 6))
    return Scaling(low, draw(st.integers(max(1, low), 10)), draw(st.integers(1, 50)), draw(st.integers(1, 120)))


LOADS = st.builds(
    Load,
    ready=st.integers(0, 100), waiting=st.floats(0, 300), idle=st.integers(0, 3), paused=st.booleans(),
    max_workers=st.none() | st.integers(1, 12), slots=st.integers(1, 4),
)  # fmt: skip


@given(scalings(), st.none() | st.integers(0, 12), st.lists(st.tuples(LOADS, st.integers(1, 90)), max_size=12))
def test_whatever_the_load_the_rules_hold(
    scaling: Scaling, workers: int | None, phases: list[tuple[Load, int]]
) -> None:
    queue = Simulated(scaling, workers)
    bounded, changed_at = False, None
    for load, seconds in phases:
        for _ in range(seconds):
            before, at = queue.workers, queue.now
            queue.look(load)
            if bounded and queue.workers != before:
                assert before is not None
                assert queue.workers is not None
                step = queue.workers - before
                assert abs(step) == 1
                # Who has just begun to look knows of no change, and need not wait.
                assert changed_at is None or at - changed_at >= (UP_PAUSE if step > 0 else DOWN_PAUSE)
                assert not load.paused
                if step > 0:
                    assert load.ready > scaling.threshold or load.waiting > scaling.longest_wait
                    assert queue.workers <= ceiling(scaling, load)
                else:
                    assert load.ready == 0
                    assert load.idle
            if queue.workers != before:
                changed_at = at
            bounded = True  # the first look brings the number between minimum and maximum
            assert queue.workers is not None
            assert scaling.min <= queue.workers <= scaling.max


@given(scalings())
def test_pressure_reaches_the_maximum_and_quiet_the_minimum(scaling: Scaling) -> None:
    queue = Simulated(scaling)
    queue.run(200, Load(ready=10_000))
    assert queue.workers == scaling.max
    queue.run(400, Load(ready=0, idle=1))
    assert queue.workers == scaling.min
