"""What an erasure leaves to do after its event: the append takes the vault's rows, this takes the rest."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..events.pool import Pool


async def forget(pool: Pool, ids: Sequence[bytes]) -> None:
    """Of jobs that were erased, and of actions that have finished. May be repeated; others are left alone."""
    if not ids:
        return
    async with pool.connection() as connection:
        await connection.execute("select hivelog.forget(%s)", ([UUID(bytes=one) for one in ids],))
