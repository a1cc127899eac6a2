"""Ends claims that nobody settled: their worker died between the pop and the append, or its feed was lost."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from .. import sql
from ..events.pool import Pool
from .connection import Redis
from .feed_message import Group
from .packing import raw, raw_last

# The log usually moves on between the question to PostgreSQL and the script. Then it is asked again, but
# not for ever: on a busy log the checkpoint is always a step ahead.
_TRIES: Final = 3


async def sweep(redis: Redis, pool: Pool, limit: int = 100) -> int:
    """Settle claims past their deadline; answers how many. Raises RedisUnavailable, psycopg.Error."""
    due = await redis.ask("expired", limit=limit)
    for claim, *fields in due:
        await _sweep_one(redis, pool, claim, _groups(fields))
    return len(due)


def _groups(fields: list[Any]) -> list[Group]:
    return [
        (int(queue), int(type_), int(score), ids)
        for queue, type_, score, ids in zip(*(fields[n::4] for n in range(4)), strict=True)
    ]


async def _sweep_one(redis: Redis, pool: Pool, claim: bytes, groups: list[Group]) -> None:
    for attempt in range(1, _TRIES + 1):
        head, epoch, ready = await _still_ready(pool, groups)
        answer = await redis.ask(
            "sweep",
            claim=raw(claim),
            epoch=epoch,
            head=head,
            force=attempt == _TRIES,
            ready=raw_last(ready),
        )
        if answer != b"again":
            return


async def _still_ready(pool: Pool, groups: list[Group]) -> tuple[int, int, list[Group]]:
    wanted = [
        (queue, type_, -score, UUID(bytes=ids[at : at + 16]))
        for queue, type_, score, ids in groups
        for at in range(0, len(ids), 16)
    ]
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], [], []]
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.load("claimed_ready"), columns, binary=True)
        rows = await cursor.fetchall()
    ready = [(q, t, -p, jobs) for _, _, q, t, p, jobs in rows if jobs is not None]
    return rows[0][0], rows[0][1], ready
