"""The faults. Each begins, lasts, and is over when the coroutine returns; what it broke runs again then.

`FAULTS` has those that a run of half a minute can bear, `LONG` the others as well.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg
import redis as redis_py

from .fleet import DEAD_AFTER, Member
from .world import World

Fault = Callable[[World, random.Random], Awaitable[None]]


async def _killed(member: Member, away: float) -> None:
    async with member.busy:
        member.signal(signal.SIGKILL)
        await member.ended()
        await asyncio.sleep(away)
        member.start()


async def _frozen(member: Member, seconds: float) -> None:
    async with member.busy:
        member.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        member.signal(signal.SIGCONT)


def _long(rng: random.Random) -> float:
    """Seconds of a freeze: as often longer than dead-after as shorter."""
    return rng.choice([rng.uniform(0.5, 3), rng.uniform(DEAD_AFTER + 1, DEAD_AFTER + 4)])


async def worker_killed(world: World, rng: random.Random) -> None:
    await _killed(world.some("worker", rng), rng.uniform(0, 2))


async def worker_frozen(world: World, rng: random.Random) -> None:
    await _frozen(world.some("worker", rng), _long(rng))


async def serve_killed(world: World, rng: random.Random) -> None:
    await _killed(world.some("serve", rng), rng.uniform(0, 2))


async def serve_frozen(world: World, rng: random.Random) -> None:
    await _frozen(world.some("serve", rng), _long(rng))


async def leader_killed(world: World, rng: random.Random) -> None:
    await _killed(await world.leader(), rng.uniform(0, 4))


async def leader_frozen(world: World, rng: random.Random) -> None:
    """It wakes up believing that it leads, and for a moment there are two."""
    await _frozen(await world.leader(), rng.uniform(DEAD_AFTER + 1, DEAD_AFTER + 4))


async def rolling_restart(world: World, rng: random.Random) -> None:
    for member in rng.sample(world.fleet.members, len(world.fleet.members)):
        async with member.busy:
            member.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(member.ended(), 30)
            except TimeoutError:
                member.signal(signal.SIGKILL)
                await member.ended()
            member.start()
        await asyncio.sleep(0.5)


# -- Redis -----------------------------------------------------------------------------------------------


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
        await asyncio.to_thread(_tell_valkey, world, "FLUSHALL")


def _tell_valkey(world: World, *command: str) -> None:
    with world.valkey.client() as client:
        client.execute_command(*command)


# -- PostgreSQL ------------------------------------------------------------------------------------------


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


# -- the network -----------------------------------------------------------------------------------------


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


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        worker_killed, worker_frozen, serve_killed, serve_frozen, leader_killed, leader_frozen, rolling_restart,
        valkey_killed, valkey_frozen, valkey_flushed,
        postgres_restarted, postgres_crashed, postgres_killed, postgres_frozen, backends_terminated,
        answers_lost, answers_of_redis_lost, connections_cut, connection_stalled, cut_off,
    )
}  # fmt: skip
LONG: Final = FAULTS | {"postgres_away": postgres_away}
# While a fault is on, what it does to the servers may fail in other faults.
EXPECTED: Final = (psycopg.Error, redis_py.RedisError)
