"""What a job queue is, in dictionaries: the reference that the real one is held against.

Written from the contract, not from `events/`: a mistake there should not be a mistake here. `observe` takes
the log's events one by one and refuses one that could not have happened; `QueueModel` then says what the live
tables, the depths and Redis must hold, and which jobs a claim by the database must start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WAITING = ("pending", "queued")
ENDED = ("completed", "failed", "cancelled", "expired")
DEAD_AFTER = 20_000  # ms
POISON_AFTER = 3  # losses


@dataclass(frozen=True)
class Seen:
    """A row of the log; times in milliseconds."""

    position: int
    recorded_at: int
    stream: bytes
    version: int
    type: str
    actor: int
    queue: int | None
    attempt: int | None
    data: Mapping[str, Any]


@dataclass
class Job:
    id: bytes
    queue: int
    type: str
    priority: int
    max_retries: int
    expires: int | None
    status: str = "queued"
    version: int = 1
    retry: int = 0
    attempt: int = 0
    losses: int = 0
    due: int | None = None
    token: int | None = None
    session: int | None = None
    cancelling: bool = False

    @property
    def order(self) -> tuple[int, bytes]:
        """Higher priority first, then the older id."""
        return -self.priority, self.id

    def leave_for(self, status: str) -> None:
        self.status, self.cancelling = status, False
        self.token = self.session = self.due = None


@dataclass
class Queue:
    paused: bool = False
    limit: int | None = None


class Impossible(AssertionError):
    """The log tells something that may not happen."""


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class QueueModel:
    """All jobs, queues and sessions, as the log tells them."""

    def __init__(self, dead_after: int = DEAD_AFTER) -> None:
        self.dead_after = dead_after
        self.jobs: dict[bytes, Job] = {}
        self.queues: dict[int, Queue] = {}
        self.beats: dict[int, int] = {}  # living sessions: their last heartbeat
        self.sessions: dict[bytes, int] = {}  # stream -> number
        self.versions: dict[bytes, int] = {}
        self.head = 0
        self.now = 0

    # -- the log -----------------------------------------------------------------------------------------

    def observe(self, event: Seen) -> None:
        """One more event. Raises Impossible."""
        self._must(event.position == self.head + 1, event, "positions have no holes")
        self._must(event.recorded_at >= self.now, event, "time does not go back")
        self._must(event.version == self.versions.get(event.stream, 0) + 1, event, "versions have no holes")
        self.head, self.now = event.position, event.recorded_at
        self.versions[event.stream] = event.version
        if event.type == "enqueued":
            self._enqueued(event)
        elif event.stream in self.jobs:
            job = self.jobs[event.stream]
            job.version = event.version
            getattr(self, f"_{event.type}")(event, job)
        elif event.stream in self.sessions or event.type == "worker_started":
            self._session(event)
        elif event.queue is not None:
            self._queue(event, event.queue)

    def _must(self, condition: object, event: Seen, rule: str) -> None:
        if not condition:
            raise Impossible(f"{rule}: {event} of {self.jobs.get(event.stream)}")

    def _running(self, event: Seen, job: Job, *, stopping: bool = False) -> None:
        self._must(job.status == "processing", event, "only a running job does this")
        self._must(stopping or not job.cancelling, event, "a job asked to stop ends completed or cancelled")

    def _enqueued(self, event: Seen) -> None:
        spec = event.data
        assert event.queue is not None
        due = ms(spec["scheduled_for"]) if "scheduled_for" in spec else None
        expires = ms(spec["expires_at"]) if "expires_at" in spec else None
        job = Job(
            event.stream, event.queue, spec["type"], spec["priority"], spec["max_retries"], expires
        )  # fmt: skip
        if due is not None and due > event.recorded_at:
            job.status, job.due = "pending", due
        self.jobs[job.id] = job

    def _queued(self, event: Seen, job: Job) -> None:
        self._must(job.status == "pending", event, "only a pending job becomes due")
        self._must(job.due is not None and job.due <= event.recorded_at, event, "not before its time")
        job.leave_for("queued")

    def _started(self, event: Seen, job: Job) -> None:
        queue = self.queues[job.queue]
        self._must(job.status == "queued", event, "only a ready job starts")
        self._must(not queue.paused, event, "nothing starts in a paused queue")
        self._must(queue.limit is None or self.running(job.queue) < queue.limit, event, "max_workers")
        self._must(event.actor in self.beats, event, "only a living session starts jobs")
        self._must(job.expires is None or job.expires > event.recorded_at, event, "not after its expiry")
        self._must(event.attempt == job.attempt + 1, event, "attempts count up")
        job.status, job.attempt = "processing", job.attempt + 1
        job.token, job.session = event.position, event.actor

    def _progressed(self, event: Seen, job: Job) -> None:
        self._running(event, job, stopping=True)

    def _completed(self, event: Seen, job: Job) -> None:
        self._running(event, job, stopping=True)
        job.leave_for("completed")

    def _retry_scheduled(self, event: Seen, job: Job) -> None:
        self._running(event, job)
        self._again(event, job)

    def _again(self, event: Seen, job: Job) -> None:
        self._must(event.data["retry"] == job.retry + 1 <= job.max_retries, event, "retries are counted")
        job.leave_for("pending")
        job.retry, job.due = job.retry + 1, ms(event.data["due_at"])

    def _failed(self, event: Seen, job: Job) -> None:
        self._running(event, job)
        final = event.data.get("cause") in ("payload", "result")
        self._must(final or job.retry >= job.max_retries, event, "no failure while retries are left")
        job.leave_for("failed")

    def _cancel_requested(self, event: Seen, job: Job) -> None:
        self._running(event, job)
        job.cancelling = True

    def _cancelled(self, event: Seen, job: Job) -> None:
        self._must(job.status in WAITING or job.cancelling, event, "nobody asked it to stop")
        job.leave_for("cancelled")

    def _expired(self, event: Seen, job: Job) -> None:
        if job.status in WAITING:
            passed = job.expires is not None and job.expires <= event.recorded_at
            self._must(passed, event, "not before its expiry")
        else:
            self._running(event, job)
            self._must(event.data["cause"] == "timeout", event, "a running job expires by timeout only")
            self._must(job.retry >= job.max_retries, event, "no expiry while retries are left")
        job.leave_for("expired")

    def _lost(self, event: Seen, job: Job) -> None:
        self._running(event, job)
        assert job.session is not None
        beat = self.beats.get(job.session)
        silent = beat is None or event.recorded_at - beat >= self.dead_after
        self._must(silent, event, "its session has beaten lately")
        job.losses += 1
        if event.data["to"] == "pending":
            self._must(job.losses < POISON_AFTER, event, "a poison pill is set aside")
            self._again(event, job)
        elif event.data.get("cause") == "poison":
            self._must(job.losses >= POISON_AFTER, event, "not yet a poison pill")
            job.leave_for("failed")
        else:
            self._must(job.retry >= job.max_retries, event, "no end while retries are left")
            job.leave_for("failed")

    def _released(self, event: Seen, job: Job) -> None:
        self._running(event, job)
        job.leave_for("queued")
        job.attempt -= 1

    def _requeued(self, event: Seen, job: Job) -> None:
        self._must(job.status in ENDED and job.status != "completed", event, "only dead jobs run again")
        later = event.data.get("due_at")
        job.status, job.retry, job.losses = "pending" if later else "queued", event.data.get("retry", 0), 0
        job.due = ms(later) if later else None
        if event.data.get("unbound"):
            job.expires = None

    def _rescheduled(self, event: Seen, job: Job) -> None:
        self._must(job.status in WAITING, event, "only a waiting job is rescheduled")
        job.priority = event.data.get("priority", job.priority)
        if "scheduled_for" in event.data:
            later = event.data["to"] == "pending"
            job.status = "pending" if later else "queued"
            job.due = ms(event.data["scheduled_for"]) if later else None

    def _session(self, event: Seen) -> None:
        if event.type == "worker_started":
            self.beats[event.actor] = event.recorded_at
            self.sessions[event.stream] = event.actor
            return
        beat = self.beats.pop(self.sessions[event.stream])
        silent = event.recorded_at - beat >= self.dead_after
        self._must(event.type == "worker_stopped" or silent, event, "it has beaten lately")

    def _queue(self, event: Seen, number: int) -> None:
        queue = self.queues.setdefault(number, Queue())
        if event.type == "queue_configured":
            queue.limit = event.data["max_workers"]
        elif event.type in ("paused", "resumed"):
            self._must(queue.paused != (event.type == "paused"), event, "it was so already")
            queue.paused = event.type == "paused"

    # -- what must be so now -----------------------------------------------------------------------------

    def of(self, *statuses: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.status in statuses]

    def running(self, queue: int) -> int:
        return sum(job.queue == queue for job in self.of("processing"))

    def choice(self, queue: int, types: Iterable[str], limit: int, now: int) -> list[bytes]:
        """The jobs that a claim of one queue must start, if nobody errs."""
        rules = self.queues[queue]
        if rules.limit is not None:
            limit = min(limit, rules.limit - self.running(queue))
        able = [
            job for job in self.of("queued")
            if job.queue == queue and job.type in types and (job.expires is None or job.expires > now)
        ]  # fmt: skip
        able.sort(key=lambda job: job.order)
        return [] if rules.paused else [job.id for job in able[: max(limit, 0)]]

    def answer_to_cancel(self, job: bytes) -> str:
        """Status after it, or the error's code."""
        found = self.jobs[job]
        if found.status in ENDED:
            return "already_finished"
        return "cancelling" if found.status == "processing" else "cancelled"

    def answer_to_retry(self, job: bytes) -> str:
        found = self.jobs[job]
        return "queued" if found.status in ENDED and found.status != "completed" else "not_finished"

    def answer_to_end(self, job: bytes, token: int, event: str) -> str:
        """`accepted`, or why an end of a lease is refused."""
        found = self.jobs[job]
        if found.token != token:
            return "stale_token"
        if found.cancelling and event not in ("completed", "cancelled"):
            return "cancelling"
        return "accepted"
