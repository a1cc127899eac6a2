"""What exactly of an event is sealed: every column, in one encoding that cannot be read in two ways.

Two formats; a seal says and signs which is its own, and both are kept for ever. The digest is SHA-256 of an
event's bytes, whose first is 0 or 255: those of a node of the tree begin with 1.

1. A zero byte and the binary form that PostgreSQL gives a record of the columns (`record_send`): the number
   of columns, then each with its type's number, its length (-1: NULL) and its value. Both have been fixed
   since PostgreSQL 8. `data` is the text of its jsonb, whose order and spaces the database makes the same
   whatever was written. Nothing is upcast: a seal is about what was written.
2. Half as long, since a digest costs by the block of 64 bytes: queue and attempt in four bytes (NULL: a
   number that no smallint is), schema, stream, position, time, version and actor, each of its fixed length;
   then a byte that says what follows, for the three events of every job without what they never have. 1:
   nothing, of `started`. 2: size and digest of the body, of `completed`. 3: size, digest (32 bytes) and
   data, of `enqueued` without a correlation. 0: type, size, digest, correlation and data as a record like
   that of format 1, of all others.

The database makes digests by the million (sql/parts/event_bytes.sql); here is the same for whoever has an
event and no database.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import pack
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.rows import TupleRow

FORMAT: Final = 2  # of new seals
FORMATS: Final = (1, 2)

_BIGINT, _INTEGER, _SMALLINT, _TEXT, _UUID, _TIME, _BYTES, _JSONB = 20, 23, 21, 25, 2950, 1184, 17, 3802
# Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
_SHIFT: Final = 946_684_800_000_000
_SHA256: Final = 32  # bytes of a digest
_NONE: Final = -32769  # a queue or an attempt that is NULL, in format 2
_SINCE: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SealedEvent(Struct, frozen=True, omit_defaults=True):
    """An event as it is sealed. `recorded_at` in microseconds since 1970, `digest` of the body and `stream`
    in hexadecimal, `data` the very text of the database; actor and queue are numbers, whose names the seal
    has."""

    position: int
    recorded_at: int
    stream: str
    version: int
    type: str
    actor: int
    body_size: int | None = None
    queue: int | None = None
    attempt: int | None = None
    schema: int = 1
    body_digest: str | None = None
    correlation: str | None = None
    data: str | None = None


def from_row(row: TupleRow) -> SealedEvent:
    """A row of sql/queries/seal_events.sql."""
    digest_text = None if row[10] is None else row[10].hex()
    values = (row[0], microseconds(row[1]), str(row[2]), *row[3:10], digest_text, *row[11:])
    return SealedEvent(*values)


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly."""
    return (moment - _SINCE) // timedelta(microseconds=1)


def epoch_of(event: SealedEvent) -> int:
    """The epoch that an `epoch_started` begins."""
    return int(msgspec.json.decode(event.data or "{}")["epoch"])


def encoded(event: SealedEvent, layout: int = FORMAT) -> bytes:
    """The bytes whose digest is in the tree. Raises ValueError or struct.error for values no column can
    hold."""
    return b"\x00" + _record_of_all(event) if layout == 1 else _head(event) + _tail(event)


def digest(event: SealedEvent, layout: int = FORMAT) -> bytes:
    return sha256(encoded(event, layout)).digest()


def _record_of_all(event: SealedEvent) -> bytes:
    return _record(
        (_BIGINT, pack(">q", event.position)), (_TIME, pack(">q", event.recorded_at - _SHIFT)),
        (_UUID, UUID(event.stream).bytes), (_INTEGER, pack(">i", event.version)),
        (_TEXT, event.type.encode()), (_INTEGER, pack(">i", event.actor)),
        (_INTEGER, _packed(">i", event.body_size)), (_SMALLINT, _packed(">h", event.queue)),
        (_SMALLINT, _packed(">h", event.attempt)), (_SMALLINT, pack(">h", event.schema)),
        (_BYTES, _bytes(event.body_digest)), (_TEXT, _text(event.correlation)), (_JSONB, _json(event.data)),
    )  # fmt: skip


def _head(event: SealedEvent) -> bytes:
    """What every event has, in format 2."""
    small = pack(">iih", _small(event.queue), _small(event.attempt), event.schema)
    numbers = (event.position, event.recorded_at - _SHIFT, event.version, event.actor)
    return small + UUID(event.stream).bytes + pack(">qqii", *numbers)


def _small(value: int | None) -> int:
    """A smallint or NULL. No other number passes for either."""
    if value is not None and not -32768 <= value <= 32767:
        raise ValueError(f"{value} is no smallint")
    return _NONE if value is None else value


def _tail(event: SealedEvent) -> bytes:
    """What differs from one type to another, in format 2."""
    size, digest, data = _packed(">i", event.body_size), _bytes(event.body_digest), _json(event.data)
    match event.type, size, digest, event.correlation, data:
        case "started", None, None, None, None:
            return b"\x01"
        case "completed", bytes(size), bytes(digest), None, None:
            return b"\x02" + size + digest
        case "enqueued", bytes(size), bytes(digest), None, bytes(data) if len(digest) == _SHA256:
            return b"\x03" + size + digest + data
    return b"\x00" + _record(
        (_TEXT, event.type.encode()), (_INTEGER, size), (_BYTES, digest),
        (_TEXT, _text(event.correlation)), (_JSONB, data),
    )  # fmt: skip


def _record(*columns: tuple[int, bytes | None]) -> bytes:
    return pack(">i", len(columns)) + b"".join(_column(*column) for column in columns)


def _packed(layout: str, value: int | None) -> bytes | None:
    return None if value is None else pack(layout, value)


def _text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)


def _json(value: str | None) -> bytes | None:
    return None if value is None else b"\x01" + value.encode()


def _column(kind: int, value: bytes | None) -> bytes:
    return pack(">Ii", kind, -1) if value is None else pack(">Ii", kind, len(value)) + value
