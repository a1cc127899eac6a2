"""Job ids: UUIDv7 as 16 bytes inside, hex with dashes outside.

Jobs of one priority run in the order of their ids, so ids of one process never go back: not within
a millisecond, not when the clock is set back. Across processes they are as good as the clocks, and
those are all corrected to the database's.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from struct import Struct, pack, unpack
from typing import Final

_VERSION: Final = 0x7000
_VARIANT: Final = 0x8000_0000_0000_0000
_RANDOM: Final = 0x3FFF_FFFF_FFFF_FFFF
_WORDS: Final = Struct("256Q")
_FEW: Final = 8
_TEXT: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)


def _local_clock() -> int:
    return time.time_ns() // 1_000_000


class Minter:
    """Mints ids from a clock (milliseconds since 1970) plus an offset.

    The 12 bits after the version count within the millisecond. A full count, or a clock that stands
    or goes back, borrows from the next millisecond: order before accuracy.
    """

    def __init__(self, clock: Callable[[], int] = _local_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._offset = 0
        self._last = 0  # milliseconds << 12 | count
        self._random: list[int] = []
        # A child that went on with its parent's numbers would mint its parent's ids.
        os.register_at_fork(after_in_child=self._random.clear)

    def correct(self, offset: int) -> None:
        """Set what the database's clock is ahead of ours, in milliseconds (negative: behind)."""
        self._offset = offset

    def mint(self) -> bytes:
        with self._lock:
            tick = self._last = max(self._last + 1, (self._clock() + self._offset) << 12)
            return _id(tick, self._draw())

    def mint_many(self, count: int) -> list[bytes]:
        """`count` ids, ascending."""
        with self._lock:
            first = max(self._last + 1, (self._clock() + self._offset) << 12)
            self._last = first + count - 1
            if count <= _FEW:
                return [_id(tick, self._draw()) for tick in range(first, first + count)]
        return _made(range(first, first + count))

    def _draw(self) -> int:
        # A system call an id would cost more than the id.
        if not self._random:
            self._random += _WORDS.unpack(os.urandom(_WORDS.size))
        return self._random.pop()


def _id(tick: int, random: int) -> bytes:
    high = (tick >> 12) << 16 | _VERSION | tick & 0xFFF
    return (high << 64 | _VARIANT | random & _RANDOM).to_bytes(16, "big")


def _made(ticks: range) -> list[bytes]:
    """The same for many, all their words packed at once."""
    words = [0] * (2 * len(ticks))
    words[::2] = [(tick >> 12) << 16 | _VERSION | tick & 0xFFF for tick in ticks]
    drawn = unpack(f"{len(ticks)}Q", os.urandom(8 * len(ticks)))
    words[1::2] = [_VARIANT | word & _RANDOM for word in drawn]
    packed = pack(f">{len(words)}Q", *words)
    return [packed[at : at + 16] for at in range(0, len(packed), 16)]


_process = Minter()
mint = _process.mint
mint_many = _process.mint_many
correct_clock = _process.correct


def to_text(job: bytes) -> str:
    """16 bytes -> "0190163d-8694-739b-aea5-966c26f8ad91". Raises ValueError on another length."""
    if len(job) != 16:
        raise ValueError("a job id has 16 bytes")
    text = job.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def from_text(text: str) -> bytes:
    """The 16 bytes of a UUIDv7 in its usual form, either case. Raises ValueError."""
    if not _TEXT.fullmatch(text):
        raise ValueError("must be a job id: a UUIDv7 such as 0190163d-8694-739b-aea5-966c26f8ad91")
    return bytes.fromhex(text.replace("-", ""))


def job_time(job: bytes) -> int:
    """When the id was minted, in milliseconds since 1970."""
    return int.from_bytes(job[:6], "big")
