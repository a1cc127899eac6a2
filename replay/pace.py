"""How fast a replay may go: `--rate 50/s`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

_RATE: Final = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(?:/([smh]))?")
_SECONDS: Final = {None: 1, "s": 1, "m": 60, "h": 3600}


def rate(text: str) -> float:
    """`50/s`, `100/m`, `20` -> jobs a second. Raises ValueError."""
    found = _RATE.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ValueError(f"must be such as 50/s or 100/m, not {text!r}")
    return float(found[1]) / _SECONDS[found[2]]


class Pace:
    """Waits so that no more than `rate` jobs a second are let through; None: no limit."""

    def __init__(
        self, rate: float | None, *, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free_at = 0.0  # when the next may go

    def chunk(self, most: int) -> int:
        """How many to take at once, so that a second is not made of one burst."""
        return most if self._rate is None else max(1, min(most, int(self._rate / 4)))

    async def take(self, jobs: int) -> None:
        """Before that many go."""
        if self._rate is None:
            return
        now = self._clock()
        begin = max(self._free_at, now)
        self._free_at = begin + jobs / self._rate
        if begin > now:
            await self._sleep(begin - now)
