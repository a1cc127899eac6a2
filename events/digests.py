"""The digests of a range of events as the database has them now, for sealing and for verifying.

    found = await digests(connection, first, last, canonical.FORMAT)
    merkle.root(found.joined)
    names = await seals.names_of(connection, *await numbers(connection, first, last, found))
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from .. import sql
from . import merkle
from .pool import Connection

_BITS: Final = 64  # numbers below it come as bits


class Digests(Struct, frozen=True):
    """Of the events in a range, as they are now. `epoch_at`: where a new epoch begins in it; which actors and
    queues they name is told by bits, and the highest number of each."""

    joined: bytes  # 32 bytes an event, in order
    epoch_at: int | None
    actors: int | None
    queues: int | None
    highest_actor: int | None
    highest_queue: int | None

    @property
    def count(self) -> int:
        return len(self.joined) // merkle.SIZE


async def digests(connection: Connection, first: int, last: int, layout: int) -> Digests:
    """Of one format of seals. Raises nothing for a hole: `count` tells."""
    values = {"first": first, "last": last, "format": layout}
    cursor = await connection.execute(sql.load("seal_digests"), values, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    return Digests(bytes(row[0]), *row[1:])


async def numbers(
    connection: Connection, first: int, last: int, found: Digests
) -> tuple[Collection[int], Collection[int]]:
    """Those of the actors and queues that these events name. To read the events a second time for it is a
    tenth of what sealing takes, so it is done only where numbers are too high for a bit."""
    if max(found.highest_actor or 0, found.highest_queue or 0) < _BITS:
        return _numbers(found.actors), _numbers(found.queues)
    cursor = await connection.execute(sql.load("seal_numbers"), {"first": first, "last": last}, binary=True)
    actors, queues = await cursor.fetchone() or (None, None)
    return actors or (), queues or ()


def _numbers(bits: int | None) -> list[int]:
    return [number for number in range(_BITS) if (bits or 0) >> number & 1]
