"""What retention would take from the log now, and what keeps it from more. Pure, but for `read_plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from .. import sql
from .pool import Connection

DAY: Final = timedelta(days=1)
_PARTS: Final = 30  # partitions, about, that a retention time is cut into


class Part(Struct, frozen=True):
    """A partition that nothing is written to any more."""

    name: str
    first: int
    last: int
    recorded_at: datetime  # of its last event

    @property
    def count(self) -> int:
        return self.last - self.first + 1


class Limits(Struct, frozen=True):
    """Where the log and its readers stand. `unfinished`: tables that an earlier run has yet to drop."""

    now: datetime
    head: int
    edge: int
    sealed: int
    readers: Mapping[str, int]
    unfinished: Sequence[str] = ()


class Plan(Struct, frozen=True):
    """`parts` go now; `waiting` are old enough and may not go, because of `reason`."""

    limits: Limits
    cutoff: datetime
    parts: Sequence[Part]
    waiting: Sequence[Part]
    reason: str | None = None

    @property
    def edge(self) -> int:
        """Up to which position events go."""
        return self.parts[-1].last if self.parts else self.limits.edge

    @property
    def count(self) -> int:
        return sum(part.count for part in self.parts)

    def overdue(self, by: timedelta) -> bool:
        """Whether something has been old enough for so long that it should be gone."""
        return bool(self.parts) and self.parts[0].recorded_at < self.cutoff - by


def cut_after(days: int) -> timedelta:
    """How old a partition may get before the log goes on in a new one. Whole ones go, so what goes may be
    older than `days` by so much; there are fewer than a hundred."""
    return max(DAY, timedelta(days=days) / _PARTS)


def plan(limits: Limits, parts: Sequence[Part], days: int) -> Plan:
    """`parts` oldest first."""
    cutoff = limits.now - timedelta(days=days)
    old: list[Part] = []
    for part in parts:
        if part.recorded_at >= cutoff:
            break
        old.append(part)
    reason = None
    for number, part in enumerate(old):
        if (reason := _reason(part, limits)) is not None:
            return Plan(limits, cutoff, old[:number], old[number:], reason)
    return Plan(limits, cutoff, old, [])


def _reason(part: Part, limits: Limits) -> str | None:
    name, position = min(limits.readers.items(), key=lambda item: item[1], default=("", part.last))
    if position < part.last:
        return f"{name} has read the log only to {position:,}, and {part.name} reaches to {part.last:,}"
    if limits.sealed < part.last:
        return f"the log is sealed only to {limits.sealed:,}, and {part.name} reaches to {part.last:,}"
    return None


async def read_plan(connection: Connection, days: int) -> Plan:
    row = await (await connection.execute(sql.load("retention_limits"))).fetchone()
    assert row is not None
    cursor = await connection.execute(sql.load("retention_partitions"))
    return plan(Limits(*row), [Part(*found) for found in await cursor.fetchall()], days)
