"""The tables of the log as Python holds them: what the twin of hivelog.append reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hivelog.events.read import Event


@dataclass(slots=True)
class Row:
    """A live job, whichever table it is in; times in ms. The last five are a lease's."""

    job: bytes
    queue: int
    type: int
    priority: int
    version: int
    attempt: int
    retry: int
    size: int
    enqueued: int
    expires: int | None
    spec: bytes
    due: int | None = None
    token: int = 0
    session: int = 0
    started_at: int = 0
    deadline: int | None = None
    cancelling: int | None = None

    @property
    def order(self) -> tuple[int, bytes]:
        return -self.priority, self.job

    def waiting(self, **changes: Any) -> Row:
        """The row of the job without its lease."""
        return replace(self, token=0, session=0, started_at=0, deadline=None, cancelling=None, **changes)


@dataclass(slots=True)
class QueueRow:
    stream: bytes
    paused: bool = False
    deleted: bool = True
    max_workers: int | None = None


@dataclass(slots=True)
class SessionRow:
    stream: bytes
    name: str
    heartbeat: int  # s
    dead_after: int  # s
    last_heartbeat: int


@dataclass(slots=True)
class Depth:
    pending: int = 0
    ready: int = 0
    running: int = 0


@dataclass(slots=True)
class BatchRow:
    position: int
    first: int
    recorded_at: int
    epoch: int
    id: bytes


@dataclass
class Tables:
    """All that a backup holds."""

    events: list[Event] = field(default_factory=list)
    streams: dict[bytes, list[Event]] = field(default_factory=dict)
    batches: list[BatchRow] = field(default_factory=lambda: [BatchRow(0, 1, 0, 1, bytes(16))])
    pending: dict[bytes, Row] = field(default_factory=dict)
    ready: dict[bytes, Row] = field(default_factory=dict)
    leases: dict[bytes, Row] = field(default_factory=dict)
    queues: dict[int, QueueRow] = field(default_factory=dict)
    sessions: dict[int, SessionRow] = field(default_factory=dict)
    marks: dict[int, Depth] = field(default_factory=dict)
    vault: dict[bytes, tuple[int | None, bytes, bytes | None, bytes]] = field(default_factory=dict)
    idempotency: dict[bytes, tuple[bytes, list[bytes]]] = field(default_factory=dict)
    epochs: dict[int, tuple[str, int]] = field(default_factory=dict)  # -> system identifier, timeline
    void: set[bytes] = field(default_factory=set)  # batches that were asked for in vain

    @property
    def head(self) -> int:
        return self.batches[-1].position

    @property
    def epoch(self) -> int:
        return self.batches[-1].epoch

    def copy(self) -> Tables:
        """A backup. Events and bodies are never changed, rows are."""
        return Tables(
            list(self.events), {key: list(value) for key, value in self.streams.items()}, list(self.batches),
            *({key: replace(row) for key, row in getattr(self, name).items()}  # type: ignore[arg-type]
              for name in ("pending", "ready", "leases", "queues", "sessions", "marks")),
            dict(self.vault), dict(self.idempotency), dict(self.epochs),
            set(self.void),
        )  # fmt: skip
