"""The log, read from its first event, and what it says about leases and sessions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from ..queue_model import Impossible, QueueModel, Seen

_EVENTS = """
select position, round(extract(epoch from recorded_at) * 1000)::bigint, uuid_send(stream), version,
    type::text, actor, queue, attempt, data, correlation
from hivelog.events order by position
"""
# What only a running job can meet, so each of these ends its lease.
_ENDS_LEASE = ("completed", "retry_scheduled", "failed", "lost", "released")
_ENDS_ANY = (*_ENDS_LEASE, "cancelled", "expired")


@dataclass
class Lease:
    """One attempt: who had it, and how the log says that it ended (`ended`: at this position)."""

    job: str
    token: int
    session: int
    started: int
    end: str | None = None
    ended: int | None = None
    ended_by: int | None = None
    reason: str | None = None


@dataclass
class Session:
    """Times in ms; `how` is the event that ended it, None while it lives."""

    number: int
    name: str
    started: int
    ended: int | None = None
    how: str | None = None
    leases: list[Lease] = field(default_factory=list)


class Story:
    """Everything the checks need, out of one pass. `broken` is the first thing that may not happen."""

    def __init__(self, dead_after: int) -> None:
        self.model = QueueModel(dead_after)
        self.leases: dict[int, Lease] = {}
        self.sessions: dict[int, Session] = {}
        self.requests: Counter[str] = Counter()  # jobs by correlation id
        self.ends: Counter[int] = Counter()  # by token
        self.without_lease: list[str] = []  # ends of leases that nobody had
        self.completions: list[int] = []  # times
        self.times: list[int] = []  # of all events, in order
        self.epochs: list[tuple[int, int]] = []  # number and time of each that began behind the first
        self.broken: str | None = None
        self.last = 0
        self._open: dict[bytes, Lease] = {}
        self._streams: dict[bytes, Session] = {}

    def tell(self, event: Seen, correlation: str | None) -> None:
        self.last = event.recorded_at
        self.times.append(event.recorded_at)
        if self.broken is None:
            try:
                self.model.observe(event)
            except Impossible as error:
                self.broken = str(error)
        if event.type == "enqueued" and correlation is not None:
            self.requests[correlation] += 1
        elif event.type == "epoch_started":
            self.epochs.append((event.data["epoch"], event.recorded_at))
        elif event.type in ("worker_started", "worker_stopped", "worker_lost"):
            self._session(event)
        elif event.type == "started":
            self._started(event)
        elif event.type in _ENDS_ANY:
            self._ended(event)

    def _session(self, event: Seen) -> None:
        if event.type == "worker_started":
            session = Session(event.actor, event.data["name"], event.recorded_at)
            self.sessions[event.actor] = self._streams[event.stream] = session
        else:
            self._streams[event.stream].ended, self._streams[event.stream].how = event.recorded_at, event.type

    def _started(self, event: Seen) -> None:
        job = str(UUID(bytes=event.stream))
        lease = Lease(job, event.position, event.actor, event.recorded_at)
        self.leases[event.position] = self._open[event.stream] = lease
        self.sessions[event.actor].leases.append(lease)

    def _ended(self, event: Seen) -> None:
        lease = self._open.pop(event.stream, None)
        if lease is None:
            if event.type in _ENDS_LEASE:
                self.without_lease.append(f"{event.type} at {event.position}")
            return
        lease.end, lease.ended_by, lease.reason = event.type, event.actor, event.data.get("reason")
        lease.ended = event.position
        self.ends[lease.token] += 1
        if event.type == "completed":
            self.completions.append(event.recorded_at)


def read(url: str, dead_after: int) -> Story:
    """The whole log; `dead_after` in ms."""
    story = Story(dead_after)
    with psycopg.connect(url) as connection, connection.cursor(name="log") as cursor:
        for row in cursor.execute(_EVENTS):
            data: dict[str, Any] = row[8] or {}
            story.tell(Seen(*row[:8], data), row[9])
    return story
