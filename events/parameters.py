"""From the parts of a batch to a call of `hivelog.append`: its statement, and the parameters as wire values.

A batch that only enqueues, and a worker's turn, have statements of their own with few parameters; what
mixes or is rare takes the one with all of them.

Time between two appends is time that the database waits. So `prepare` makes the elements of a part's columns
beforehand, when it is big or there is time; those of many small parts are made together, which costs less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from . import arrays, times
from .batch import End, Enqueue, Part, Section, Start
from .statement import Value

# A worker's claims never weigh more than this in payloads (one larger payload alone still passes).
_CLAIM_BYTES = arrays.bigint(16 * 1024 * 1024)
_SMALL_BODY = 8 * 1024
MANY = 32  # rows of a part that had better be prepared

# The statements, by the names of their files in sql/queries.
Call = Literal["append_enqueues", "append_turn", "append_any"]
CALLS: tuple[Call, ...] = ("append_enqueues", "append_turn", "append_any")

# Element types of the columns of each hot section, in the order of hivelog.append.
_ENQUEUE: Final = (
    arrays.UUID, arrays.SMALLINT, arrays.INTEGER, arrays.SMALLINT, arrays.INTEGER, arrays.TIMESTAMP,
    arrays.TIMESTAMP, arrays.TEXT, arrays.INTEGER, arrays.BYTEA, arrays.BYTEA, arrays.SMALLINT,
    arrays.BYTEA, arrays.BYTEA,
)  # fmt: skip
_SPEC_AT: Final = 8  # where n_spec and n_spec_of stand among them
# PostgreSQL walks through an array of JSON to find an element.
_FEW_SPECS: Final = 16
_END: Final = (
    arrays.UUID, arrays.BIGINT, arrays.TEXT, arrays.INTEGER, arrays.TIMESTAMP, arrays.SMALLINT,
    arrays.JSONB, arrays.INTEGER, arrays.BYTEA, arrays.SMALLINT, arrays.BYTEA,
)  # fmt: skip
_START: Final = (arrays.INTEGER, arrays.SMALLINT, arrays.INTEGER, arrays.SMALLINT, arrays.UUID)


class Elements(Struct):
    """A hot section of one part: how many, and the elements of each column; None: all of them NULL."""

    count: int
    columns: list[bytes | None]


def prepare(part: Part) -> None:
    """Make the elements of the part's hot sections now, as far as they are not made."""
    made = part.elements = part.elements or {}
    for section, (name, make) in _SECTIONS.items():
        if section not in made and (items := getattr(part, name)):
            made[section] = make(items)


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
        return _enqueue_parameters(parts)
    if call == "append_turn":
        return [*_end_parameters(parts), *_columns("s", _START, parts), _CLAIM_BYTES]
    cutoffs = [part.cutoff for part in parts if part.cutoff is not None]
    return [
        *_enqueue_parameters(parts),
        *_end_parameters(parts),
        # The most careful of the cutoffs: a later heartbeat saves the session from all of them.
        times.to_text(min(cutoffs)) if cutoffs else None,
        _json([item for part in parts for item in part.moves]),
        _json([item for part in parts for item in part.records]),
        *_columns("s", _START, parts),
        _json([item for part in parts for item in part.picks]),
        _CLAIM_BYTES,
    ]


def _enqueue_parameters(parts: list[Part]) -> list[Value]:
    columns = _columns("n", _ENQUEUE, parts)
    columns[_SPEC_AT:_SPEC_AT] = _specs(parts)
    return [*columns, _keys(parts), arrays.boolean(any(part.outbox for part in parts))]


def _specs(parts: list[Part]) -> tuple[Value, Value]:
    """The specs, and which of them is whose: parsing JSON is a tenth of what an enqueued row costs."""
    specs = [item.spec for part in parts for item in part.enqueues]
    numbers = {spec: number for number, spec in enumerate(dict.fromkeys(specs), 1)}
    if not numbers:
        return None, None
    if len(numbers) > _FEW_SPECS:
        return arrays.array(arrays.JSONB, len(specs), [arrays.jsonbs(specs)]), None
    whose = arrays.smallints([numbers[spec] for spec in specs])
    return (
        arrays.array(arrays.JSONB, len(numbers), [arrays.jsonbs(list(numbers))]),
        arrays.array(arrays.SMALLINT, len(specs), [whose]),
    )


def _end_parameters(parts: list[Part]) -> list[Value]:
    columns = _columns("e", _END, parts)
    tokens = [end.token for part in parts for end in part.ends]
    if len(set(tokens)) < len(tokens):
        columns[1] = arrays.array(arrays.BIGINT, len(tokens), [arrays.bigints(_once(tokens))])
    # Large bodies are written before the lock is taken; small ones cost less beside their event.
    large = any(end.body is not None and len(end.body) > _SMALL_BODY for part in parts for end in part.ends)
    return [*columns, arrays.boolean(large)]


def _once(tokens: list[int]) -> list[int]:
    """A lease ends once: whoever names it again in the batch names one that is over."""
    seen: set[int] = set()
    return [0 if token in seen or seen.add(token) else token for token in tokens]  # type: ignore[func-returns-value]


def _columns(section: Section, types: Sequence[int], parts: list[Part]) -> list[Value]:
    """The section's columns over all parts."""
    found = _elements(section, parts)
    if not found:
        return [None] * len(types)
    if len(found) == 1:  # the usual: nothing to put together
        one = found[0]
        return [
            None if column is None else arrays.whole(element, one.count, column)
            for element, column in zip(types, one.columns, strict=True)
        ]
    count = sum(each.count for each in found)
    columns: list[Value] = []
    for n, element in enumerate(types):
        if all(each.columns[n] is None for each in found):
            columns.append(None)
        else:
            pieces = [each.columns[n] or arrays.nulls(each.count) for each in found]
            columns.append(arrays.array(element, count, pieces))
    return columns


def _elements(section: Section, parts: list[Part]) -> list[Elements]:
    """Those that are made, and one for each run of parts whose are not."""
    name, make = _SECTIONS[section]
    found: list[Elements] = []
    loose: list[Any] = []
    for part in parts:
        made = part.elements and part.elements.get(section)
        if not made:
            loose += getattr(part, name)
            continue
        if loose:
            found.append(make(loose))
            loose = []
        found.append(made)
    if loose:
        found.append(make(loose))
    return found


def _sparse(items: Sequence[object]) -> bool:
    return items.count(None) < len(items)


def _enqueues(items: list[Enqueue]) -> Elements:
    due = [x.due for x in items]
    expires = [x.expires for x in items]
    correlation = [x.correlation for x in items]
    kek = [x.kek for x in items]
    return Elements(len(items), [
        arrays.uuids([x.job for x in items]),
        arrays.smallints([x.queue for x in items]),
        arrays.integers([x.type for x in items]),
        arrays.smallints([x.priority for x in items]),
        arrays.integers([x.actor for x in items]),
        arrays.timestamps(due) if _sparse(due) else None,
        arrays.timestamps(expires) if _sparse(expires) else None,
        arrays.texts(correlation) if _sparse(correlation) else None,
        arrays.integers([x.size for x in items]),
        arrays.byteas([x.digest for x in items]),
        arrays.byteas([x.salt for x in items]),
        arrays.smallints(kek) if _sparse(kek) else None,
        arrays.byteas([x.wrapped for x in items]) if _sparse(kek) else None,
        arrays.byteas([x.body for x in items]),
    ])  # fmt: skip


def _ends(items: list[End]) -> Elements:
    actor = [x.actor for x in items]
    due = [x.due for x in items]
    retry = [x.retry for x in items]
    data = [x.data for x in items]
    body = [x.body for x in items]
    bodies = _sparse(body)
    return Elements(len(items), [
        arrays.uuids([x.job for x in items]),
        arrays.bigints([x.token for x in items]),
        arrays.texts([x.event for x in items]),
        arrays.integers(actor) if _sparse(actor) else None,
        arrays.timestamps(due) if _sparse(due) else None,
        arrays.smallints(retry) if _sparse(retry) else None,
        arrays.jsonbs(data) if _sparse(data) else None,
        arrays.integers([x.size for x in items]) if bodies else None,
        arrays.byteas([x.digest for x in items]) if bodies else None,
        arrays.smallints([x.slot for x in items]) if bodies else None,
        arrays.byteas(body) if bodies else None,
    ])  # fmt: skip


def _starts(items: list[Start]) -> Elements:
    return Elements(len(items), [
        arrays.integers([x.session for x in items]),
        arrays.smallints([x.queue for x in items]),
        arrays.integers([x.type for x in items]),
        arrays.smallints([x.priority for x in items]),
        arrays.uuids([x.job for x in items]),
    ])  # fmt: skip


_SECTIONS: Final[dict[Section, tuple[str, Callable[[Any], Elements]]]] = {
    "n": ("enqueues", _enqueues), "e": ("ends", _ends), "s": ("starts", _starts),
}  # fmt: skip


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
