"""What a worker's turn costs on the way through Redis.

    python -m tests.bench.redis_turn

Round trips as the product makes them, Python included, in microseconds: the claim of n ids, the feed of
an append that starts them, the feed of an append that enqueues n; then the way to an idle worker, from
the appended batch to the popped id. REDIS_URL names a server, whose database is emptied; without it one is started.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable

import uvloop
from hivelog import embedded
from hivelog.broker.claims import Claimed, Claims
from hivelog.broker.connection import Redis
from hivelog.broker.feed import Feeder
from hivelog.broker.feed_message import feed_message
from hivelog.broker.packing import raw_last
from hivelog.events import ids
from hivelog.events.batch import Appended, Enqueue, Mark, Outcome, Part, Start, Started
from hivelog.events.pool import make_pool

from ..options import Options

_ROUNDS = 200
_SIZES = (1, 10, 100, 500)
_QUEUE, _TYPES = 1, [1, 2]


class Turn:
    """A queue of two types in Redis, and the appends of an imaginary log."""

    def __init__(self, redis: Redis) -> None:
        pool = make_pool("postgresql://nowhere")  # never asked: nothing here is in doubt
        self.redis = redis
        self.claims = Claims(redis, pool, Feeder(redis, pool))
        self.head = 0

    async def load(self, count: int) -> None:
        build = os.urandom(4).hex()
        await self.redis.ask("rebuild_begin", build=build, ttl=5000)
        half = [b"".join(ids.mint() for _ in range(count // 2)) for _ in _TYPES]
        groups = raw_last([(_QUEUE, type_, -100, some) for type_, some in zip(_TYPES, half, strict=True)])
        await self.redis.ask("rebuild_load", build=build, ttl=5000, groups=groups)
        swap = {"build": build, "epoch": 1, "position": self.head, "queues": [(_QUEUE, 0, 0, -2)]}
        await self.redis.ask("rebuild_swap", **swap)

    async def claim(self, count: int) -> Claimed:
        claimed = await self.claims.pop([(_QUEUE, _TYPES, count)], count)
        assert claimed is not None
        assert len(claimed.items) == count
        return claimed

    def appended(self, part: Part, started: list[Started], count: int) -> Appended:
        first, self.head = self.head + 1, self.head + count
        outcome = Outcome(self.head, 0, {}, {}, started)
        return Appended(b"", 1, first, self.head, 0, [part], [outcome], [Mark(_QUEUE, 0, 0, count)])

    def starts(self, claimed: Claimed) -> Appended:
        part = Part(claim=claimed.id, starts=[Start(1, *item) for item in claimed.items])
        started = [
            Started(n, job, 1, queue, 1, 1, 0, priority, b"{}", None, None, None, None)
            for n, (queue, _, priority, job) in enumerate(claimed.items)
        ]
        return self.appended(part, started, len(started))

    def enqueues(self, count: int) -> Appended:
        jobs = [
            Enqueue(ids.mint(), _QUEUE, _TYPES[n % 2], 100, 1, b"{}", 2, b"", b"", b"{}")
            for n in range(count)
        ]
        return self.appended(Part(enqueues=jobs), [], count)

    async def feed(self, appended: Appended) -> None:
        answer = await self.redis.run("feed", feed_message(appended).encode())
        assert answer[0] == b"applied", answer


async def timed(action: Callable[[], Awaitable[object]]) -> tuple[object, float]:
    begun = time.perf_counter()
    result = await action()
    return result, (time.perf_counter() - begun) * 1e6


async def measure(turn: Turn, size: int) -> list[float]:
    """Medians of claim, feed of starts, feed of enqueues."""
    figures: list[tuple[float, float, float]] = []
    await turn.load(max(4 * size, 2_000))
    for _ in range(_ROUNDS):
        claimed, claim = await timed(lambda: turn.claim(size))
        assert isinstance(claimed, Claimed)
        started, enqueued = turn.starts(claimed), turn.enqueues(size)
        _, start = await timed(lambda appended=started: turn.feed(appended))  # type: ignore[misc]
        _, enqueue = await timed(lambda appended=enqueued: turn.feed(appended))  # type: ignore[misc]
        figures.append((claim, start, enqueue))
    return [statistics.median(column) for column in zip(*figures, strict=True)]


async def to_idle_worker(turn: Turn) -> list[float]:
    """Sorted times from an appended enqueue to the id in a waiting worker's hands."""
    await turn.claims.start()
    await turn.load(0)
    await asyncio.sleep(0.1)
    found = []
    for _ in range(_ROUNDS):
        assert await turn.claims.pop([(_QUEUE, _TYPES, 1)], 1)
        waiting = asyncio.ensure_future(turn.claims.wait_for_wake([_QUEUE], 1))
        await asyncio.sleep(0.001)
        appended = turn.enqueues(1)
        begun = time.perf_counter()
        feeding = asyncio.ensure_future(turn.feed(appended))
        assert await waiting, "no wake-up"
        claimed = await turn.claim(1)
        found.append((time.perf_counter() - begun) * 1e6)
        await feeding
        await turn.feed(turn.starts(claimed))
    await turn.claims.stop()
    return sorted(found)


async def main(url: str) -> None:
    redis = Redis(url)
    turn = Turn(redis)
    print(f"{'ids':>6} {'claim us':>10} {'feed starts us':>16} {'feed enqueues us':>18}")
    for size in _SIZES:
        claim, start, enqueue = await measure(turn, size)
        print(f"{size:>6} {claim:>10.0f} {start:>16.0f} {enqueue:>18.0f}")
    found = await to_idle_worker(turn)
    print(f"to an idle worker: p50 {found[len(found) // 2]:.0f} us, p99 {found[-3]:.0f} us")
    await redis.command(b"FLUSHDB")
    await redis.close()


if __name__ == "__main__":
    Options("tests.bench.redis_turn", __doc__).parse_args()
    if "REDIS_URL" in os.environ:
        uvloop.run(main(os.environ["REDIS_URL"]))
    else:
        with embedded.temporary(with_postgres=False) as servers:
            assert servers.redis_url is not None
            uvloop.run(main(servers.redis_url))
