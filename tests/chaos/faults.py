"""The faults. Each begins, lasts, and is over when the coroutine returns; what it broke runs again then.

`FAULTS` has those that a run of half a minute can bear, `LONG` the others as well.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from . import network_faults as network
from . import postgres_faults as postgres
from . import redis_faults as redis
from . import restore_faults as restore
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


async def clock_stepped(world: World, rng: random.Random) -> None:
    """A process whose clock is an hour off for a while, in either direction."""
    member = world.anyone(rng)
    member.step_clock(rng.choice([-3600.0, 3600.0]))
    await asyncio.sleep(rng.uniform(2, 8))
    member.step_clock(0.0)


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        worker_killed, worker_frozen, serve_killed, serve_frozen, leader_killed, leader_frozen, rolling_restart,
        clock_stepped,
        redis.valkey_killed, redis.valkey_frozen, redis.valkey_flushed, redis.valkey_restored, redis.valkey_full,
        redis.valkey_evicting, redis.valkey_disk_full,
        postgres.postgres_restarted, postgres.postgres_crashed, postgres.postgres_killed,
        postgres.postgres_frozen, postgres.backends_terminated,
        network.answers_lost, network.answers_of_redis_lost, network.connections_cut,
        network.connection_stalled, network.cut_off,
    )
}  # fmt: skip
# Whatever takes its time, and so has no place in half a minute.
_SLOW: Final[tuple[Fault, ...]] = (
    postgres.postgres_away, postgres.postgres_disk_full, restore.database_restored, restore.database_put_back,
)  # fmt: skip
LONG: Final = FAULTS | {fault.__name__: fault for fault in _SLOW}
# Of these, which takes everything away.
RARE: Final = {"postgres_away"}
# Of these, which is possible only where a small disk can be mounted.
NEEDS_DISK: Final = "postgres_disk_full"
# Of these, which have PostgreSQL as their victim: one at a time.
OF_DATABASE: Final = frozenset(
    kind for kind, fault in LONG.items() if fault.__module__ in (postgres.__name__, restore.__name__)
)
