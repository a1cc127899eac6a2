"""The simulation of a queue: against known answers, and its promises for random loads."""

from __future__ import annotations

import random

import pytest
from hivelog.replay import limits, recorded, waits
from hivelog.replay.limits import ANY, Session, WhatIf
from hivelog.replay.simulation import NEVER, Attempt, Step, Workload, simulate
from hivelog.replay.waits import Window, chart, figures, percentile
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def loads(draw: st.DrawFn) -> list[Attempt]:
    """Jobs of one or two attempts, some of which leave, or run already."""
    made: list[Attempt] = []
    for job in range(draw(st.integers(1, 12))):
        times = st.integers(0, 30)
        first = Attempt(job, draw(st.sampled_from([1, 5, 5, 9])), draw(times) - 5, draw(times))
        match draw(st.sampled_from(["plain", "plain", "retry", "leaves", "began"])):
            case "leaves":
                first.leaves = first.ready + draw(times)
            case "began":
                first.began = min(first.ready, -1)
        made.append(first)
        if draw(st.booleans()) and first.leaves == NEVER:
            made.append(Attempt(job, first.priority, NEVER, draw(times), len(made) - 1, draw(times)))
    return made


steps = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(
    lambda found: [Step(12 * n, capacity) for n, capacity in enumerate(found)]
)


@given(loads(), steps)
def test_order_limit_and_no_idling(load: list[Attempt], limit: list[Step]) -> None:
    """At every moment: no more start than may run, the first in order are those that do, and nobody who could
    run waits beside free room."""
    work = Workload.of(load)
    outcome = simulate(work, limit)
    for time in range(-5, 400):
        capacity = [0, *(step.capacity for step in limit if step.time <= time)][-1]
        begin = [n for n, start in enumerate(outcome.starts) if start == time and load[n].began == NEVER]
        running = sum(
            start != NEVER and start <= time < start + load[n].run for n, start in enumerate(outcome.starts)
        )
        waiting = [
            n for n, able in enumerate(outcome.ready)
            if able != NEVER and able <= time
            and (outcome.starts[n] == NEVER or outcome.starts[n] > time)
            and not (load[n].leaves != NEVER and load[n].leaves <= time)
        ]  # fmt: skip
        instant = sum(load[n].run == 0 for n in begin)
        assert not begin or running <= capacity
        assert not waiting or running >= capacity or (instant and capacity == 0), (time, waiting)
        if begin and waiting:
            order = lambda n: (-load[n].priority, load[n].job)  # noqa: E731
            assert max(map(order, begin)) < min(map(order, waiting))


@given(loads(), steps)
def test_what_follows_waits_for_its_delay(load: list[Attempt], limit: list[Step]) -> None:
    outcome = simulate(Workload.of(load), limit)
    for number, attempt in enumerate(load):
        before = attempt.follows
        if before != NEVER and outcome.starts[before] != NEVER:
            assert outcome.ready[number] == outcome.starts[before] + load[before].run + attempt.delay
        elif attempt.follows == NEVER and attempt.began == NEVER:
            assert outcome.ready[number] == attempt.ready
        assert outcome.starts[number] == NEVER or outcome.starts[number] >= max(outcome.ready[number], -5)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40)), min_size=1, max_size=200), st.integers(1, 4)
)
def test_equals_the_recursion_of_kiefer_and_wolfowitz(jobs: list[tuple[int, int]], servers: int) -> None:
    """First come, first served, on c servers: the next takes the server that is free first."""
    free = [0] * servers
    time, expected, load = 0, [], []
    for number, (gap, run) in enumerate(jobs):
        time += gap
        free.sort()
        begin = max(free[0], time)
        free[0] = begin + run
        expected.append(begin)
        load.append(Attempt(number, 100, time, run))
    assert simulate(Workload.of(load), [Step(0, servers)]).starts == expected


@pytest.mark.parametrize("utilisation", [0.5, 0.8])
def test_m_d_1_waits_as_the_formula_says(utilisation: float) -> None:
    """Poisson arrivals, constant runs, one server: the mean wait is rho * D / (2 * (1 - rho)) (Pollaczek and
    Khinchine), and rho of the arrivals wait at all."""
    drawn, run = random.Random(7), 1000
    time, load = 0.0, []
    for number in range(60_000):
        time += drawn.expovariate(utilisation / run)
        load.append(Attempt(number, 100, round(time), run))
    outcome = simulate(Workload.of(load), [Step(0, 1)])
    found = figures(outcome.ready, outcome.starts, [NEVER] * len(load), Window(0, round(time)))
    assert found.mean == pytest.approx(utilisation * run / (2 * (1 - utilisation)), rel=0.08)
    waited = sum(start > able for able, start in zip(outcome.ready, outcome.starts, strict=True))
    assert waited / len(load) == pytest.approx(utilisation, rel=0.03)
    # Little's law holds in any queue: depth = arrivals a millisecond * wait.
    assert found.mean_depth == pytest.approx(len(load) / time * found.mean, rel=0.01)


def test_a_pause_holds_back_and_what_runs_goes_on() -> None:
    load = [Attempt(0, 1, 0, 100), Attempt(1, 1, 10, 5)]
    outcome = simulate(Workload.of(load), [Step(0, 2), Step(5, 0), Step(50, 2)])
    assert outcome.starts == [0, 50]


def test_who_left_does_not_start() -> None:
    load = [Attempt(0, 1, 0, 100), Attempt(1, 1, 10, 5, leaves=60), Attempt(2, 1, 20, 5, leaves=200)]
    outcome = simulate(Workload.of(load), [Step(0, 1)])
    assert outcome.starts == [0, NEVER, 100]
    found = figures(outcome.ready, outcome.starts, [a.leaves for a in load], Window(0, 120))
    assert (found.started, found.unstarted, found.max_depth) == (2, 0, 2)


@given(st.lists(st.tuples(st.integers(-20, 130), st.integers(0, 60)), max_size=30))
def test_depths_are_those_of_every_moment(stays: list[tuple[int, int]]) -> None:
    ready = [able for able, _ in stays]
    starts = [able + wait for able, wait in stays]
    found = figures(ready, starts, [NEVER] * len(stays), Window(0, 120))
    depth = [sum(a <= t < s for a, s in zip(ready, starts, strict=True)) for t in range(120)]
    assert found.max_depth == max(depth)
    assert found.mean_depth == pytest.approx(sum(depth) / 120, abs=0.01)
    assert found.depth == pytest.approx([sum(depth[n : n + 2]) / 2 for n in range(0, 120, 2)], abs=0.001)


def test_percentiles_and_chart() -> None:
    assert [percentile(range(1, 101), p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([], 50) is None
    assert percentile([7], 1) == 7
    assert chart([0, 0.01, 4, 8], 8) == " ▁▄█"
    assert chart([0, 0], 0) == "  "


def test_limits_as_recorded_and_as_asked() -> None:
    changes = [
        ("queue_configured", -50, {"max_workers": 5}), ("paused", 100, None), ("scaled", 150, {"workers": 2}),
        ("resumed", 200, None), ("queue_configured", 300, {"max_workers": None}),
        ("scaled", 400, {"workers": 9, "max_workers": 7}),
    ]  # fmt: skip
    then = limits.recorded(changes, [Session(4, -10, None), Session(4, 20, 350)])
    as_it_was = limits.steps(then, WhatIf(), 0)
    assert as_it_was == [Step(0, 4), Step(20, 5), Step(100, 0), Step(200, 5), Step(300, 8), Step(350, 4)]
    other = limits.steps(then, WhatIf(workers=3, max_workers=None), 0)
    assert other == [Step(0, 12), Step(100, 0), Step(200, 12)]
    assert limits.steps(limits.recorded([], []), WhatIf(workers=1, slots=ANY), 0) == [Step(0, ANY)]
    assert waits.BUCKETS == 60


def test_rows_become_attempts() -> None:
    window = Window(0, 1000)
    builder = recorded.LoadBuilder(window)
    builder.add([
        (1, 100, -500, -400, -100, False, False),  # over before the window
        (1, 200, -50, -20, 30, True, False),  # runs when it begins, then a retry
        (2, 200, 90, 95, None, False, False),  # still runs
        (1, 100, 10, 40, None, False, False),  # given back
        (2, 100, 60, 70, 75, False, True),
        (1, 100, 20, None, 50, False, False),  # cancelled while it waited
        (1, 100, 999, None, None, False, False),  # waits
        (1, 100, 1000, 1001, 1002, False, False),  # after the window
    ])  # fmt: skip
    load = builder.load()
    assert [(a.job, a.ready, a.run, a.began) for a in load.attempts] == [
        (1, -50, 50, -20), (1, 90, 20, NEVER), (2, 10, 20, NEVER), (2, 60, 5, NEVER),
        (3, 20, 20, NEVER), (4, 999, 20, NEVER),
    ]  # fmt: skip
    assert [(a.follows, a.delay) for a in load.attempts if a.follows != NEVER] == [(0, 60), (2, 0)]
    assert load.leaves()[4] == 50
    assert load.assumed == 3
    assert load.starts[-1] == NEVER
