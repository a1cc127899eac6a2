"""Keeps the side tables of the log small: depth marks, batch rows, idempotency keys. A leader duty.

The log itself is not touched: what goes here can be told from it, or has served its time.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from .. import sql
from ..events.pool import Pool

INTERVAL: Final = 10.0
EXACT_FOR: Final = 60.0  # seconds for which every mark stays
BATCHES_KEPT: Final = timedelta(days=1)
_WINDOW: Final = 50_000  # positions thinned in one statement
_BATCHES: Final = 10_000
_KEYS: Final = 1000


class Pruned(Struct):
    """How many rows one round took away."""

    marks: int = 0
    batches: int = 0
    keys: int = 0


class Marks:
    """`run` until cancelled. Remembers how far it has thinned; a new leader begins a day back at most."""

    def __init__(self, pool: Pool, *, interval: float = INTERVAL) -> None:
        self._pool = pool
        self._interval = interval
        self._thinned: int | None = None

    async def run(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(self._interval)

    async def tick(self) -> Pruned:
        pruned = Pruned()
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("marks_window"), {"seconds": EXACT_FOR})
            row = await cursor.fetchone()
        assert row is not None
        oldest, until, now = row
        if oldest is not None and until is not None:
            pruned.marks = await self._thin(oldest - 1, until)
        pruned.batches = await self._prune_batches(now - BATCHES_KEPT)
        pruned.keys = await self._expire_keys()
        return pruned

    async def _thin(self, oldest: int, until: int) -> int:
        low = max(oldest, self._thinned or 0)
        gone = 0
        while low < until:
            high = min(low + _WINDOW, until)
            gone += await self._number("select hivelog.thin_marks(%s, %s)", (low, high))
            low = self._thinned = high
        return gone

    async def _prune_batches(self, cutoff: datetime) -> int:
        gone = 0
        while part := await self._number("select hivelog.prune_batches(%s, %s)", (cutoff, _BATCHES)):
            gone += part
            if part < _BATCHES:
                break
        return gone

    async def _expire_keys(self) -> int:
        gone = 0
        while True:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(sql.load("expire_idempotency"), {"limit": _KEYS})
                row = await cursor.fetchone()
            assert row is not None
            gone += int(row[0])
            if row[0] + row[1] < _KEYS:
                return gone

    async def _number(self, query: str, parameters: tuple[object, ...]) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query, parameters)).fetchone()
        assert row is not None
        return int(row[0])
