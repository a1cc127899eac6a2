"""What one append means for Redis, as a message of final states that can be merged with the next. Pure.

A job is either ready with a score or not there; so of two operations on one job the later counts, and
messages of consecutive positions merge into one. What cannot be told from the append itself (a released
job's priority is known to PostgreSQL only) makes the message ask for a `lookup` of its range instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, field

from ..events.batch import Appended, Move, Outcome, Part, Record
from .packing import pack, raw, raw_last

# Refused, but still ready: the id goes back. `session_lost` too, since it says nothing about the job.
_STILL_READY: Final = frozenset({"paused", "limit", "budget", "session_lost"})
# A claim's items must travel with the message, so a merged one stays below what a script does in 1-2 ms.
MERGED_IDS: Final = 2_000

# queue, type, ids of 16 bytes each, joined
Started = tuple[int, int, bytes]
# queue, type, score (= -priority), ids
Group = tuple[int, int, int, bytes]
# claim id, how many ids it named (-1: unknown), the started, those that go back
Claim = tuple[bytes, int, list[Started], list[Group]]
# -1: as it was. `max` -2: no limit.
_KEEP: Final = -1
NO_LIMIT: Final = -2
_ANY_TYPE: Final = -1


class QueueState(Struct, array_like=True, gc=False):
    """One queue's entry; -1 leaves a value as it is, `max` -2 means no limit."""

    queue: int
    running: int = _KEEP
    paused: int = _KEEP
    max: int = _KEEP


class FeedMessage(Struct):
    """The step of Redis from position `first - 1` to `last`."""

    epoch: int
    first: int
    last: int
    adds: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    dels: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    queues: dict[int, QueueState] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    ids: int = 0
    lookup: bool = False

    def merge(self, later: FeedMessage) -> bool:
        """Take a later message in, if it follows at once and there is room."""
        if (
            later.first != self.last + 1
            or later.epoch != self.epoch
            or self.lookup
            or later.lookup
            or self.ids + later.ids > MERGED_IDS
        ):
            return False
        self.last = max(self.last, later.last)
        self._forget_started(later)
        for job in later.dels:
            self.adds.pop(job, None)
        for job in later.adds:
            self.dels.pop(job, None)
        self.adds |= later.adds
        self.dels |= later.dels
        for state in later.queues.values():
            self.set_queue(state)
        self.claims += later.claims
        self.ids += later.ids
        return True

    def _forget_started(self, later: FeedMessage) -> None:
        """Jobs that a later claim started are not to be added by an earlier step."""
        if self.adds:
            for _, _, started, _ in later.claims:
                for _, _, ids in started:
                    for at in range(0, len(ids), 16):
                        self.adds.pop(ids[at : at + 16], None)

    def set_queue(self, state: QueueState) -> None:
        known = self.queues.setdefault(state.queue, QueueState(state.queue))
        for name in ("running", "paused", "max"):
            if (value := getattr(state, name)) != _KEEP:
                setattr(known, name, value)

    def encode(self) -> bytes:
        """The msgpack that scripts/apply.lua describes."""
        gone: dict[tuple[int, int], list[bytes]] = {}
        for job, place in self.dels.items():
            gone.setdefault(place, []).append(job)
        return encode(
            self.epoch, self.first, self.last, list(groups(self.adds)),
            [(*place, b"".join(jobs)) for place, jobs in gone.items()],
            list(self.queues.values()), self.claims, state=False,
        )  # fmt: skip


def encode(
    epoch: int, first: int, last: int, adds: list[Group], dels: list[Started], queues: list[QueueState],
    claims: list[Claim], *, state: bool,
) -> bytes:  # fmt: skip
    """Pack a message; `state` marks one that was read from PostgreSQL instead of derived from appends."""
    settled = [
        (raw(claim), total, raw_last(started), raw_last(back)) for claim, total, started, back in claims
    ]
    return pack(
        {
            "epoch": epoch, "from": first, "to": last, "state": state, "adds": raw_last(adds),
            "dels": raw_last(dels), "queues": queues, "claims": settled,
        }
    )  # fmt: skip


def groups(jobs: dict[bytes, tuple[int, int, int]]) -> Iterator[Group]:
    """Ids by (queue, type, score)."""
    found: dict[tuple[int, int, int], list[bytes]] = {}
    for job, place in jobs.items():
        found.setdefault(place, []).append(job)
    for (queue, type_, score), ids in found.items():
        yield queue, type_, score, b"".join(ids)


def feed_message(appended: Appended) -> FeedMessage:
    """Derive the message of one append."""
    message = FeedMessage(appended.epoch, appended.first, appended.head)
    # A recovered answer has no marks and no reasons: only PostgreSQL knows the rest.
    message.lookup = not appended.marks and any(_touches_jobs(part) for part in appended.parts)
    message.lookup = message.lookup and appended.head >= appended.first
    for mark in appended.marks:
        message.queues[mark.queue] = QueueState(mark.queue, mark.running)
    shares = list(zip(appended.parts, appended.outcomes, strict=True))
    for part, outcome in shares:
        _enqueued(message, part, outcome)
    only_new = len(message.adds) == appended.head - appended.first + 1
    if only_new and not any(part.claim or outcome.refused for part, outcome in shares):
        return message
    # Section by section, as the log numbered them: a later section's word on a job counts.
    for section in (_ended, _moved, _recorded, _started):
        for part, outcome in shares:
            section(message, part, outcome)
    return message


def _touches_jobs(part: Part) -> bool:
    return bool(part.enqueues or part.ends or part.moves or part.starts or part.picks)


def _enqueued(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    refused, adds, now = outcome.refused, message.adds, outcome.recorded_at
    for n, job in enumerate(part.enqueues):
        if (job.due is None or job.due <= now) and not (refused and ("n", n) in refused):
            adds[job.job] = (job.queue, job.type, -job.priority)
    message.ids += len(part.enqueues)


def _ended(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    for n, end in enumerate(part.ends):
        if end.event == "released" and ("e", n) not in outcome.refused:
            message.lookup = True


def _moved(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    for n, move in enumerate(part.moves):
        if ("m", n) not in outcome.refused and "ready" in (move.source, move.target):
            _move(message, move)
            message.ids += 1


def _move(message: FeedMessage, move: Move) -> None:
    if move.queue is None or move.type is None or move.priority is None:
        message.lookup = True
        return
    job = UUID(move.job).bytes
    if move.target == "ready":
        priority = move.priority if move.new_priority is None else move.new_priority
        message.dels.pop(job, None)
        message.adds[job] = (move.queue, move.type, -priority)
    else:
        message.adds.pop(job, None)
        message.dels[job] = (move.queue, move.type)


def _recorded(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    for n, record in enumerate(part.records):
        if record.queue is not None and ("r", n) not in outcome.refused:
            _record(message, record, record.queue)


def _record(message: FeedMessage, record: Record, queue: int) -> None:
    if record.event in ("paused", "resumed"):
        message.set_queue(QueueState(queue, paused=int(record.event == "paused")))
    elif record.event in ("queue_configured", "scaled") and record.data is not None:
        data: dict[str, Any] = msgspec.json.decode(bytes(record.data))
        if record.event == "scaled" and "max_workers" not in data:
            return
        limit = data.get("max_workers")
        message.set_queue(QueueState(queue, max=NO_LIMIT if limit is None else limit))


def _started(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    if part.claim is not None:
        _settle_claim(message, part, outcome)
    for job in outcome.started:
        if part.claim is None or job.index < 0:
            type_ = _ANY_TYPE if job.index < 0 else part.starts[job.index].type
            message.adds.pop(job.job, None)
            message.dels[job.job] = (job.queue, type_)
            message.ids += 1


def _settle_claim(message: FeedMessage, part: Part, outcome: Outcome) -> None:
    assert part.claim is not None
    started: dict[tuple[int, int], list[bytes]] = {}
    back: dict[bytes, tuple[int, int, int]] = {}
    known = len(part.starts)
    for n, start in enumerate(part.starts):
        why = outcome.refused.get(("s", n)) if outcome.refused else None
        if why is None:
            started.setdefault((start.queue, start.type), []).append(start.job)
            message.adds.pop(start.job, None)
        elif why.code in _STILL_READY:
            back[start.job] = (start.queue, start.type, -start.priority)
        elif why.code == "conflict":
            known = -1  # a recovered answer: let the sweep ask
    gone = [(*place, b"".join(ids)) for place, ids in started.items()]
    message.claims.append((part.claim, known, gone, list(groups(back))))
    message.ids += len(part.starts)
