"""Faults of PostgreSQL: restarted, crashed, killed, frozen, away for long, out of disk."""

from __future__ import annotations

import asyncio
import random
import signal

import psycopg

from .fleet import DEAD_AFTER
from .world import World


async def postgres_restarted(world: World, rng: random.Random) -> None:
    await _stopped(world, "fast", rng.uniform(0, 2))


async def postgres_crashed(world: World, rng: random.Random) -> None:
    await _stopped(world, "immediate", rng.uniform(0, 2))


async def _stopped(world: World, mode: str, away: float) -> None:
    async with world.database:
        await asyncio.to_thread(world.postgres.stop, mode)
        await asyncio.sleep(away)
        await asyncio.to_thread(world.postgres.start)


async def postgres_killed(world: World, rng: random.Random) -> None:
    async with world.database:
        await asyncio.to_thread(world.postgres.kill)
        await asyncio.sleep(rng.uniform(0, 2))
        await asyncio.to_thread(world.postgres.start)


async def postgres_frozen(world: World, rng: random.Random) -> None:
    """Longer than dead-after: nobody may be declared dead for it."""
    async with world.database:
        pids = world.postgres.pids()
        world.postgres.signal(signal.SIGSTOP)
        await asyncio.sleep(rng.choice([rng.uniform(1, 3), DEAD_AFTER + 2]))
        assert world.postgres.pids()[:1] == pids[:1]
        world.postgres.signal(signal.SIGCONT)


async def backends_terminated(world: World, rng: random.Random) -> None:
    """Some connections, at random, several times in a row."""
    query = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'hivelog' and random() < 0.4"
    async with world.database:
        for _ in range(rng.randint(1, 4)):
            async with await psycopg.AsyncConnection.connect(world.postgres.superuser_url) as connection:
                await connection.execute(query)
            await asyncio.sleep(rng.uniform(0, 1))


async def postgres_away(world: World, rng: random.Random) -> None:
    await _stopped(world, "fast", 90)
