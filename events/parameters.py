"""From the parts of a batch to a call of `hivelog.append`: its statement, and the parameters as wire values.

A batch that only enqueues, and a worker's turn, have statements of their own with few parameters; what
mixes or is rare takes the one with all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from . import arrays, times
from .batch import End, Enqueue, Part, Start
from .statement import Value

# A worker's claims never weigh more than this in payloads (one larger payload alone still passes).
_CLAIM_BYTES = arrays.bigint(16 * 1024 * 1024)
_SMALL_BODY = 8 * 1024

# The statements, by the names of their files in sql/queries.
Call = Literal["append_enqueues", "append_turn", "append_any"]
CALLS: tuple[Call, ...] = ("append_enqueues", "append_turn", "append_any")


def call_of(parts: list[Part]) -> Call:
    """The narrowest statement that can say all of it."""
    if any(p.moves or p.records or p.picks or p.cutoff is not None for p in parts):
        return "append_any"
    enqueues = any(p.enqueues for p in parts)
    turn = any(p.ends or p.starts for p in parts)
    if enqueues and turn:
        return "append_any"
    return "append_enqueues" if enqueues else "append_turn"


def parameters(call: Call, parts: list[Part]) -> list[Value]:
    """The statement's parameters after batch id and epoch."""
    if call == "append_enqueues":
        return _enqueues(parts)
    if call == "append_turn":
        ends, starts = _joined(parts, "ends"), _joined(parts, "starts")
        return [*_end_columns(ends), *_start_columns(starts), _CLAIM_BYTES]  # type: ignore[arg-type]
    return _any(parts)


def _enqueues(parts: list[Part]) -> list[Value]:
    return [
        *_enqueue_columns(_joined(parts, "enqueues")),  # type: ignore[arg-type]
        _keys(parts),
        arrays.boolean(any(part.outbox for part in parts)),
    ]


def _any(parts: list[Part]) -> list[Value]:
    cutoffs = [part.cutoff for part in parts if part.cutoff is not None]
    return [
        *_enqueues(parts),
        *_end_columns(_joined(parts, "ends")),  # type: ignore[arg-type]
        # The most careful of the cutoffs: a later heartbeat saves the session from all of them.
        times.to_text(min(cutoffs)) if cutoffs else None,
        _json(_joined(parts, "moves")),
        _json(_joined(parts, "records")),
        *_start_columns(_joined(parts, "starts")),  # type: ignore[arg-type]
        _json(_joined(parts, "picks")),
        _CLAIM_BYTES,
    ]


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
