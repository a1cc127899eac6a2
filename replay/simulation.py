"""A queue in simulated time: who would have started when, under other limits. Pure.

    work = Workload.of([Attempt(job=0, priority=100, ready=0, run=500), ...])
    simulate(work, [Step(0, 3)]).starts

The rules are those of a claim: higher priority first, then the older job; nobody waits while there is room.
Times are whole milliseconds since any origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final, Self

from msgspec import Struct

NEVER: Final = -(1 << 62)  # no time, and no attempt: times before the origin are negative


class Attempt(Struct, gc=False):
    """One wait and one run. `job` counts jobs in the order of their ids; `follows`: the attempt before, after
    whose end by `delay` this one is able to run, so that `ready` tells only what was recorded. `leaves`: when
    it stops waiting if it has not started. `began`: it runs already when the simulation begins."""

    job: int
    priority: int
    ready: int
    run: int
    follows: int = NEVER
    delay: int = 0
    leaves: int = NEVER
    began: int = NEVER


class Step(Struct, frozen=True):
    """From this time on, so many may run at once. Those that run when it falls run on."""

    time: int
    capacity: int


class Workload(Struct):
    """Attempts as columns: a million objects would be slow to walk through."""

    turns: list[int]  # order among the waiting: lower first
    ready: list[int]
    runs: list[int]
    next: list[int]
    delays: list[int]
    leaves: list[int]
    began: list[int]
    arrivals: list[int]  # attempts that follow none and do not run yet, by the time they are ready
    jobs: int

    @classmethod
    def of(cls, attempts: Sequence[Attempt]) -> Self:
        jobs = max((attempt.job for attempt in attempts), default=0) + 1
        top = max((attempt.priority for attempt in attempts), default=0)
        following = [NEVER] * len(attempts)
        delays = [0] * len(attempts)
        for number, attempt in enumerate(attempts):
            if attempt.follows != NEVER:
                following[attempt.follows], delays[attempt.follows] = number, attempt.delay
        arrivals = [n for n, a in enumerate(attempts) if a.follows == NEVER and a.began == NEVER]
        arrivals.sort(key=lambda number: attempts[number].ready)
        return cls(
            turns=[(top - a.priority) * jobs + a.job for a in attempts],
            ready=[a.ready for a in attempts], runs=[a.run for a in attempts], next=following,
            delays=delays, leaves=[a.leaves for a in attempts], began=[a.began for a in attempts],
            arrivals=arrivals, jobs=jobs,
        )  # fmt: skip


class Outcome(Struct):
    """By attempt: when it was able to run, and when it started; NEVER where it was not, or did not."""

    ready: list[int]
    starts: list[int]


def simulate(work: Workload, steps: Sequence[Step]) -> Outcome:
    """Let it happen under these limits. Before the first step nothing runs but what runs already."""
    return _Run(work, steps).go()


class _Run:
    """The state at one moment. What comes is a heap of numbers that hold time, kind and attempt: comparing
    numbers is what makes a million jobs a matter of seconds."""

    def __init__(self, work: Workload, steps: Sequence[Step]) -> None:
        self.work, self.steps = work, sorted(steps, key=lambda step: step.time)
        self.count = max(len(work.ready), 1)
        self.unit = 2 * self.count  # of time; below it first the ends, then those that are able to run again
        self.ready = [NEVER] * len(work.ready)
        self.starts = list(work.began)
        begun = [number for number, began in enumerate(work.began) if began != NEVER]
        self.coming = [(work.began[n] + work.runs[n]) * self.unit + n for n in begun]
        heapify(self.coming)
        self.running, self.capacity = len(begun), 0
        self.waiting: list[int] = []
        self.turn_of = [NEVER] * work.jobs  # job -> its attempt that waits
        self.arrived = self.stepped = 0

    def go(self) -> Outcome:
        while (time := self._next()) is not None:
            self._happen(time)
            self._arrive(time)
            self._start(time)
        return Outcome(self.ready, self.starts)

    def _next(self) -> int | None:
        """The next moment at which anything happens."""
        times = []
        if self.coming:
            times.append(self.coming[0] // self.unit)
        if self.arrived < len(self.work.arrivals):
            times.append(self.work.ready[self.work.arrivals[self.arrived]])
        if self.stepped < len(self.steps):
            times.append(self.steps[self.stepped].time)
        return min(times) if times else None

    def _happen(self, time: int) -> None:
        """Ends, and retries whose time has come."""
        coming, end = self.coming, (time + 1) * self.unit
        while coming and coming[0] < end:
            kind, number = divmod(heappop(coming) % self.unit, self.count)
            if kind:
                self._wait(number, time)
                continue
            self.running -= 1
            following = self.work.next[number]
            if following != NEVER:
                due = time + self.work.delays[number]
                heappush(coming, due * self.unit + self.count + following)

    def _arrive(self, time: int) -> None:
        arrivals, ready = self.work.arrivals, self.work.ready
        while self.arrived < len(arrivals) and ready[arrivals[self.arrived]] <= time:
            self._wait(arrivals[self.arrived], time)
            self.arrived += 1
        while self.stepped < len(self.steps) and self.steps[self.stepped].time <= time:
            self.capacity = self.steps[self.stepped].capacity
            self.stepped += 1

    def _wait(self, number: int, time: int) -> None:
        self.ready[number] = time
        turn = self.work.turns[number]
        self.turn_of[turn % self.work.jobs] = number
        heappush(self.waiting, turn)

    def _start(self, time: int) -> None:
        work = self.work
        while self.waiting and self.running < self.capacity:
            number = self.turn_of[heappop(self.waiting) % work.jobs]
            if NEVER < work.leaves[number] <= time:
                continue  # it had left by now
            self.starts[number] = time
            self.running += 1
            heappush(self.coming, (time + work.runs[number]) * self.unit + number)
