"""Where in the log a job's story can begin, by the time in its id.

    story = await beginnings.story(connection, job)

Events of one stream are looked for in each partition, and a log of a month has some thirty: of what is not in
memory that is a page of disk each. A job's id is as old as the job, so most of them need not be asked. An id
is no proof (clocks differ, a caller's may be anything): a story that does not begin with its first event is
looked for everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final
from uuid import UUID

from .. import sql
from .log import milliseconds
from .pool import Connection, Pool
from .read import Event, read_stream
from .renewal import Renewal

_SOON: Final = 60.0  # seconds; who knows of fewer partitions only asks more of them
_MARGIN: Final = 3_600_000  # ms that a clock may have been ahead


class Beginnings:
    """The beginnings of partitions, as one process knows them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._positions: list[int] = []
        self._times: list[int] = []
        self._renewal = Renewal(self._read, soon=_SOON, latest=float("inf"))

    async def story(self, connection: Connection, stream: bytes) -> list[Event]:
        """All events of a stream, oldest first."""
        await self._renewal.ensure()
        since = self.since(stream)
        events = await read_stream(connection, stream, since)
        if since and (not events or events[0].version != 1):
            return await read_stream(connection, stream)
        return events

    def since(self, stream: bytes) -> int:
        """The position before which a job of this id should have no event; 0 where nothing is known."""
        if UUID(bytes=stream).version != 7:
            return 0
        born = int.from_bytes(stream[:6]) - _MARGIN
        older = bisect_right(self._times, born)
        return self._positions[older - 1] if older else 0

    async def _read(self) -> None:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(sql.load("log_beginnings"))).fetchall()
        self._positions = [row[0] for row in rows]
        self._times = [milliseconds(row[1]) for row in rows]
