"""What the projections must say, computed from all events by plain loops: the slow and obvious way."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import floor, log2
from typing import Any

from hivelog.events import job
from hivelog.events.read import Event

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ALL = 0  # the number of the rows of all queues together


def bucket(ms: int) -> int:
    return 0 if ms < 1 else 1 + floor(8 * log2(ms) + 1e-9)


@dataclass
class Attempt:
    """A completed attempt, or a started one (then `ran` is None). Milliseconds."""

    queue: int
    at: int
    took: int


@dataclass
class Model:
    """Folded jobs; counts by (queue, minute, what); samples; failures; sessions."""

    jobs: dict[bytes, job.JobState] = field(default_factory=dict)
    counts: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    waits: list[Attempt] = field(default_factory=list)
    runs: list[Attempt] = field(default_factory=list)
    ends: list[tuple[int, int, bool]] = field(default_factory=list)  # queue, when, completed
    failures: dict[tuple[str, str, int], list[Event]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[int, dict[str, Any]] = field(default_factory=dict)

    def histogram(self, samples: list[Attempt], queue: int, since: int, until: int) -> list[int]:
        found = Counter(bucket(s.took) for s in samples if queue in (s.queue, ALL) and since <= s.at < until)
        return [found[n] for n in range(max(found, default=-1) + 1)]


_COUNTED = {
    "enqueued": "enqueued", "started": "started", "completed": "completed", "failed": "failed",
    "expired": "expired", "cancelled": "cancelled", "lost": "lost", "retry_scheduled": "retried",
    "requeued": "requeued", "released": "released",
}  # fmt: skip
_LOST_TO = {"pending": "retried", "failed": "failed", "cancelled": "cancelled"}


def model(events: list[Event]) -> Model:
    made = Model()
    ready_since: dict[bytes, int] = {}
    for event in events:
        if event.type.startswith("worker_"):
            _session(made, event)
        elif event.queue is not None and event.type in job_types():
            before = made.jobs.get(event.stream)
            state = made.jobs[event.stream] = job.evolve(before, event)
            _count(made, event)
            _times(made, event, before, state, ready_since)
            _failure(made, event, state)
    return made


def job_types() -> set[str]:
    return {
        *_COUNTED, "queued", "progressed", "cancel_requested", "routed", "rescheduled", "payload_erased",
    }  # fmt: skip


def _count(made: Model, event: Event) -> None:
    assert event.queue is not None
    minute = event.recorded_at // MINUTE
    what = [_COUNTED[event.type]] if event.type in _COUNTED else []
    if event.type == "lost":
        what.append(_LOST_TO[(event.data or {})["to"]])
    for name in what:
        made.counts[event.queue, minute, name] += 1
        if name in ("completed", "failed", "expired"):
            made.ends.append((event.queue, event.recorded_at, name == "completed"))


def _times(
    made: Model, event: Event, before: job.JobState | None, state: job.JobState, ready: dict[bytes, int]
) -> None:
    assert event.queue is not None
    if event.type == "started":
        made.waits.append(Attempt(event.queue, event.recorded_at, event.recorded_at - ready[event.stream]))
    if event.type == "completed":
        assert before is not None
        assert before.started_at is not None
        made.runs.append(Attempt(event.queue, event.recorded_at, event.recorded_at - before.started_at))
    told = event.type == "rescheduled" and "scheduled_for" not in (event.data or {})
    if state.status == "queued" and not told:
        ready[event.stream] = event.recorded_at


def _failure(made: Model, event: Event, state: job.JobState) -> None:
    data = event.data or {}
    cause = data.get("cause") or ("lost" if event.type == "lost" else "error")
    wanted = event.type in ("retry_scheduled", "failed", "lost") or (
        event.type == "expired" and cause == "timeout"
    )
    if wanted and (cause != "retry" or "fingerprint" in data):
        key = (data.get("fingerprint") or cause, state.spec.type, event.recorded_at // HOUR)
        made.failures[key].append(event)
    if event.type in ("completed", "retry_scheduled", "failed", "expired"):
        session = made.sessions.get(event.actor)
        if session is not None:
            session["completed" if event.type == "completed" else "failed"] += 1


def _session(made: Model, event: Event) -> None:
    if event.type == "worker_started":
        made.sessions[event.actor] = {
            "stream": event.stream, "completed": 0, "failed": 0, "ended_at": None, "ended_by": None,
        }  # fmt: skip
        return
    for session in made.sessions.values():
        if session["stream"] == event.stream:
            session |= {"ended_at": event.recorded_at, "ended_by": event.type.removeprefix("worker_")}
