"""Faults of PostgreSQL: restarted, crashed, killed, frozen, away for long, out of disk."""

from __future__ import annotations

import asyncio
import random
import signal

import psycopg

from .disk import Disk
from .fleet import DEAD_AFTER
from .world import World

_TAKE_ROOM = "create table room as select repeat('x', 2000) from generate_series(1, 1000)"
_WRITE_WAL = "select pg_logical_emit_message(false, 'chaos', repeat(md5(random()::text), 30000))"


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


async def postgres_disk_full(world: World, rng: random.Random) -> None:
    """No block is left on its disk. Tables cannot grow; where the log of changes (WAL) has no room either,
    it crashes, cannot recover, and is started again by us when there is room."""
    disk = world.postgres.disk
    assert disk is not None
    async with world.database:
        try:
            await _fill(disk, world.postgres.superuser_url, with_wal=rng.random() < 0.5)
            await asyncio.sleep(rng.uniform(2, 6))
        finally:
            disk.clear()
        await asyncio.to_thread(world.postgres.resume)


async def _fill(disk: Disk, superuser_url: str, *, with_wal: bool) -> None:
    """Full, and the server has said so."""
    await asyncio.to_thread(disk.fill)
    try:
        async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
            try:
                await connection.execute(_TAKE_ROOM)
            except psycopg.errors.DiskFull:
                pass
            else:
                raise AssertionError("the disk is not full")
            while with_wal:
                await connection.execute(_WRITE_WAL)  # until it crashes
    except psycopg.OperationalError:
        pass  # the log of changes was the first to find no room
