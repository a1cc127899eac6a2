"""One process at a time works on a replay: it holds the action's duty, as bulk actions do.

Every step is guarded all the same. The duty saves two processes from running the same handlers beside each
other, and a resumed one from counting what another is at.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import psycopg

from ..broker.action_log import duty
from ..broker.errors import Rejected
from ..broker.leadership import LEASE, RENEW, Leadership
from ..events.errors import LogError
from ..events.pool import Pool
from ..stopping import stop_tasks

_PATIENCE: Final = LEASE + RENEW  # s until a holder that died has lost it
_LOOK: Final = 0.2


class Hold:
    """`check()` before each step. Raises Rejected (conflict) when another process has it."""

    def __init__(self, pool: Pool, action_id: str) -> None:
        self._leadership, self._duty = Leadership(pool), duty(action_id)
        self._lost = False

    async def take(self, patience: float = _PATIENCE) -> None:
        """Waits for the lease of a process that died."""
        deadline = time.monotonic() + patience
        while not await self._leadership.claim([self._duty]):
            if time.monotonic() > deadline:
                raise Rejected("conflict", "another process is at work on this replay")
            await asyncio.sleep(_LOOK)

    def check(self) -> None:
        if self._lost:
            raise Rejected("conflict", "another process has taken this replay up")

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            with contextlib.suppress(psycopg.Error, LogError):
                self._lost = not await self._leadership.claim([self._duty])

    async def release(self) -> None:
        with contextlib.suppress(psycopg.Error, LogError):  # its time ends by itself
            await self._leadership.release([self._duty])


@contextlib.asynccontextmanager
async def held(pool: Pool, action_id: str) -> AsyncIterator[Hold]:
    hold = Hold(pool, action_id)
    await hold.take()
    keeping = asyncio.create_task(hold.keep(), name="replay's duty")
    try:
        yield hold
    finally:
        await stop_tasks(keeping)
        await hold.release()
