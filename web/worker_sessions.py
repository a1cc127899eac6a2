"""Sessions of workers that speak HTTP, as the database knows them, and what this process keeps for them."""

from __future__ import annotations

import asyncio
from uuid import UUID

from msgspec import Struct

from .. import sql
from ..broker.source import Source
from .errors import Problem, invalid
from .requests import Call

MOST_SLOTS = 1000


class Known(Struct):
    """A living session, as the database has it."""

    id: int
    name: str
    queues: list[str]
    types: list[str]
    slots: int
    heartbeat: int
    dead_after: int


class Protocol:
    """Claims under way in this process, and a source for each (session, queues, types)."""

    def __init__(self) -> None:
        self.sources: dict[tuple[int, tuple[str, ...], tuple[str, ...]], Source] = {}
        self.locks: dict[tuple[str, str], asyncio.Lock] = {}

    def forget(self, session: int) -> None:
        for key in [key for key in self.sources if key[0] == session]:
            del self.sources[key]


async def living_session(call: Call, text: str) -> tuple[UUID, Known]:
    """The living session. Raises Problem."""
    try:
        session = UUID(text)
    except ValueError:
        raise invalid("session", "must be what /workers/register answered") from None
    async with call.services.pool.connection() as connection:
        cursor = await connection.execute(sql.load("session_find"), {"session": session})
        row = await cursor.fetchone()
    if row is None:
        raise Problem("not_found", "the session is over; register again")
    known = Known(*row)
    if not all(call.caller.sees(name) for name in known.queues):
        raise Problem("not_found", "the session is over; register again")
    return session, known
