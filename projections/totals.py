"""What ever happened in each queue: counts that only grow, and how long jobs waited and ran.

    totals = Totals()
    await totals.read(connection)       # {"reports": QueueTotal(...)}

Hours that are over never change, so they are added up once; a later read costs the newest hour, however
long the history.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from math import ceil, inf
from typing import Any, Final

from msgspec import Struct, field

from .. import sql
from ..events.pool import Connection

_COUNTED: Final = ("enqueued", "started", "completed", "failed", "cancelled", "expired", "lost")
_LAST: Final = 48  # 2^24 ms: four and a half hours
# Times are whole milliseconds, so a slot that ends before 2^(n/2) ms ends at the whole one below it. The
# first two have no millisecond of their own.
EDGES: Final = tuple((n, (ceil(2 ** (n / 2)) - 1) / 1000) for n in range(2, _LAST + 1))


class QueueTotal(Struct):
    """Counts by name; histograms by slot, see queue_totals.sql. Failed, cancelled include lost ones' ends."""

    counts: Counter[str] = field(default_factory=Counter)
    wait_ms: int = 0
    run_ms: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    def __add__(self, other: QueueTotal) -> QueueTotal:
        return QueueTotal(
            self.counts + other.counts, self.wait_ms + other.wait_ms, self.run_ms + other.run_ms,
            self.waits + other.waits, self.runs + other.runs,
        )  # fmt: skip


def cumulative(slots: Counter[int]) -> list[tuple[float, int]]:
    """(seconds, how many took at most that long), then (infinity, how many there are)."""
    found = [(edge, sum(n for slot, n in slots.items() if slot <= last)) for last, edge in EDGES]
    return [*found, (inf, slots.total())]


class Totals:
    """Remembers the hours that are over."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._forget()

    def _forget(self) -> None:
        self._generation, self._position = 0, 0
        self._since: datetime | None = None
        self._closed: dict[str, QueueTotal] = {}

    def forget(self) -> None:
        """At the next question: what is remembered may be of a tail that the log has lost."""
        self._generation = -1

    async def read(self, connection: Connection) -> dict[str, QueueTotal]:
        """By queue, all that are not deleted."""
        async with self._lock:  # an hour must not be added twice
            rows = await self._rows(connection)
            if rows and (rows[0].generation != self._generation or rows[0].position < self._position):
                # Rebuilt meanwhile, or restored: what was added up may be another history's.
                self._forget()
                rows = await self._rows(connection)
            return self._added(rows)

    async def _rows(self, connection: Connection) -> list[_Part]:
        cursor = await connection.execute(sql.load("queue_totals"), {"since": self._since})
        return [_part(row) for row in await cursor.fetchall()]

    def _added(self, rows: list[_Part]) -> dict[str, QueueTotal]:
        open_: dict[str, QueueTotal] = {}
        for row in rows:
            into = self._closed if row.closed else open_
            into[row.queue] = into.get(row.queue, QueueTotal()) + row.total
            self._generation, self._position, self._since = row.generation, row.position, row.newest
        shown = {row.queue for row in rows if not row.deleted}
        return {
            name: self._closed.get(name, QueueTotal()) + open_.get(name, QueueTotal())
            for name in sorted(shown)
        }


class _Part(Struct):
    """A row of queue_totals.sql."""

    generation: int
    position: int
    newest: datetime | None
    queue: str
    deleted: bool
    closed: bool
    total: QueueTotal


def _part(row: Any) -> _Part:
    wait_slots, waits, run_slots, runs = row[15:19]
    total = QueueTotal(
        Counter(dict(zip(_COUNTED, row[6:13], strict=True))), row[13], row[14],
        Counter(dict(zip(wait_slots, waits, strict=True))), Counter(dict(zip(run_slots, runs, strict=True))),
    )  # fmt: skip
    generation, position, newest, queue, deleted, closed = row[:6]
    return _Part(generation, position, newest, queue, deleted, closed, total)
