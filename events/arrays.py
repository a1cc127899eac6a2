"""Binary PostgreSQL arrays, built in one go.

psycopg dumps a list element by element; the append sends forty columns of up to a thousand values
each, so here a column becomes one `bytes` object in the wire format (header, then length and value of
each element) that its dumper hands through unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack_from
from typing import TypeVar

from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format

# Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
_EPOCH_SHIFT = 946_684_800_000_000
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)


class _Array(bytes):
    """A dumped array; the class names its element and array types."""

    element = 0
    array = 0


class UuidArray(_Array):
    element, array = 2950, 2951


class SmallintArray(_Array):
    element, array = 21, 1005


class IntegerArray(_Array):
    element, array = 23, 1007


class BigintArray(_Array):
    element, array = 20, 1016


class TimestampArray(_Array):
    element, array = 1184, 1185


class TextArray(_Array):
    element, array = 25, 1009


class JsonbArray(_Array):
    element, array = 3802, 3807


class ByteaArray(_Array):
    element, array = 17, 1001


_ALL = (
    UuidArray, SmallintArray, IntegerArray, BigintArray, TimestampArray, TextArray, JsonbArray,
    ByteaArray,
)  # fmt: skip


_A = TypeVar("_A", bound=_Array)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Buffer) -> Buffer:
        return obj


def register(context: AdaptContext) -> None:
    """Teach a connection to pass these arrays through."""
    for kind in _ALL:
        dumper = type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": kind.array})
        context.adapters.register_dumper(kind, dumper)


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


def _items(data: Buffer | None) -> list[bytes | None]:
    """Elements of a one-dimensional array in the wire format; NULL array = none."""
    if data is None or len(data) < 20:
        return []
    view = bytes(data)
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


def _numbers(code: str, data: Buffer | None) -> list[int]:
    if data is None or len(data) < 20:
        return []
    view = bytes(data)
    (count,) = _LENGTH.unpack_from(view, 12)
    return list(unpack_from(">" + ("i" + code) * count, view, 20)[1::2])


def load_uuids(data: Buffer | None) -> list[bytes]:
    if data is None or len(data) < 20:
        return []
    view = bytes(data)
    return [view[at : at + 16] for at in range(24, len(view), 20)]


def load_smallints(data: Buffer | None) -> list[int]:
    return _numbers("h", data)


def load_integers(data: Buffer | None) -> list[int]:
    return _numbers("i", data)


def load_bigints(data: Buffer | None) -> list[int]:
    return _numbers("q", data)


def load_byteas(data: Buffer | None) -> list[bytes | None]:
    return _items(data)


def load_optional_smallints(data: Buffer | None) -> list[int | None]:
    return [
        None if item is None else int.from_bytes(item, "big", signed=True) for item in _items(data)
    ]


def load_texts(data: Buffer | None) -> list[str]:
    return [(item or b"").decode() for item in _items(data)]


def load_jsonbs(data: Buffer | None) -> list[bytes]:
    """JSON texts, without the wire format's version byte."""
    return [(item or b"\x01")[1:] for item in _items(data)]


class _RawLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Buffer:
        return bytes(data)


def register_raw(context: AdaptContext) -> None:
    """Answer these array types as wire bytes, for the load functions above."""
    for kind in _ALL:
        context.adapters.register_loader(kind.array, _RawLoader)
