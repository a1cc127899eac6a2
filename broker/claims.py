"""Claims: ready ids popped from Redis for free slots, and the wake-ups of those who wait for some.

A claim is held by its id until the feed of the append that starts its jobs settles it, or, if none
comes, until the sweep asks PostgreSQL. What a claim names may be wrong: the append decides.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..events.pool import Pool
from .connection import Redis, RedisUnavailable, ScriptFailed
from .feed import Feeder
from .packing import pack, raw
from .sweep import sweep
from .wakes import Hearer, Wakes

# Far beyond the slowest append; a claim of a dead worker waits no longer than this.
HOLD_MS: Final = 10_000

# queue, type, priority, job id (16 bytes)
Item = tuple[int, int, int, bytes]
# queue, types that the worker can run, how many at most
Wanted = tuple[int, Sequence[int], int]

# No waiter.
NOBODY: Final = raw(b"")
# Who serves more types than these is not told of announced jobs: the list is read for each of them.
_TYPES_TOLD: Final = 64


def waiter_of(session: int, types: Sequence[int]) -> msgspec.Raw:
    """Who claims, for `pop`."""
    return NOBODY if len(types) > _TYPES_TOLD else raw(pack([session, types]))


class Claimed(Struct, gc=False):
    """What was popped, in the order to run within each queue, and the checkpoint it was popped at.

    `id` goes into `Part.claim` beside the starts of all items (also those no longer wanted).
    """

    id: bytes
    epoch: int
    position: int
    items: list[Item]


class Claims:
    """Pops ids of this process's workers."""

    def __init__(self, redis: Redis, pool: Pool, feeder: Feeder, *, hold_ms: int = HOLD_MS) -> None:
        self._redis = redis
        self._pool = pool
        self._feeder = feeder
        self._hold_ms = hold_ms
        self._wakes = Wakes(redis)

    async def start(self) -> None:
        """Begin to listen for wake-ups."""
        await self._wakes.start()

    async def stop(self) -> None:
        """Stop listening. Claims still held are for `give_back`, or the sweep."""
        await self._wakes.stop()

    def behind(self, seconds: float = 1.0) -> bool:
        """See `Feeder.behind`."""
        return self._feeder.behind(seconds)

    async def pop(
        self, queues: Sequence[Wanted], limit: int, waiter: msgspec.Raw = NOBODY
    ) -> Claimed | None:
        """Pop up to `limit` (at most 1,000) ids. `waiter`: who is to hear of a job that is announced, if
        there are fewer.

        None: Redis is away or about to be rebuilt, so the claim must be made by SQL.
        """
        self._wakes.forget(wanted[0] for wanted in queues)
        claim = os.urandom(8)
        ask = {
            "claim": raw(claim), "hold": self._hold_ms, "limit": min(limit, 1000), "queues": queues,
            "waiter": waiter,
        }  # fmt: skip
        try:
            answer = await self._redis.run("claim", pack(ask))
        except (RedisUnavailable, ScriptFailed) as error:
            self._feeder.failed(error)
            return None
        epoch, position = answer[0], answer[1]
        if position < 0:
            self._feeder.emptied()
            return None
        self._feeder.lag.saw_checkpoint(position)
        return Claimed(claim, epoch, position, _items(answer))

    async def give_back(self, claim: bytes) -> None:
        """Let go of a claim that will not be started; where that cannot be told, the sweep does it."""
        try:
            if await self._redis.ask("give_back", claim=raw(claim)) == b"changed":
                await sweep(self._redis, self._pool)
        except (RedisUnavailable, ScriptFailed) as error:
            self._feeder.failed(error)

    def forget(self, queues: Collection[int]) -> None:
        """The caller has taken note of the news of these queues."""
        self._wakes.forget(queues)

    async def wait_for_wake(
        self, queues: Collection[int], timeout: float, hearer: Hearer | None = None
    ) -> set[int]:
        """Wait for news of some of the queues since their last `pop` or `forget`; none after `timeout` s."""
        return await self._wakes.wait(queues, timeout, hearer)


def _items(answer: list[Any]) -> list[Item]:
    """The blocks of scripts/claim.lua, one tuple an id."""
    items: list[Item] = []
    for n in range(2, len(answer), 4):
        queue, pairs, which, ids = answer[n : n + 4]
        places = [(queue, type_, -int(score)) for type_, score in zip(pairs[::2], pairs[1::2], strict=True)]
        items += [
            (*places[place], ids[at : at + 16])
            for place, at in zip(which or bytes(len(ids) // 16), range(0, len(ids), 16), strict=True)
        ]
    return items
