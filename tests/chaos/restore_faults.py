"""The database is put back to an earlier copy of itself, and what came after the copy is gone."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time

from .world import World


async def database_restored(world: World, rng: random.Random) -> None:
    """By the book: a new timeline begins, and the server says so."""
    await _put_back(world, rng, new_timeline=True)


async def database_put_back(world: World, rng: random.Random) -> None:
    """The folder copied back, as a snapshot of a disk would: same identifier, same timeline, nothing tells."""
    await _put_back(world, rng, new_timeline=False)


async def _put_back(world: World, rng: random.Random, *, new_timeline: bool) -> None:
    async with world.database:
        since = time.monotonic()
        copied_at = await asyncio.to_thread(_copy, world, rng.random() < 0.5)
        await asyncio.sleep(rng.uniform(2, 6))
        await asyncio.to_thread(world.postgres.kill)
        killed, killed_at = time.monotonic(), _now()
        await asyncio.to_thread(world.postgres.put_back, world.copy, new_timeline)
        await asyncio.to_thread(world.postgres.start)
        world.operator.note(
            "restored", since=since, killed=killed, back=time.monotonic(), copied_at=copied_at, killed_at=killed_at,
            new_timeline=new_timeline,
        )  # fmt: skip


def _copy(world: World, cold: bool) -> int:
    """Of a stopped server, or of one that stands still as a crash would leave it. Answers when, in ms."""
    postgres = world.postgres
    shutil.rmtree(world.copy, ignore_errors=True)
    if cold:
        postgres.stop("fast")
    else:
        postgres.freeze()
    try:
        postgres.copy(world.copy)
        return _now()
    finally:
        if cold:
            postgres.start()
        else:
            postgres.signal(signal.SIGCONT)


def _now() -> int:
    return round(time.time() * 1000)
