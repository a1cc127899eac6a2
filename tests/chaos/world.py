"""What faults act on."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from .fleet import Fleet, Member
from .records import Record
from .servers import Postgres, Valkey


@dataclass
class World:
    """The servers and the processes, with a lock each: one fault at a time has a victim. `copy` is where the
    database is copied to, `operator` the record of who puts it back."""

    postgres: Postgres
    valkey: Valkey
    fleet: Fleet
    copy: Path
    operator: Record
    database: asyncio.Lock = field(default_factory=asyncio.Lock)
    redis: asyncio.Lock = field(default_factory=asyncio.Lock)

    def some(self, kind: str, rng: random.Random) -> Member:
        return rng.choice(self.fleet.of(kind))

    def anyone(self, rng: random.Random) -> Member:
        return rng.choice(self.fleet.members)

    async def leader(self) -> Member:
        """Who has the reaper's duty; the first server if nobody has, or nobody can tell."""
        servers = self.fleet.of("serve")
        query = "select split_part(holder, ':', 2)::int from hivelog.leadership where duty = 'reaper'"
        try:
            async with asyncio.timeout(2), await psycopg.AsyncConnection.connect(self.postgres.url) as connection:
                row = await (await connection.execute(query)).fetchone()
        except (psycopg.Error, TimeoutError):
            row = None
        return next((m for m in servers if m.alive() and row is not None and m.pid == row[0]), servers[0])
