"""What one append carries, and what comes back.

A caller submits a `Part`: any mix of commands. The appender concatenates the parts that wait into one
batch; parameters.py turns them into the arrays of `hivelog.append`, and answer.py gives each caller its
`Outcome`, its own share of what came back. Order inside a batch: enqueues, ends, moves, records, starts.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Section = Literal["n", "e", "m", "r", "s"]


class Enqueue(Struct, gc=False):
    """A new job. `spec` is the JSON of the `enqueued` event; times in ms since 1970; body as in the vault."""

    job: bytes
    queue: int
    type: int
    priority: int
    actor: int
    spec: bytes
    size: int
    digest: bytes
    salt: bytes
    body: bytes
    due: int | None = None
    expires: int | None = None
    correlation: str | None = None
    kek: int | None = None
    wrapped: bytes | None = None


class IdempotencyKey(Struct, gc=False):
    """One key over a run of the part's enqueues (`first`..`last`, from 0); hashes, never the key itself."""

    key: bytes
    fingerprint: bytes
    first: int
    last: int
    expires_at: int


class End(Struct, gc=False):
    """The end of a lease. `due` sends the job to `pending`, event `released` back to `ready`."""

    job: bytes
    token: int
    event: str
    actor: int | None = None  # None: the session that held the lease
    due: int | None = None
    retry: int | None = None
    data: bytes | None = None
    size: int | None = None
    digest: bytes | None = None
    slot: int | None = None
    body: bytes | None = None


class Move(Struct, gc=False, omit_defaults=True):
    """Any other step of one job; fields as in sql/functions/append_moves.sql."""

    job: str
    event: str
    source: Literal["pending", "ready", "lease", "ended"]
    target: Literal["pending", "ready", "lease", "none"]
    version: int
    actor: int
    queue: int | None = None
    type: int | None = None
    priority: int | None = None
    due_at: str | None = None
    token: int | None = None
    new_priority: int | None = None
    new_due_at: str | None = None
    retry: int | None = None
    attempt: int | None = None
    enqueued: int | None = None
    size: int | None = None
    expires_at: str | None = None
    spec: msgspec.Raw | None = None
    data: msgspec.Raw | None = None
    slot: int | None = None
    body: bytes | None = None  # base64 in the JSON, as msgspec writes bytes
    digest: bytes | None = None
    body_size: int | None = None


class Record(Struct, gc=False, omit_defaults=True):
    """An event of a queue, a worker session or the system."""

    stream: str
    event: str
    actor: int
    expected: int | None = None
    queue: int | None = None
    data: msgspec.Raw | None = None
    cutoff: str | None = None


class Start(Struct, gc=False):
    """A ready job, by its whole key, for a session."""

    session: int
    queue: int
    type: int
    priority: int
    job: bytes


class Pick(Struct, gc=False):
    """Starts that the database chooses: Redis is away."""

    session: int
    queue: int
    types: list[int]
    limit: int


class Part(Struct, gc=False):
    """One caller's commands. `patient` parts outlive a database outage instead of failing with it.

    `epoch`: the life of the log that they were decided in; in another, tokens, versions and the numbers of
    types and actors may mean something else. The appender fills it in. None: they fit any.
    """

    enqueues: list[Enqueue] = field(default_factory=list)
    keys: list[IdempotencyKey] = field(default_factory=list)
    outbox: bool = False
    ends: list[End] = field(default_factory=list)
    cutoff: int | None = None
    moves: list[Move] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    picks: list[Pick] = field(default_factory=list)
    claim: bytes | None = None  # the Redis claim that `starts` came from, for the feeder
    patient: bool = False
    epoch: int | None = None
    elements: dict[Section, Any] | None = None  # parameters.py's own: what `prepare` made
    weight: tuple[int, int] = (0, 0)  # the appender's own: rows and bytes, once it has taken the part

    def fits(self, epoch: int) -> bool:
        return self.epoch is None or self.epoch == epoch

    def rows(self) -> int:
        return (
            len(self.enqueues) + len(self.ends) + len(self.moves) + len(self.records)
            + len(self.starts) + len(self.picks)
        )  # fmt: skip

    def bytes(self) -> int:
        total = 0
        for item in self.enqueues:
            total += len(item.body) + len(item.spec) + 200
        for end in self.ends:
            total += (len(end.body) if end.body else 0) + 100
        return total + 400 * (len(self.moves) + len(self.records)) + 60 * len(self.starts)


class Started(Struct, gc=False):
    """A leased job with all its worker needs; `index` = ordinal among the part's starts, -1 for a pick."""

    index: int
    job: bytes
    token: int
    queue: int
    session: int
    attempt: int
    retry: int
    priority: int
    spec: bytes
    salt: bytes | None
    kek: int | None
    wrapped: bytes | None
    body: bytes | None


class Mark(Struct, gc=False):
    """Exact depths of a queue after the batch."""

    queue: int
    pending: int
    ready: int
    running: int


class Refused(Struct, gc=False):
    code: str
    job: bytes | None = None


class Outcome(Struct, gc=False):
    """A part's share of the answer. What is not in `refused` was accepted; ordinals count from 0."""

    head: int
    recorded_at: int
    refused: dict[tuple[Section, int], Refused]
    positions: dict[Section, list[int]]  # of the accepted enqueues, moves and records, in order
    started: list[Started]


class Appended(Struct, gc=False):
    """A batch that is in the log."""

    batch_id: bytes
    epoch: int
    first: int
    head: int
    recorded_at: int
    parts: list[Part]
    outcomes: list[Outcome]
    marks: list[Mark]
