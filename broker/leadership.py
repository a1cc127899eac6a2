"""Who does a duty: a lease row with a term each, on the database's clock.

Only an optimisation: it saves several processes from doing the same work. Every duty stays correct when two
do it at once, since each of its steps is a compare-and-set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from .. import sql
from ..events.pool import Pool
from ..events.silence import heard_within

# A leader that dies is replaced within LEASE + RENEW seconds.
LEASE: Final = 6.0
RENEW: Final = 2.0
# Seconds to give leases back in: they run out by themselves, and whoever stops waits for it.
_GIVING: Final = 2.0


class Leadership:
    """This process's claims. Not tied to a connection: a lease outlives a reconnect, not its time."""

    def __init__(self, pool: Pool, *, holder: str | None = None, lease: float = LEASE) -> None:
        self._pool = pool
        self.lease = lease  # seconds
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{uuid4()}"

    async def claim(self, duties: Iterable[str]) -> dict[str, int]:
        """Take or renew; answers duty -> term for those that are ours now."""
        parameters = {"duties": list(duties), "holder": self.holder, "seconds": self.lease}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("leadership_claim"), parameters)
            return dict(await cursor.fetchall())

    async def release(self, duties: Iterable[str]) -> None:
        """Let others have them at once."""
        parameters = {"duties": list(duties), "holder": self.holder}
        async with self._pool.connection() as connection:
            with heard_within(connection.pgconn, _GIVING):
                await connection.execute(sql.load("leadership_release"), parameters)
