"""Arguments of the scripts. The msgpack in Redis's Lua (cmsgpack) knows strings but not the later `bin` type,
so ids travel as strings that happen to hold bytes."""

from __future__ import annotations

from typing import Any

import msgspec

pack = msgspec.msgpack.Encoder().encode


def raw(data: bytes) -> msgspec.Raw:
    """Bytes as a msgpack string."""
    size = len(data)
    if size < 32:
        head = bytes((0xA0 | size,))
    elif size < 256:
        head = bytes((0xD9, size))
    elif size < 65536:
        head = b"\xda" + size.to_bytes(2, "big")
    else:
        head = b"\xdb" + size.to_bytes(4, "big")
    return msgspec.Raw(head + data)


def raw_last(rows: list[Any]) -> list[list[Any]]:
    """Groups, whose last field is the ids."""
    return [[*row[:-1], raw(row[-1])] for row in rows]
