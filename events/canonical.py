"""What exactly of an event is sealed: every column, in one encoding that cannot be read in two ways.

An event's bytes are the binary form that PostgreSQL gives a record of its columns (`record_send`): the
number of columns, then each with its type's number, its length (-1: NULL) and its value. Both have been
fixed since PostgreSQL 8. `data` is the text of its jsonb, whose order and spaces the database makes the
same whatever was written. Nothing is upcast: a seal is about what was written. The digest is SHA-256 of a
zero byte and these bytes.

The database makes digests by the million (sql/queries/seal_digests.sql); here is the same for whoever has an
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

FORMAT: Final = 1

_BIGINT, _INTEGER, _SMALLINT, _TEXT, _UUID, _TIME, _BYTES, _JSONB = 20, 23, 21, 25, 2950, 1184, 17, 3802
# Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
_SHIFT: Final = 946_684_800_000_000
_COLUMNS: Final = 13
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


def encoded(event: SealedEvent) -> bytes:
    """The bytes whose digest is in the tree. Raises ValueError or struct.error for values no column can
    hold."""
    digest = None if event.body_digest is None else bytes.fromhex(event.body_digest)
    columns = (
        (_BIGINT, pack(">q", event.position)), (_TIME, pack(">q", event.recorded_at - _SHIFT)),
        (_UUID, UUID(event.stream).bytes), (_INTEGER, pack(">i", event.version)),
        (_TEXT, event.type.encode()), (_INTEGER, pack(">i", event.actor)),
        (_INTEGER, _packed(">i", event.body_size)), (_SMALLINT, _packed(">h", event.queue)),
        (_SMALLINT, _packed(">h", event.attempt)), (_SMALLINT, pack(">h", event.schema)),
        (_BYTES, digest), (_TEXT, _text(event.correlation)),
        (_JSONB, None if event.data is None else b"\x01" + event.data.encode()),
    )  # fmt: skip
    return pack(">i", _COLUMNS) + b"".join(_column(*column) for column in columns)


def digest(event: SealedEvent) -> bytes:
    return sha256(b"\x00" + encoded(event)).digest()


def _packed(layout: str, value: int | None) -> bytes | None:
    return None if value is None else pack(layout, value)


def _text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _column(kind: int, value: bytes | None) -> bytes:
    return pack(">Ii", kind, -1) if value is None else pack(">Ii", kind, len(value)) + value
