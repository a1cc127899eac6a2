"""What retention carried across its edge: no seal covers it whole any more, so it is held against two others.

The event that ended retention says, under its own seal, how many events were carried and the digest of their
digests. And each seal kept two bytes of every event's digest, which tell where it is when that differs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from .. import sql
from .findings import Gap, Report
from .names import SYSTEM_STREAM
from .pool import Connection, Pool

_PAGE: Final = 16_384

_Row = tuple[int, bytes, bytes, bytes | None]


class Kept(Struct, frozen=True):
    """How many events were carried to below the edge, and SHA-256 of their digests in order (hexadecimal).
    These digests are of format 1, whatever the seals were."""

    edge: int
    carried: int
    digest: str


async def claimed(connection: Connection) -> tuple[int, Kept | None]:
    """The edge that the log itself announces, 0 without one, and what it says was carried."""
    cursor = await connection.execute(sql.load("verify_edge"), {"system": UUID(bytes=SYSTEM_STREAM)})
    row = await cursor.fetchone()
    if row is None or not row[1]:
        return 0, None
    return row[0], _kept(row[0], row[2])


def _kept(edge: int, said: Any) -> Kept | None:
    match said:
        case {"carried": int(carried), "digest": str(digest)}:
            return Kept(edge, carried, digest)
        case _:
            return None


async def digest(connection: Connection, edge: int) -> Kept:
    """Of what lies below the edge now."""
    found, count = sha256(), 0
    async for page in _pages(connection, edge):
        count += len(page)
        found.update(b"".join(row[1] for row in page))
    return Kept(edge, count, found.hexdigest())


async def check(pool: Pool, edge: int, said: Kept | None, report: Report) -> None:
    """Whether the carried events are those that were sealed; fills in the report's gap."""
    found, count, before = sha256(), 0, report.found
    async with pool.connection() as connection:
        async for page in _pages(connection, edge):
            count += len(page)
            found.update(b"".join(row[1] for row in page))
            for position, _, now, then in page:
                if then is not None and now != then:
                    told = f"the event at {position}, carried by retention, is not what was sealed"
                    report.add("altered", position, position, told)
    if said is not None and said != Kept(edge, count, found.hexdigest()) and report.found == before:
        told = f"{said.carried} events were carried to {edge} or before: {count} are here, or one was changed"
        report.add("altered" if count == said.carried else "missing", 1, edge, told)
    report.gap = Gap(edge, count, said is not None)


async def _pages(connection: Connection, edge: int) -> AsyncIterator[list[_Row]]:
    after = 0
    while True:
        values = {"after": after, "edge": edge, "limit": _PAGE}
        cursor = await connection.execute(sql.load("verify_kept"), values, binary=True)
        rows = [
            (row[0], bytes(row[1]), bytes(row[2]), None if row[3] is None else bytes(row[3]))
            for row in await cursor.fetchall()
        ]
        if rows:
            yield rows
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]
