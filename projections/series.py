"""What happened in queues over time: counts and percentiles by buckets of one length.

    series = Series()                                    # one a process: it remembers
    found = await series.read(connection, Asked(queues=[1, 2], start=..., upto=..., step=300))

A bucket that the projection has passed never changes, so it is read once: a page that asks every few seconds
for the same day costs the newest bucket only.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection
from .moments import Moment

COUNTS: Final = ("enqueued", "started", "completed", "failed", "expired", "cancelled", "lost", "retried")
PERCENTILES: Final = ("wait_p50", "wait_p95", "wait_p99", "run_p50", "run_p95", "run_p99")
ALL: Final = 0  # no queue's number: all of them together, which have rows of their own
_HOUR: Final = 3600
_MOST_ROWS: Final = 200_000  # remembered, of all questions together
_MOST_KEYS: Final = 64

Cells = dict[tuple[int, int | None], tuple[Any, ...]]  # (bucket in s, queue) -> COUNTS and PERCENTILES


class Asked(Struct, frozen=True, kw_only=True):
    """Buckets of `step` s from `start` until before `upto` (both s since 1970, multiples of step; step of
    whole minutes). `grouped`: a series a queue instead of one. `spread`: with percentiles."""

    queues: tuple[int, ...]
    start: int
    upto: int
    step: int
    grouped: bool = False
    spread: bool = True

    @property
    def hourly(self) -> bool:
        return self.step % _HOUR == 0


class Found(Struct):
    """`cells`: what is not zero. `now` in ms since 1970; `projected`: up to where the log is counted."""

    position: int
    projected: int
    now: int
    cells: Cells


class _Kept(Struct):
    """Buckets from `start` until before `upto`, all final."""

    start: int
    upto: int
    projected: int
    cells: Cells


class Series:
    """Reads, and remembers what is final."""

    def __init__(self) -> None:
        self._generation = 0
        self._kept: OrderedDict[Any, _Kept] = OrderedDict()

    def forget(self) -> None:
        """At the next question: what is remembered may be of a tail that the log has lost."""
        self._generation = -1

    async def read(self, connection: Connection, asked: Asked, moment: Moment | None = None) -> Found:
        """As it is now, or as it was at a moment, of which nothing is remembered."""
        if moment is not None:
            rows = await _rows(connection, asked, asked.start, moment)
            return Found(moment.position, moment.position, moment.now, _cells(rows))
        key = (asked.queues, asked.step, asked.grouped, asked.spread, asked.upto - asked.start)
        kept = self._kept.get(key)
        known = kept is not None and kept.start <= asked.start <= kept.upto
        start = kept.upto if kept is not None and known else asked.start
        rows = await _rows(connection, asked, min(start, asked.upto))
        position, now, projected, generation, folded = rows[0][:5]
        # Rebuilt meanwhile, or restored: what is remembered, of any question, may be another history's.
        stale = generation != self._generation or (kept is not None and projected < kept.projected)
        self._generation = generation
        if stale:
            self._kept.clear()
            if kept is not None:
                return await self.read(connection, asked)
        cells = _cells(rows)
        if kept is not None and known:
            cells |= {at: of for at, of in kept.cells.items() if asked.start <= at[0] < asked.upto}
        self._keep(key, asked, cells, projected, folded)
        return Found(position, projected, milliseconds(now), cells)

    def _keep(
        self, key: Any, asked: Asked, cells: Cells, projected: int, folded: datetime | None
    ) -> None:
        if folded is None:
            return
        final = min(int(folded.timestamp()) // asked.step * asked.step, asked.upto)
        if final > asked.start:
            self._kept[key] = _Kept(
                asked.start, final, projected, {at: of for at, of in cells.items() if at[0] < final}
            )
            self._kept.move_to_end(key)
        while self._kept and (
            len(self._kept) > _MOST_KEYS or sum(len(of.cells) for of in self._kept.values()) > _MOST_ROWS
        ):
            self._kept.popitem(last=False)


async def _rows(
    connection: Connection, asked: Asked, start: int, moment: Moment | None = None
) -> list[Any]:
    values = {
        "position": None if moment is None else moment.position,
        "moment": None if moment is None else _moment(moment.now / 1000),
        "queues": list(asked.queues), "start": _moment(start), "upto": _moment(asked.upto),
        "step": timedelta(seconds=asked.step), "hourly": asked.hourly, "grouped": asked.grouped,
        "spread": asked.spread,
    }  # fmt: skip
    cursor = await connection.execute(sql.load("series"), values, binary=True)
    return await cursor.fetchall()


def _cells(rows: list[Any]) -> Cells:
    return {(int(row[6].timestamp()), row[5]): tuple(row[7:]) for row in rows if row[6] is not None}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
