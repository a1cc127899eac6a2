"""What one append carries, and what comes back.

A caller submits a `Part`: any mix of commands. The appender concatenates the parts that wait into one
batch; `columns` turns them into the arrays of `hivelog.append`, and `Outcome` gives each caller its own
share of the answer. Order inside a batch: enqueues, ends, moves, records, starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct, field

from . import arrays, times
from .statement import Value

# A worker's claims never weigh more than this in payloads (one larger payload alone still passes).
CLAIM_BYTES = 16 * 1024 * 1024
_SMALL_BODY = 8 * 1024

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


class Part(Struct):
    """One caller's commands. `patient` parts outlive a database outage instead of failing with it."""

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


class Outcome(Struct):
    """A part's share of the answer. What is not in `refused` was accepted; ordinals count from 0."""

    head: int
    recorded_at: int
    refused: dict[tuple[Section, int], Refused]
    positions: dict[Section, list[int]]  # of the accepted enqueues, moves and records, in order
    started: list[Started]


class Appended(Struct):
    """A batch that is in the log."""

    batch_id: bytes
    epoch: int
    first: int
    head: int
    recorded_at: int
    parts: list[Part]
    outcomes: list[Outcome]
    marks: list[Mark]


def _sparse(items: Sequence[object]) -> bool:
    return any(item is not None for item in items)


def _enqueue_columns(items: list[Enqueue]) -> list[Value]:
    if not items:
        return [None] * 15
    due = [x.due for x in items]
    expires = [x.expires for x in items]
    correlation = [x.correlation for x in items]
    kek = [x.kek for x in items]
    return [
        arrays.uuids([x.job for x in items]),
        arrays.smallints([x.queue for x in items]),
        arrays.integers([x.type for x in items]),
        arrays.smallints([x.priority for x in items]),
        arrays.integers([x.actor for x in items]),
        arrays.timestamps(due) if _sparse(due) else None,
        arrays.timestamps(expires) if _sparse(expires) else None,
        arrays.texts(correlation) if _sparse(correlation) else None,
        arrays.jsonbs([x.spec for x in items]),
        arrays.integers([x.size for x in items]),
        arrays.byteas([x.digest for x in items]),
        arrays.byteas([x.salt for x in items]),
        arrays.smallints(kek) if _sparse(kek) else None,
        arrays.byteas([x.wrapped for x in items]) if _sparse(kek) else None,
        arrays.byteas([x.body for x in items]),
    ]


def _tokens(items: list[End]) -> list[int]:
    """A lease ends once: whoever names it again in the batch names one that is over."""
    tokens = [x.token for x in items]
    if len(seen := set(tokens)) < len(tokens):
        for n, token in enumerate(tokens):
            if token in seen:
                seen.discard(token)
            else:
                tokens[n] = 0
    return tokens


def _end_columns(items: list[End]) -> list[Value]:
    if not items:
        return [None] * 12
    actor = [x.actor for x in items]
    due = [x.due for x in items]
    retry = [x.retry for x in items]
    data = [x.data for x in items]
    body = [x.body for x in items]
    bodies = _sparse(body)
    return [
        arrays.uuids([x.job for x in items]),
        arrays.bigints(_tokens(items)),
        arrays.texts([x.event for x in items]),
        arrays.integers(actor) if _sparse(actor) else None,
        arrays.timestamps(due) if _sparse(due) else None,
        arrays.smallints(retry) if _sparse(retry) else None,
        arrays.jsonbs(data) if _sparse(data) else None,
        arrays.integers([x.size for x in items]) if bodies else None,
        arrays.byteas([x.digest for x in items]) if bodies else None,
        arrays.smallints([x.slot for x in items]) if bodies else None,
        arrays.byteas(body) if bodies else None,
        # Large ones are written before the lock is taken; small ones cost less beside their event.
        arrays.boolean(bodies and any(x is not None and len(x) > _SMALL_BODY for x in body)),
    ]


def _start_columns(items: list[Start]) -> list[Value]:
    if not items:
        return [None] * 5
    return [
        arrays.integers([x.session for x in items]),
        arrays.smallints([x.queue for x in items]),
        arrays.integers([x.type for x in items]),
        arrays.smallints([x.priority for x in items]),
        arrays.uuids([x.job for x in items]),
    ]


class _KeyRow(Struct, gc=False):
    key: str
    fingerprint: str
    first: int
    last: int
    call: int
    call_first: int
    call_last: int
    expires_at: str


def _keys(parts: list[Part]) -> str | None:
    """Ordinals from 1, over the whole batch; a part is a call: one mismatch refuses all of it."""
    rows = []
    base = 1
    for call, part in enumerate(parts):
        top = base + len(part.enqueues)
        for k in part.keys:
            rows.append(
                _KeyRow(
                    k.key.hex(), k.fingerprint.hex(), base + k.first, base + k.last, call, base, top - 1,
                    times.to_text(k.expires_at),
                )
            )  # fmt: skip
        base = top
    return _json(rows)


def _json(items: Sequence[Struct]) -> str | None:
    return msgspec.json.encode(items).decode() if items else None


def _joined(parts: list[Part], name: str) -> list[Struct]:
    if len(parts) == 1:
        whole: list[Struct] = getattr(parts[0], name)
        return whole
    return [item for part in parts for item in getattr(part, name)]


def columns(parts: list[Part]) -> list[Value]:
    """The parameters of `hivelog.append` after batch id and epoch, in its order."""
    cutoffs = [part.cutoff for part in parts if part.cutoff is not None]
    return [
        *_enqueue_columns(_joined(parts, "enqueues")),  # type: ignore[arg-type]
        _keys(parts),
        arrays.boolean(any(part.outbox for part in parts)),
        *_end_columns(_joined(parts, "ends")),  # type: ignore[arg-type]
        # The most careful of the cutoffs: a later heartbeat saves the session from all of them.
        times.to_text(min(cutoffs)) if cutoffs else None,
        _json(_joined(parts, "moves")),
        _json(_joined(parts, "records")),
        *_start_columns(_joined(parts, "starts")),  # type: ignore[arg-type]
        _json(_joined(parts, "picks")),
        arrays.bigint(CLAIM_BYTES),
    ]
