"""Values in PostgreSQL's binary wire format, whole columns at a time.

An append sends and takes columns of up to thousands of values. A column is made in pieces: `uuids` and its
like give the elements (length and value of each), `array` puts a header before the pieces of one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, pack
from typing import Final

# Object ids of the element types.
UUID: Final = 2950
SMALLINT: Final = 21
INTEGER: Final = 23
BIGINT: Final = 20
TIMESTAMP: Final = 1184
TEXT: Final = 25
JSONB: Final = 3802
BYTEA: Final = 17

# Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
_EPOCH_SHIFT = 946_684_800_000_000
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)
_HEADER = Struct(">iiIii")


def array(element: int, count: int, pieces: Sequence[bytes]) -> bytes:
    """A one-dimensional array; the server finds out by itself whether there are NULLs."""
    return b"".join((_header(element, count), *pieces))


def whole(element: int, count: int, elements: bytes) -> bytes:
    """An array whose elements are in one piece."""
    return _header(element, count) + elements


@lru_cache(512)
def _header(element: int, count: int) -> bytes:
    return _HEADER.pack(1, 1, element, count, 1)


def nulls(count: int) -> bytes:
    return _NULL * count


def _varying(items: Sequence[bytes | None], mark: bytes = b"") -> bytes:
    """`mark` stands before each value (not before a NULL)."""
    if None in items:
        return b"".join([_NULL if item is None else _one(item, mark) for item in items])
    if len(sizes := set(map(len, items))) == 1:  # type: ignore[arg-type]  # no None in it
        before = _LENGTH.pack(sizes.pop() + len(mark)) + mark
        return before + before.join(items)  # type: ignore[arg-type]
    return b"".join([_one(item, mark) for item in items])  # type: ignore[arg-type]


def _one(item: bytes, mark: bytes) -> bytes:
    return _LENGTH.pack(len(item) + len(mark)) + mark + item


@lru_cache(512)
def _layout(code: str, count: int) -> Struct:
    return Struct(">" + ("i" + code) * count)


def _fixed(code: str, size: int, items: Sequence[int | None]) -> bytes:
    if None in items:
        one = Struct(">" + code)
        return _varying([None if item is None else one.pack(item) for item in items])
    if items and items.count(items[0]) == len(items):  # most columns have one value: packed once
        return _layout(code, 1).pack(size, items[0]) * len(items)
    flat: list[int] = [size] * (2 * len(items))
    flat[1::2] = items  # type: ignore[assignment]  # no None in it
    return _layout(code, len(items)).pack(*flat)


def uuids(items: Sequence[bytes]) -> bytes:
    """16-byte ids."""
    return _UUID_LENGTH + _UUID_LENGTH.join(items) if items else b""


def smallints(items: Sequence[int | None]) -> bytes:
    return _fixed("h", 2, items)


def integers(items: Sequence[int | None]) -> bytes:
    return _fixed("i", 4, items)


def bigints(items: Sequence[int | None]) -> bytes:
    return _fixed("q", 8, items)


def timestamps(items: Sequence[int | None]) -> bytes:
    """Milliseconds since the Unix epoch."""
    return _fixed("q", 8, [None if item is None else item * 1000 - _EPOCH_SHIFT for item in items])


def texts(items: Sequence[str | None]) -> bytes:
    return _varying([None if item is None else item.encode() for item in items])


def jsonbs(items: Sequence[bytes | None]) -> bytes:
    """JSON texts; the wire format puts a version byte before each."""
    return _varying(items, b"\x01")


def byteas(items: Sequence[bytes | None]) -> bytes:
    return _varying(items)


def _items(data: bytes | None) -> list[bytes | None]:
    """Elements of a one-dimensional array in the wire format; NULL array = none."""
    if data is None or len(data) < 20:
        return []
    (count,) = _LENGTH.unpack_from(data, 12)
    if len(data) == 20 + 4 * count and data[20:] == _NULL * count:
        return [None] * count  # no keys, no wrapped keys: the columns that are often so
    items: list[bytes | None] = []
    at = 20
    for _ in range(count):
        (size,) = _LENGTH.unpack_from(data, at)
        at += 4
        if size < 0:
            items.append(None)
        else:
            items.append(data[at : at + size])
            at += size
    return items


def _numbers(code: str, data: bytes | None) -> list[int]:
    if data is None or len(data) < 20:
        return []
    (count,) = _LENGTH.unpack_from(data, 12)
    return list(_layout(code, count).unpack_from(data, 20)[1::2])


def load_uuids(data: bytes | None) -> list[bytes]:
    if data is None or len(data) < 20:
        return []
    return [data[at : at + 16] for at in range(24, len(data), 20)]


def load_smallints(data: bytes | None) -> list[int]:
    return _numbers("h", data)


def load_integers(data: bytes | None) -> list[int]:
    return _numbers("i", data)


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
