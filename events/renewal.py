"""Keeps young what was read from the database: read again beside those who ask, who wait only for the old.

    self._renewal = Renewal(self._read, soon=1.0, latest=2.0)
    await self._renewal.ensure()
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

# Seconds that a reading gives way to the caller who noticed that it is due: both would be slower together.
_AFTER_YOU: Final = 0.02


class Renewal:
    """`read` raises what it likes: who waits for it gets it, and beside the callers it is tried again."""

    def __init__(self, read: Callable[[], Awaitable[object]], *, soon: float, latest: float) -> None:
        """Seconds: past `soon` a reading is begun, and nobody gets what is older than `latest`."""
        self._read, self._soon, self._latest = read, soon, latest
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    @property
    def young(self) -> bool:
        """Whether `ensure` has nothing to do: for those who are called for each job."""
        return monotonic() - self._read_at <= self._soon

    async def ensure(self) -> None:
        """What was read is no older than `latest` now. Raises what `read` raises."""
        age = monotonic() - self._read_at
        if age <= self._soon:
            return
        if self._reading is None:
            self._reading = asyncio.create_task(self._renew(at_once=age > self._latest), name="renewal")
            self._reading.add_done_callback(_seen)
        if age > self._latest:
            await asyncio.shield(self._reading)

    async def now(self) -> None:
        """Read, whatever is known. Raises what `read` raises."""
        self.forget()
        await self.ensure()

    def forget(self) -> None:
        """What was read is void: the next to ask waits for a reading that begins after this."""
        self._read_at = float("-inf")
        self._reading = None

    async def _renew(self, *, at_once: bool) -> None:
        mine = asyncio.current_task()
        try:
            if not at_once:
                await asyncio.sleep(_AFTER_YOU)
            asked_at = monotonic()
            await self._read()
            if self._reading is mine:
                self._read_at = asked_at
        finally:
            if self._reading is mine:
                self._reading = None


def _seen(reading: asyncio.Task[None]) -> None:
    """Nobody may have waited: no complaint about an error that the next reading tells."""
    if not reading.cancelled():
        reading.exception()
