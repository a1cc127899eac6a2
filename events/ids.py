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
from array import array
from collections.abc import Callable, Iterable, Sequence
from struct import Struct, pack
from typing import Final

_VERSION: Final = 0x7000
_HALF: Final = Struct(">Q")
_DRAWN: Final = 256  # lower halves at once: a system call an id would cost more than the id
_VARIANTS: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))  # of a byte, that the variant begins with
_FEW: Final = 8
_TEXT: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)
_DIGITS_AT: Final = tuple(place for place in range(36) if place not in (8, 13, 18, 23))


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
        self._lows: list[bytes] = []
        # A child that went on with its parent's numbers would mint its parent's ids.
        os.register_at_fork(after_in_child=self._lows.clear)

    def correct(self, offset: int) -> None:
        """Set what the database's clock is ahead of ours, in milliseconds (negative: behind)."""
        self._offset = offset

    def mint(self) -> bytes:
        with self._lock:
            tick = self._clock() + self._offset << 12
            if tick <= self._last:
                tick = self._last + 1
            self._last = tick
            return self._id(tick)

    def mint_many(self, count: int) -> list[bytes]:
        """`count` ids, ascending."""
        with self._lock:
            first = max(self._last + 1, (self._clock() + self._offset) << 12)
            self._last = first + count - 1
            if count <= _FEW:
                return [self._id(tick) for tick in range(first, first + count)]
        return _made(range(first, first + count))

    def _id(self, tick: int) -> bytes:
        if not self._lows:
            drawn = _drawn(_DRAWN)
            self._lows += [drawn[at : at + 8] for at in range(0, len(drawn), 8)]
        return _HALF.pack(_high(tick)) + self._lows.pop()


def _high(tick: int) -> int:
    return tick >> 12 << 16 | _VERSION | tick & 0xFFF


def _drawn(count: int) -> bytes:
    """Lower halves: random, but for the variant."""
    drawn = bytearray(os.urandom(8 * count))
    drawn[::8] = drawn[::8].translate(_VARIANTS)
    return bytes(drawn)


def _made(ticks: range) -> list[bytes]:
    """The same for many, all their halves at once."""
    count = len(ticks)
    words = array("Q", bytes(16 * count))
    words[::2] = array("Q", pack(f">{count}Q", *_highs(ticks)))
    words[1::2] = array("Q", _drawn(count))
    packed = words.tobytes()
    return [packed[at : at + 16] for at in range(0, len(packed), 16)]


def _highs(ticks: range) -> Iterable[int]:
    """The upper halves; those of one millisecond follow each other."""
    first, last = _high(ticks[0]), _high(ticks[-1])
    return range(first, last + 1) if last - first == len(ticks) - 1 else map(_high, ticks)


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


def to_texts(jobs: Sequence[bytes]) -> list[str]:
    """`to_text` of many: each of the 32 digits of all of them at once."""
    digits = b"".join(jobs).hex().encode()
    text = bytearray(b"-" * (36 * len(jobs)))
    for number, place in enumerate(_DIGITS_AT):
        text[place::36] = digits[number::32]
    whole = text.decode()
    return [whole[at : at + 36] for at in range(0, len(whole), 36)]


def from_text(text: str) -> bytes:
    """The 16 bytes of a UUIDv7 in its usual form, either case. Raises ValueError."""
    if not _TEXT.fullmatch(text):
        raise ValueError("must be a job id: a UUIDv7 such as 0190163d-8694-739b-aea5-966c26f8ad91")
    return bytes.fromhex(text.replace("-", ""))


def job_time(job: bytes) -> int:
    """When the id was minted, in milliseconds since 1970."""
    return int.from_bytes(job[:6], "big")
