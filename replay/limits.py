"""How much of a queue could run at once: as it was recorded, and as it is asked for. Pure.

A limit is a series of steps in time. What may run is the least of max_workers and the slots of the workers,
and nothing while the queue is paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median_low
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from .simulation import Step

ANY: Final = 1 << 30  # no limit
SLOTS: Final = 10  # of a worker process, where none is recorded: `hivelog worker`'s own default


class WhatIf(Struct, frozen=True):
    """What is to be otherwise; UNSET: as recorded. `max_workers` None: no limit."""

    workers: int | UnsetType = UNSET  # processes
    slots: int | UnsetType = UNSET  # of each
    max_workers: int | UnsetType | None = UNSET


class Session(Struct, frozen=True):
    """A worker process that served the queue; ms, `ended` None: it lives."""

    slots: int
    started: int
    ended: int | None


class Then(Struct, frozen=True):
    """What was recorded: steps of max_workers (ANY: none), of pauses (capacity 0, else ANY), and sessions."""

    most: Sequence[Step]
    pauses: Sequence[Step]
    sessions: Sequence[Session]

    @property
    def slots(self) -> int:
        """What a process usually had."""
        return median_low([s.slots for s in self.sessions]) if self.sessions else SLOTS


def recorded(changes: Iterable[tuple[str, int, dict[str, Any] | None]], sessions: Sequence[Session]) -> Then:
    """From the events of a queue's stream (type, time, data) and its workers."""
    most, pauses = [], []
    for kind, time, data in changes:
        if kind in ("paused", "resumed"):
            pauses.append(Step(time, 0 if kind == "paused" else ANY))
        elif kind == "queue_configured":
            most.append(Step(time, _limit((data or {}).get("max_workers"))))
        elif (raised := (data or {}).get("max_workers")) is not None:
            most.append(Step(time, raised))
    return Then(most, pauses, sessions)


def steps(then: Then, asked: WhatIf, start: int) -> list[Step]:
    """Capacity from `start` on, with what is asked in the place of what was."""
    most = then.most if asked.max_workers is UNSET else [Step(start, _limit(asked.max_workers))]
    return _least([_from(most, start, ANY), _from(then.pauses, start, ANY), _slots(then, asked, start)])


def _limit(most: int | None) -> int:
    return ANY if most is None else most


def _slots(then: Then, asked: WhatIf, start: int) -> list[Step]:
    """Slots of all workers."""
    if asked.workers is not UNSET:
        each = then.slots if asked.slots is UNSET else asked.slots
        return [Step(start, asked.workers * each)]
    changes: dict[int, int] = {start: 0}
    for session in then.sessions:
        slots = session.slots if asked.slots is UNSET else asked.slots
        begin = max(session.started, start)
        changes[begin] = changes.get(begin, 0) + slots
        if session.ended is not None:
            changes[session.ended] = changes.get(session.ended, 0) - slots
    total = 0
    made = []
    for time in sorted(changes):
        total += changes[time]
        made.append(Step(time, total))
    return made


def _from(given: Sequence[Step], start: int, before: int) -> list[Step]:
    """The same, from `start` on: what held there, then what came."""
    held = [step.capacity for step in given if step.time <= start]
    return [Step(start, held[-1] if held else before), *(step for step in given if step.time > start)]


def _least(series: Sequence[Sequence[Step]]) -> list[Step]:
    """The lowest of several limits at any time."""
    marks = sorted((step.time, which, step.capacity) for which, one in enumerate(series) for step in one)
    now = [ANY] * len(series)
    made: list[Step] = []
    for time, which, capacity in marks:
        now[which] = capacity
        least = min(now)
        if made and made[-1].time == time:
            made.pop()
        if not made or made[-1].capacity != least:
            made.append(Step(time, least))
    return made
