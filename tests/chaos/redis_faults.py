"""Faults of Redis: away, empty, old, full, and forgetful."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import signal
from typing import Any

import psutil
import redis as redis_py

from .world import World


async def valkey_killed(world: World, rng: random.Random) -> None:
    async with world.redis:
        world.valkey.kill()
        await asyncio.sleep(rng.uniform(0, 4))
        await asyncio.to_thread(world.valkey.start)


async def valkey_frozen(world: World, rng: random.Random) -> None:
    async with world.redis:
        world.valkey.signal(signal.SIGSTOP)
        await asyncio.sleep(rng.uniform(0.5, 5))
        world.valkey.signal(signal.SIGCONT)


async def valkey_flushed(world: World, rng: random.Random) -> None:
    async with world.redis:
        await asyncio.to_thread(_tell, world, "FLUSHALL")


async def valkey_restored(world: World, rng: random.Random) -> None:
    """It comes back with what it held some seconds ago: ids that have run since, a checkpoint long passed."""
    async with world.redis:
        await asyncio.to_thread(world.valkey.dump)
        await asyncio.sleep(rng.uniform(1, 4))
        world.valkey.kill()
        await asyncio.to_thread(world.valkey.start)
        world.valkey.forget()


async def valkey_full(world: World, rng: random.Random) -> None:
    """At its memory limit, and nothing may be evicted: it answers, and takes nothing."""
    async with world.redis:
        await _config(world, "maxmemory", "1")
        await asyncio.sleep(rng.uniform(1, 5))
        await _config(world, "maxmemory", "0")


async def valkey_evicting(world: World, rng: random.Random) -> None:
    """Keys go as it likes: the ready ids of a queue may be gone while the checkpoint says that all is well."""
    async with world.redis:
        used = (await asyncio.to_thread(_tell, world, "INFO", "memory"))["used_memory"]
        await _config(world, "maxmemory-policy", "allkeys-lru")
        await _config(world, "maxmemory", str(used - rng.randint(0, 20_000)))
        await asyncio.sleep(rng.uniform(1, 5))
        await _config(world, "maxmemory", "0")
        await _config(world, "maxmemory-policy", "noeviction")


async def valkey_disk_full(world: World, rng: random.Random) -> None:
    """Its snapshots fail, so it refuses to write anything (MISCONF)."""
    async with world.redis:
        process = psutil.Process(world.valkey.pid)
        process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await _config(world, "save", "3600 1")
        with contextlib.suppress(redis_py.ResponseError):
            await asyncio.to_thread(_tell, world, "BGSAVE")
        await asyncio.sleep(rng.uniform(1, 5))
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await _config(world, "save", "")


async def _config(world: World, name: str, value: str) -> None:
    await asyncio.to_thread(_tell, world, "CONFIG", "SET", name, value)


def _tell(world: World, *command: str) -> Any:
    with world.valkey.client() as client:
        return client.execute_command(*command)
