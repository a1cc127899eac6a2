"""Where a worker's next jobs come from: ids out of Redis, or the database's own choice without it."""

from __future__ import annotations

import time

from msgspec import Struct

from ..events.batch import Outcome, Part, Pick, Start
from ..events.names import Names
from .claims import Claims
from .feed import Feeder

_POLL = 1.0  # seconds: a lost wake-up costs this much
_GIVE_WAY = 1.0  # seconds that a queue which refused a start is left alone, unless it wakes us
# How far Redis may lag behind the log before its silence is not believed.
_BEHIND = 1.0


class Wanted(Struct):
    """What to ask the log for: starts by id (with the claim they came from), or picks."""

    starts: list[Start]
    picks: list[Pick]
    claim: bytes | None


class Source:
    """One worker's claims over its queues, fair between them."""

    def __init__(self, claims: Claims, feeder: Feeder, names: Names) -> None:
        self._claims, self._feeder, self._names = claims, feeder, names
        self._session = 0
        self._queues: list[int] = []
        self._queue_names: dict[int, str] = {}
        self._types: list[int] = []
        self._resting: dict[int, float] = {}
        self._turn = 0
        self._asked = 0
        self._asking = 0  # queues asked of the last round, when there are more than slots
        self.hungry = True
        self.paused = False

    async def serve(self, session: int, queues: list[str], types: list[str]) -> None:
        """Claim for this session from now on. Raises KeyError for a queue that does not exist."""
        self._session = session
        found = {name: await self._names.queue(name) for name in queues}
        if missing := sorted(name for name, queue in found.items() if queue is None):
            raise KeyError(f"no such queue: {', '.join(missing)}")
        self._queue_names = {queue.id: name for name, queue in found.items() if queue is not None}
        self._queues = list(self._queue_names)
        self._types = [await self._names.type_id(name) for name in types]
        self.hungry = True

    def queue_name(self, queue: int) -> str:
        return self._queue_names[queue]

    async def take(self, limit: int) -> Wanted | None:
        """Up to `limit` jobs to start; None when there is nothing to ask for."""
        queues = self._awake()
        if self.paused or not queues or not self._types:
            self.hungry = False
            return None
        self._asked = limit
        if self._feeder.available:
            claimed = await self._claims.pop([(queue, self._types, limit) for queue in queues], limit)
            if claimed is not None:
                starts = [
                    Start(self._session, queue, type_, priority, job)
                    for queue, type_, priority, job in claimed.items
                ]
                self.hungry = len(starts) == limit
                if starts:
                    return Wanted(starts, [], claimed.id)
                if not self._feeder.behind(_BEHIND):
                    return None
        # Fewer slots than queues: the rest have their turn next, and are asked without waiting for the poll.
        self._asking = (self._asking + limit) % len(queues) if limit < len(queues) else 0
        self.hungry = self._asking >= limit
        share, more = divmod(limit, len(queues))
        picks = [
            Pick(self._session, queue, self._types, share + (n < more))
            for n, queue in enumerate(queues[:limit])
        ]
        return Wanted([], picks, None)

    def answered(self, part: Part, outcome: Outcome) -> None:
        """Learn from what the log made of it."""
        if part.picks and len(outcome.started) >= self._asked:
            self.hungry = True
        rest_until = time.monotonic() + _GIVE_WAY
        for (section, index), refusal in outcome.refused.items():
            if section == "s" and refusal.code in ("paused", "limit", "budget"):
                self._resting[part.starts[index].queue] = rest_until

    async def wait(self) -> None:
        """Until Redis says that there is work, at most a second."""
        woken = await self._claims.wait_for_wake(self._queues, _POLL)
        # Noted in `hungry`: with every slot busy no pop does it, and the next wait would not wait at all.
        self._claims.forget(woken)
        for queue in woken:
            self._resting.pop(queue, None)
        self.hungry = True

    def _awake(self) -> list[int]:
        """The queues to ask, each first in its turn, without those that just refused."""
        now = time.monotonic()
        self._turn = (self._turn + 1) % max(len(self._queues), 1)
        rotated = self._queues[self._turn :] + self._queues[: self._turn]
        if not self._resting:
            return rotated
        self._resting = {queue: until for queue, until in self._resting.items() if until > now}
        return [queue for queue in rotated if queue not in self._resting]


