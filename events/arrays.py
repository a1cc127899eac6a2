"""Values in PostgreSQL's binary wire format, whole columns at a time.

The append sends and takes columns of up to a thousand values; here one becomes one `bytes` object
(header, then length and value of each element) and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack_from
from typing import TypeVar

# Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
_EPOCH_SHIFT = 946_684_800_000_000
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)


class _Array(bytes):
    """An array on the wire; the class names the type of its elements."""

    element = 0


class UuidArray(_Array):
    element = 2950


class SmallintArray(_Array):
    element = 21


class IntegerArray(_Array):
    element = 23


class BigintArray(_Array):
    element = 20


class TimestampArray(_Array):
    element = 1184


class TextArray(_Array):
    element = 25


class JsonbArray(_Array):
    element = 3802


class ByteaArray(_Array):
    element = 17


_A = TypeVar("_A", bound=_Array)


def _header(element: int, count: int, nulls: bool) -> bytes:
    return pack(">iiIii", 1, nulls, element, count, 1)


def _varying(kind: type[_A], items: Sequence[bytes | None]) -> _A:
    parts = [_header(kind.element, len(items), None in items)]
    for item in items:
        if item is None:
            parts.append(_NULL)
        else:
            parts.append(_LENGTH.pack(len(item)))
            parts.append(item)
    return kind(b"".join(parts))


def _fixed(kind: type[_A], code: str, size: int, items: Sequence[int | None]) -> _A:
    count = len(items)
    if None in items:
        one = Struct(">" + code)
        return _varying(kind, [None if item is None else one.pack(item) for item in items])
    flat: list[int] = [size] * (2 * count)
    flat[1::2] = items  # type: ignore[assignment]  # no None in it
    return kind(_header(kind.element, count, False) + pack(">" + ("i" + code) * count, *flat))


def uuids(items: Sequence[bytes | None]) -> UuidArray:
    """16-byte ids."""
    if None in items:
        return _varying(UuidArray, items)
    body = _UUID_LENGTH + _UUID_LENGTH.join(items) if items else b""  # type: ignore[arg-type]
    return UuidArray(_header(UuidArray.element, len(items), False) + body)


def smallints(items: Sequence[int | None]) -> SmallintArray:
    return _fixed(SmallintArray, "h", 2, items)


def integers(items: Sequence[int | None]) -> IntegerArray:
    return _fixed(IntegerArray, "i", 4, items)


def bigints(items: Sequence[int | None]) -> BigintArray:
    return _fixed(BigintArray, "q", 8, items)


def timestamps(items: Sequence[int | None]) -> TimestampArray:
    """Milliseconds since the Unix epoch."""
    return _fixed(
        TimestampArray,
        "q",
        8,
        [None if item is None else item * 1000 - _EPOCH_SHIFT for item in items],
    )


def texts(items: Sequence[str | None]) -> TextArray:
    return _varying(TextArray, [None if item is None else item.encode() for item in items])


def jsonbs(items: Sequence[bytes | None]) -> JsonbArray:
    """JSON texts; the wire format puts a version byte before each."""
    return _varying(JsonbArray, [None if item is None else b"\x01" + item for item in items])


def byteas(items: Sequence[bytes | None]) -> ByteaArray:
    return _varying(ByteaArray, items)


def _items(data: bytes | None) -> list[bytes | None]:
    """Elements of a one-dimensional array in the wire format; NULL array = none."""
    if data is None or len(data) < 20:
        return []
    view = data
    (count,) = _LENGTH.unpack_from(view, 12)
    items: list[bytes | None] = []
    at = 20
    for _ in range(count):
        (size,) = _LENGTH.unpack_from(view, at)
        at += 4
        if size < 0:
            items.append(None)
        else:
            items.append(view[at : at + size])
            at += size
    return items


def _numbers(code: str, data: bytes | None) -> list[int]:
    if data is None or len(data) < 20:
        return []
    view = data
    (count,) = _LENGTH.unpack_from(view, 12)
    return list(unpack_from(">" + ("i" + code) * count, view, 20)[1::2])


def load_uuids(data: bytes | None) -> list[bytes]:
    if data is None or len(data) < 20:
        return []
    view = data
    return [view[at : at + 16] for at in range(24, len(view), 20)]


def load_smallints(data: bytes | None) -> list[int]:
    return _numbers("h", data)


def load_integers(data: bytes | None) -> list[int]:
    return _numbers("i", data)


def load_bigints(data: bytes | None) -> list[int]:
    return _numbers("q", data)


def load_byteas(data: bytes | None) -> list[bytes | None]:
    return _items(data)


def load_optional_smallints(data: bytes | None) -> list[int | None]:
    return [
        None if item is None else int.from_bytes(item, "big", signed=True) for item in _items(data)
    ]


def load_texts(data: bytes | None) -> list[str]:
    return [(item or b"").decode() for item in _items(data)]


def load_jsonbs(data: bytes | None) -> list[bytes]:
    """JSON texts, without the wire format's version byte."""
    return [(item or b"\x01")[1:] for item in _items(data)]


def integer(value: int) -> bytes:
    return pack(">i", value)


def bigint(value: int) -> bytes:
    return pack(">q", value)


def boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def load_bigint(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big", signed=True)


def load_timestamp(data: bytes | None) -> int:
    """Milliseconds since 1970."""
    return (load_bigint(data) + _EPOCH_SHIFT) // 1000
