"""Who enqueues: with a key, again and again until it is told that the job is there."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from hivelog.events import times
from hivelog.events.batch import Enqueue, IdempotencyKey, Outcome, Part
from hivelog.events.errors import LogError
from hivelog.events.ids import Minter
from hivelog.events.types import JobSpec

from .network import SimNames

if TYPE_CHECKING:
    from .world import World

_MOST = 25  # live jobs; beyond, it waits


class Producer:
    def __init__(self, world: World, number: int) -> None:
        self._world, self._number = world, number
        self._rng = world.rng
        self._minter = Minter(lambda: world.loop.ms)
        self._count = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(12))
            if len(self._world.checker.model.live) < _MOST:
                await self._enqueue()

    async def _enqueue(self) -> None:
        self._count += 1
        key = hashlib.sha256(f"{self._number}/{self._count}".encode()).digest()
        body = self._spec()
        queue = self._rng.choice([1, 2])
        while True:
            servers = self._world.of("serve")
            if servers:
                # Another process, another id: only the key says that it is the same call.
                part = self._part(body, queue, key)
                asked = self._world.checker.restored
                try:
                    outcome = await asyncio.wait_for(self._rng.choice(servers).enqueue(part), 3)
                except (LogError, TimeoutError):
                    pass  # not known: once more
                except Exception as error:
                    self._fail(error)
                    return
                else:
                    self._told(part, outcome, asked)
                    return
            await asyncio.sleep(self._rng.expovariate(5))

    def _fail(self, error: Exception) -> None:
        self._world.checker.fail("a repeated call is never refused by the server", repr(error))

    def _told(self, part: Part, outcome: Outcome, asked: int) -> None:
        for n, item in enumerate(part.enqueues):
            refused = outcome.refused.get(("n", n))
            if refused is None:
                self._world.checker.answered(item.job, asked)
            elif refused.job is not None:
                self._world.checker.answered(refused.job, asked)

    def _spec(self) -> JobSpec:
        soon = self._world.loop.ms + self._rng.randint(100, 4000)
        later = times.to_text(soon) if self._rng.random() < 0.2 else None
        ends = times.to_text(soon + self._rng.randint(1, 4000)) if self._rng.random() < 0.1 else None
        return JobSpec(
            type=self._rng.choice(SimNames.TYPES), priority=self._rng.randint(0, 3),
            max_retries=self._rng.randint(0, 2), retry_delay=self._rng.choice([0, 1, 2]),
            timeout=self._rng.choice([None, None, 1, 5]), scheduled_for=later, expires_at=ends,
        )  # fmt: skip

    def _part(self, spec: JobSpec, queue: int, key: bytes) -> Part:
        def ms(text: str | None) -> int | None:
            return None if text is None else times.from_text(text)

        body = b'{"n":%d}' % self._count
        job: Any = Enqueue(
            self._minter.mint(), queue, SimNames.TYPES.index(spec.type) + 1, spec.priority, 1,
            msgspec.json.encode(spec), len(body), hashlib.sha256(body).digest(), b"salt" * 4, body,
            due=ms(spec.scheduled_for), expires=ms(spec.expires_at),
        )  # fmt: skip
        kept = IdempotencyKey(key, hashlib.sha256(body).digest(), 0, 0, self._world.loop.ms + 86_400_000)
        return Part(enqueues=[job], keys=[kept])
