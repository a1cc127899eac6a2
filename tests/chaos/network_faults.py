"""Faults of the way between a process and its servers."""

from __future__ import annotations

import asyncio
import random

from .fleet import DEAD_AFTER
from .world import World


async def answers_lost(world: World, rng: random.Random) -> None:
    """The server did it, and nobody is told: ten times, of any process."""
    for _ in range(10):
        world.anyone(rng).database.lose_next_answer()
        await asyncio.sleep(rng.uniform(0, 0.3))


async def answers_of_redis_lost(world: World, rng: random.Random) -> None:
    for _ in range(10):
        world.anyone(rng).redis.lose_next_answer()
        await asyncio.sleep(rng.uniform(0, 0.3))


async def connections_cut(world: World, rng: random.Random) -> None:
    member = world.anyone(rng)
    for proxy in (member.database, member.redis):
        proxy.cut(refuse=True)
    await asyncio.sleep(rng.uniform(0, 2))
    for proxy in (member.database, member.redis):
        proxy.restore()


async def connection_stalled(world: World, rng: random.Random) -> None:
    """One connection goes silent for good; the others of its process work on."""
    member = world.anyone(rng)
    for proxy in (member.database, member.redis):
        if proxy.links:
            rng.choice(proxy.links).stall()


async def cut_off(world: World, rng: random.Random) -> None:
    """A worker reaches nothing for longer than dead-after: what it held runs elsewhere, and it is refused."""
    member = world.some("worker", rng)
    for proxy in (member.database, member.redis):
        proxy.cut(refuse=True)
    await asyncio.sleep(DEAD_AFTER + rng.uniform(1, 4))
    for proxy in (member.database, member.redis):
        proxy.restore()
