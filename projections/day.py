"""What ended in the last 24 hours, remembered: hours that are over never change, so they are added up once.

    day = Day()                                          # one a process
    await queue_stats(connection, day=day)

The figures of all queues need the run times of a whole day: a thousand rows and more, each a histogram. What
is final of them goes into the statement as parameters; it then reads what came since and what has left the
window.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct, field

from .. import sql
from ..events.pool import Connection

# What left the window since is read each time: a minute a queue for each minute that it is old.
_AGE: Final = timedelta(minutes=5)


class Kept(Struct, frozen=True):
    """The final part of a window, and of which history (queue_day.sql). `parameters`: for queue_stats.sql."""

    generation: int
    projected: int
    now: datetime | None
    parameters: dict[str, Any] = field(default_factory=dict)

    def fits(self, now: datetime, projected: int, generation: int) -> bool:
        """Whether it is of this history, which has gone on since: not rebuilt or restored meanwhile."""
        if self.now is None:
            return True
        return generation == self.generation and projected >= self.projected and now >= self.now


def _kept(rows: list[Any]) -> Kept:
    generation, projected, now, since, upto = rows[0][:5]
    if upto is None:
        return NOTHING
    queues = [row[5:] for row in rows if row[5] is not None]
    return Kept(generation, projected, now, {
        "kept_since": since, "kept_upto": upto, "kept_queues": _array(of[0] for of in queues),
        "kept_completed": _array(of[1] for of in queues), "kept_failed": _array(of[2] for of in queues),
        "kept_run_ms": _array(of[3] for of in queues),
        "kept_slots_of": _array(of[0] for of in queues for _ in of[4]),
        "kept_slots": _array(slot for of in queues for slot in of[4]),
        "kept_counts": _array(count for of in queues for count in of[5]),
    })  # fmt: skip


def _array(numbers: Iterable[int]) -> str:
    """As PostgreSQL reads it: made once, sent many times."""
    return "{" + ",".join(map(str, numbers)) + "}"


NOTHING: Final = Kept(0, 0, None, {
    "kept_since": None, "kept_upto": None, "kept_queues": "{}", "kept_completed": "{}", "kept_failed": "{}",
    "kept_run_ms": "{}", "kept_slots_of": "{}", "kept_slots": "{}", "kept_counts": "{}",
})  # fmt: skip


class Day:
    """Remembers for a process."""

    def __init__(self) -> None:
        self.kept = NOTHING
        self._renewing = False
        self._forgotten = 0

    def forget(self) -> None:
        """What is remembered may be of a tail that the log has lost."""
        self.kept = NOTHING
        self._forgotten += 1

    async def renew(self, connection: Connection, used: Kept, now: datetime) -> None:
        """Add up anew when what was used is old, or was not of this history."""
        fresh = used.now is not None and used.now <= now < used.now + _AGE and used is self.kept
        if fresh or self._renewing:
            return
        self._renewing, forgotten = True, self._forgotten
        try:
            cursor = await connection.execute(sql.load("queue_day"), binary=True)
            rows = await cursor.fetchall()
            self.kept = _kept(rows) if forgotten == self._forgotten else NOTHING
        finally:
            self._renewing = False
