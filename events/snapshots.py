"""Old snapshots: sessions that keep dead rows from being cleaned away.

The live tables turn over all the time. Claims by key do not mind the dead rows; claims by SQL scan over them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .pool import Connection

OLD: Final = 60.0  # seconds; anything of ours is over long before, but for a rebuild of millions of jobs


class Snapshot(Struct, frozen=True):
    """`what`: transaction, prepared transaction or replication slot; `name` of the session, with its process
    id and state; `seconds`: its age, None where the server does not tell."""

    what: str
    name: str
    seconds: float | None

    def __str__(self) -> str:
        age = "" if self.seconds is None else f", {self.seconds:,.0f} s old"
        return f"{self.what} {self.name}{age}"


async def held(connection: Connection, seconds: float = OLD) -> list[Snapshot]:
    """Those older than that, the oldest first. Of other users only where the schema's owner may see them."""
    cursor = await connection.execute("select * from hivelog.old_snapshots(%s)", (seconds,))
    return [Snapshot(*row) for row in await cursor.fetchall()]
