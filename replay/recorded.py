"""The load of a queue as the log tells it: from rows of waits to a workload that can be simulated. Pure.

A retry waits as long after the simulated end as it did after the recorded one; what people did (enqueue,
retry, reschedule) happens when it happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median_low
from typing import Final

from msgspec import Struct

from .simulation import NEVER, Attempt
from .waits import Window

_UNKNOWN: Final = -2  # a run whose end is not known

# (n, priority, ready, started, out, returns, released) as sql/queries/replay_attempts.sql answers.
Row = tuple[int, int | None, int | None, int | None, int | None, bool, bool]


class Load(Struct):
    """Attempts, and when each was recorded to start; `assumed`: of so many runs the length is not known, and
    the usual one stands for it."""

    attempts: list[Attempt]
    starts: list[int]
    assumed: int

    def recorded_ready(self) -> list[int]:
        """What ran already when the window began did not wait in it."""
        return [a.ready if a.began == NEVER else NEVER for a in self.attempts]

    def leaves(self) -> list[int]:
        return [attempt.leaves for attempt in self.attempts]


class LoadBuilder:
    """Takes rows in order; `load` when all are in."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._attempts: list[Attempt] = []
        self._starts: list[int] = []
        self._job = -1
        self._priority = 0
        self._before: Row | None = None
        self._previous: Row | None = None  # before that one, in the same job
        self._number = NEVER  # of the attempt that `_before` became

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if self._before is None or row[0] <= self._before[0]:
                self._flush(None)
                self._job += 1
                self._number = NEVER
                self._previous = None
            else:
                self._flush(row)
            if row[1] is not None:
                self._priority = row[1]
            self._before = row

    def load(self) -> Load:
        self._flush(None)
        self._before = None
        known = [a.run for a in self._attempts if a.run != _UNKNOWN]
        usual = median_low(known) if known else 0
        assumed = 0
        for attempt in self._attempts:
            if attempt.run == _UNKNOWN:
                attempt.run = usual
                assumed += 1
        return Load(self._attempts, self._starts, assumed)

    def _flush(self, after: Row | None) -> None:
        """Take in the row before, now that it is known what came after it in its job."""
        row = self._before
        if row is None or (ready := row[2]) is None:
            self._previous = row
            return
        started, out = row[3:5]
        if out is None and after is not None:
            out = after[2]  # released, or made ready anew
        previous, self._previous = self._previous, (*row[:4], out, *row[5:])
        number = self._number
        self._number = NEVER
        if not self._inside(ready, started, out):
            return
        attempt = Attempt(self._job, self._priority, ready, _UNKNOWN)
        if started is None:
            attempt.leaves = NEVER if out is None else out
        else:
            self._run(attempt, started, out)
        self._follow(attempt, number, previous, row)
        self._number = len(self._attempts)
        self._attempts.append(attempt)
        self._starts.append(NEVER if started is None else started)

    def _inside(self, ready: int, started: int | None, out: int | None) -> bool:
        """Whether it waited or ran in the window."""
        over = out is not None and out <= self._window.since
        return ready < self._window.until and not over

    def _run(self, attempt: Attempt, started: int, out: int | None) -> None:
        if out is not None:
            attempt.run = max(out - started, 0)
        if started < self._window.since:
            attempt.began = started

    def _follow(self, attempt: Attempt, number: int, previous: Row | None, row: Row) -> None:
        if previous is None or number == NEVER or previous[3] is None or previous[4] is None:
            return
        if previous[5] or row[6]:
            attempt.follows = number
            attempt.delay = max(attempt.ready - previous[4], 0)
