"""The Lua that Redis runs: one script a file, its interface in the header comment.

Works on Redis 6.2, 7 and later, and Valkey. `load` puts the shared parts in front, so that a script reads
like a program and arrives as one.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from typing import Final, Literal

Name = Literal[
    "feed", "claim", "give_back", "expired", "sweep", "rebuild_begin", "rebuild_load", "rebuild_swap",
    "audit", "announce",
]  # fmt: skip

NAMES: Final[tuple[Name, ...]] = (
    "feed", "claim", "give_back", "expired", "sweep", "rebuild_begin", "rebuild_load", "rebuild_swap",
    "audit", "announce",
)  # fmt: skip
_APPLIES: Final = ("feed", "rebuild_swap")


@functools.cache
def load(name: Name) -> bytes:
    """The whole text of a script."""
    parts = ["prelude", *(["apply"] if name in _APPLIES else []), name]
    return b"\n".join(_text(part) for part in parts)


@functools.cache
def digest(name: Name) -> bytes:
    """What EVALSHA calls it by."""
    return hashlib.sha1(load(name), usedforsecurity=False).hexdigest().encode()


def _text(part: str) -> bytes:
    return (files(__package__) / f"{part}.lua").read_bytes()
