"""What our own side of the bench must provide, and what must stand in the log after each run.

The operations of every contender, and those that no peer has. Each prepares a fresh database,
migrates it and empties Redis first; the worker is a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from .contenders import Contender

Load = Literal["bulk", "drain"]
EVENTS_A_JOB = ("enqueued", "started", "completed")


@dataclass(frozen=True)
class Counts:
    """What is in the database after an operation: job events by type, vault rows by slot."""

    events: Mapping[str, int]
    payloads: int
    results: int


@dataclass(frozen=True)
class HttpFigures:
    """Answers a second, all of them 201, and the 99th percentile of their time."""

    per_second: float
    p99_ms: float


@dataclass(frozen=True)
class Resources:
    """One serve and one worker: their peak together under load, then what they use idle."""

    memory_mib: float
    idle_cpu_percent: float


class Ours(Contender, Protocol):
    """Hivelog as a contender."""

    encrypted: bool

    def counts(self) -> Counts:
        """Counted in the database that the last operation left."""

    def backlog(self, waiting: int, jobs: int, concurrency: int) -> tuple[float, int]:
        """Jobs a second over the first `jobs` of `waiting` waiting jobs, by one worker process,
        and how many it had ended when it was stopped."""

    def single_beside(self, load: Load, jobs: int) -> list[float]:
        """Milliseconds of single enqueues by one client, one after the other, while another process
        enqueues `jobs` jobs in bulks of 10,000, or drains a queue of so many."""

    def http_post(self, connections: int, seconds: float) -> HttpFigures:
        """Single POSTs to one `hivelog serve` from a load generator in another process."""

    def resources(self, idle_seconds: float) -> Resources:
        """Memory under load (100-byte payloads, enqueued over HTTP), then idle CPU."""


class CountError(Exception):
    """A run left other rows than it must have: its figure would be worth nothing."""


def require_counts(found: Counts, enqueued: int, ran: int, *, stopped: bool = False) -> None:
    """Raises CountError unless every job left its events, its payload and, if run, a result.

    With `stopped` the worker was stopped amid its work: jobs may have started that did not end.
    """
    if stopped and found.events.get("started", 0) >= ran:
        found = replace(found, events={**found.events, "started": ran})
    expected = dict(zip(EVENTS_A_JOB, (enqueued, ran, ran), strict=True))
    events = {kind: found.events.get(kind, 0) for kind in EVENTS_A_JOB}
    if events != expected or (found.payloads, found.results) != (enqueued, ran):
        raise CountError(
            f"expected {expected}, {enqueued} payloads and {ran} results; "
            f"found {events}, {found.payloads} and {found.results}"
        )


def counted(
    ours: Ours, operation: Callable[[Contender], float], enqueued: int, ran: int
) -> Callable[[], float]:
    """The operation, and after it the proof that the rows are there."""

    def call() -> float:
        value = operation(ours)
        require_counts(ours.counts(), enqueued, ran)
        return value

    return call
