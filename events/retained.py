"""How much of the log is here: all after the edge, and of what lies before it only what was carried."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from .. import sql
from .pool import Connection
from .retention_plan import cut_after

_LATE: Final = timedelta(days=1)


class Retained(Struct, frozen=True):
    """Events at or before `edge` are gone, but for the carried ones. Seals up to `sealed_edge` have lost
    events. `edge_at`: when the event at the edge was recorded, None where nothing is gone; `oldest_at`: the
    first one after it, None in an empty log."""

    edge: int
    sealed_edge: int
    edge_at: datetime | None
    oldest_at: datetime | None
    now: datetime

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest event that was not carried."""
        return 0.0 if self.oldest_at is None else (self.now - self.oldest_at).total_seconds()

    def overdue(self, days: int) -> bool:
        """Whether something should have been gone for a day. Whole partitions go, so `days` is not all."""
        allowed = timedelta(days=days) + cut_after(days) + _LATE
        return self.oldest_at is not None and self.now - self.oldest_at > allowed


async def retained(connection: Connection) -> Retained:
    row = await (await connection.execute(sql.load("retention_edge"))).fetchone()
    assert row is not None
    return Retained(*row)
