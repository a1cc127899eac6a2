"""Where a worker's next jobs come from: ids out of Redis, or the database's own choice without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from ..events.batch import Outcome, Part, Pick, Start
from ..events.names import Names
from ..events.parameters import prepare
from .announcements import Announcement
from .claims import NOBODY, Claims, waiter_of
from .feed import Feeder

_POLL = 1.0  # seconds: a lost wake-up costs this much
_GIVE_WAY = 1.0  # seconds that a queue which refused a start is left alone, unless it wakes us
# How far Redis may lag behind the log before its silence is not believed.
_BEHIND = 1.0
# Seconds that ids claimed ahead are kept from other workers when the slots do not come free as expected.
_KEEP_AHEAD = 0.02
_AWAIT = 0.1  # seconds after which an announced job has surely gone the usual way


class _Announced(Struct):
    """A job to be started, until when, and whether that was tried."""

    until: float
    announcement: Announcement
    again: bool = False


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
        self._waiter = NOBODY
        self._follow = False
        self._announced: _Announced | None = None
        self._begun: _Announced | None = None  # whose start is under way
        self._when_announced: Callable[[], None] = lambda: None
        self._ahead: asyncio.Task[Part | None] | None = None
        self._keep: asyncio.TimerHandle | None = None
        self._letting_go: asyncio.Task[None] | None = None
        self._hungry = True
        self.paused = False

    @property
    def hungry(self) -> bool:
        """Whether it is worth while to `take`: there may be more, or some are claimed already."""
        return self._hungry or self._ahead is not None or self._announced is not None

    async def serve(self, session: int, queues: list[str], types: list[str]) -> None:
        """Claim for this session from now on. Raises KeyError for a queue that does not exist."""
        await self.let_go()
        self._session = session
        found = {name: await self._names.queue(name) for name in queues}
        if missing := sorted(name for name, queue in found.items() if queue is None):
            raise KeyError(f"no such queue: {', '.join(missing)}")
        self._queue_names = {queue.id: name for name, queue in found.items() if queue is not None}
        self._queues = list(self._queue_names)
        self._types = [await self._names.type_id(name) for name in types]
        self._waiter = waiter_of(session, self._types)
        self._hungry = True

    def queue_name(self, queue: int) -> str:
        return self._queue_names[queue]

    async def take(self, limit: int) -> Part | None:
        """What to ask the log for, up to `limit` jobs: starts by id (with the claim they came from), or
        picks. None: there is nothing to ask for."""
        if (announced := self._take_announced()) is not None:
            return announced
        if (ahead := await self._taken_ahead(limit)) is not None:
            self._asked = limit
            return ahead
        queues = self._awake()
        if self.paused or not queues or not self._types:
            self._hungry = False
            return None
        self._asked = limit
        if self._feeder.available:
            claimed = await self._claim(queues, limit)
            if claimed is not None and (claimed.starts or not self._feeder.behind(_BEHIND)):
                return claimed if claimed.starts else None
        return self._picks(queues, limit)

    async def _claim(self, queues: list[int], limit: int) -> Part | None:
        """By ids out of Redis; None when it cannot tell."""
        if self._follow:
            # The feed of the announced job's start goes before: else that job is what we are offered.
            self._follow = False
            await asyncio.sleep(0)
        wanted = [(queue, self._types, limit) for queue in queues]
        claimed = await self._claims.pop(wanted, limit, self._waiter)
        if claimed is None:
            return None
        starts = [
            Start(self._session, queue, type_, priority, job)
            for queue, type_, priority, job in claimed.items
        ]
        self._hungry = len(starts) == limit
        return Part(starts=starts, claim=claimed.id)

    def _picks(self, queues: list[int], limit: int) -> Part:
        """The database's own choice."""
        # Fewer slots than queues: the rest have their turn next, and are asked without waiting for the poll.
        self._asking = (self._asking + limit) % len(queues) if limit < len(queues) else 0
        self._hungry = self._asking >= limit
        share, more = divmod(limit, len(queues))
        picks = [
            Pick(self._session, queue, self._types, share + (n < more))
            for n, queue in enumerate(queues[:limit])
        ]
        return Part(picks=picks)

    # -- ahead -------------------------------------------------------------------------------------------

    def take_ahead(self, limit: int) -> None:
        """Claim for the next turn while the log writes this one. For a caller who expects `limit` free slots
        at once: ids that nobody takes soon are given back, so that no other worker goes without."""
        queues = self._awake()
        if self._ahead is None and self._hungry and not self.paused and queues and self._feeder.available:
            self._ahead = asyncio.create_task(self._claim_ahead(queues, limit), name="claim ahead")
            self._keep = asyncio.get_running_loop().call_later(_KEEP_AHEAD, self._expire)

    async def _claim_ahead(self, queues: list[int], limit: int) -> Part | None:
        part = await self._claim(queues, limit)
        if part is not None:
            prepare(part)  # while there is time
        return part

    async def _taken_ahead(self, limit: int) -> Part | None:
        """What was claimed ahead, if all of it can start now."""
        if (task := self.forget_ahead()) is None:
            return None
        part = await task
        if part is None or not part.starts:
            return None
        if len(part.starts) <= limit and not self.paused:
            return part
        await self._give_back(part)
        return None

    def _expire(self) -> None:
        self._letting_go = asyncio.create_task(self.let_go(), name="give back")

    async def let_go(self) -> None:
        """Give back what was claimed ahead."""
        if (task := self.forget_ahead()) is not None:
            await self._give_back(await task)

    def forget_ahead(self) -> asyncio.Task[Part | None] | None:
        """The claim under way or made, which is the caller's to start or give back now."""
        task, self._ahead = self._ahead, None
        if self._keep is not None:
            self._keep.cancel()
            self._keep = None
        return task

    async def _give_back(self, part: Part | None) -> None:
        if part is not None and part.starts and part.claim is not None:
            await self._claims.give_back(part.claim)
            self._hungry = True

    # -- announced ---------------------------------------------------------------------------------------

    def on_announced(self, callback: Callable[[], None]) -> None:
        """Call it when there is an announced job to `take`; `wait` tells of it some rounds later."""
        self._when_announced = callback

    def _hear(self, announcement: Announcement) -> None:
        if announcement.queue in self._queue_names and announcement.type in self._types:
            self._announced = _Announced(time.monotonic() + _AWAIT, announcement)
            self._when_announced()

    def _take_announced(self) -> Part | None:
        """The start of a job that is being written. Without a claim: Redis does not know it yet."""
        known, self._announced = self._announced, None
        if known is None or known.until < time.monotonic() or self.paused:
            return None
        self._asked, self._follow, self._begun = 1, True, known
        return Part(starts=[known.announcement.start])

    def _too_early(self) -> None:
        """The start came to the log before its job did. By now that has set out for certain, so once more."""
        if self._begun is not None and not self._begun.again:
            self._begun.again = True
            self._announced = self._begun
        self._begun = None

    # -- news --------------------------------------------------------------------------------------------

    def answered(self, part: Part, outcome: Outcome) -> None:
        """Learn from what the log made of it."""
        if part.picks and len(outcome.started) >= self._asked:
            self._hungry = True
        rest_until = time.monotonic() + _GIVE_WAY
        for (section, index), refusal in outcome.refused.items():
            if section == "s" and refusal.code in ("paused", "limit", "budget"):
                self._resting[part.starts[index].queue] = rest_until
            elif section == "s" and refusal.code == "not_ready" and part.claim is None:
                self._too_early()

    async def wait(self) -> None:
        """Until Redis says that there is work, at most a second."""
        woken = await self._claims.wait_for_wake(self._queues, _POLL, (self._session, self._hear))
        # Noted in `hungry`: with every slot busy no pop does it, and the next wait would not wait at all.
        self._claims.forget(woken)
        for queue in woken:
            self._resting.pop(queue, None)
        self._hungry = True

    def _awake(self) -> list[int]:
        """The queues to ask, each first in its turn, without those that just refused."""
        now = time.monotonic()
        self._turn = (self._turn + 1) % max(len(self._queues), 1)
        rotated = self._queues[self._turn :] + self._queues[: self._turn]
        if not self._resting:
            return rotated
        self._resting = {queue: until for queue, until in self._resting.items() if until > now}
        return [queue for queue in rotated if queue not in self._resting]


