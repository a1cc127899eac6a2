"""The database's time, as well as this process can know it without asking each time.

Decisions are the database's; this clock serves what only has to be close: the time in a new job's id
and the day that an idempotency key is kept.
"""

from __future__ import annotations

import time
from typing import Final

from ..events import ids
from ..events.log import milliseconds
from ..events.pool import Connection, Pool

_STALE_AFTER: Final = 30.0
# Below this a correction would only add the jitter of its own measurement.
_NOTICEABLE: Final = 5


async def database_now(connection: Connection) -> int:
    """The database's time in milliseconds."""
    row = await (await connection.execute("select hivelog.now()")).fetchone()
    assert row is not None
    return milliseconds(row[0])


class DatabaseClock:
    """Offset of the database's clock to ours, measured again every 30 s of use."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._offset = 0.0
        self._read_at = float("-inf")

    async def refresh(self) -> None:
        """Measure now; corrects the ids that this process mints."""
        async with self._pool.connection() as connection:
            before = time.time()
            theirs = await database_now(connection)
            ours = (before + time.time()) * 500
        self._offset = theirs - ours
        ids.correct_clock(round(self._offset) if abs(self._offset) > _NOTICEABLE else 0)
        self._read_at = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether it is time to measure again."""
        return time.monotonic() - self._read_at > _STALE_AFTER

    async def now(self) -> int:
        """Milliseconds since 1970, a few milliseconds off at most while clocks run evenly."""
        if self.stale:
            await self.refresh()
        return round(time.time() * 1000 + self._offset)
