"""The leading supervisor's task: decide the numbers of the queues that nobody has pinned.

Leadership only saves the others the work. Two that believe they lead cannot both change a number: a change
names the version of the queue's stream that it was decided on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from ..events.pool import Pool
from ..events.types import Scaled
from .leadership import Leadership
from .scales import Scale, Scales
from .supervisor_scaling import Load, Pace, decide, observe
from .supervisor_share import Member

_log = structlog.get_logger(__name__)

_DUTY: Final = "scaling"
ACTOR: Final = "leader"


class Leader:
    """Raises psycopg's errors and LogError. `slots`: jobs that one worker process runs at once."""

    def __init__(self, pool: Pool, scales: Scales, slots: int) -> None:
        self._leadership = Leadership(pool)
        self._scales, self._slots = scales, slots
        self._paces: dict[str, Pace] = {}

    async def decide(self, scales: Sequence[Scale], members: Sequence[Member]) -> list[Scale]:
        """`scales`, with what was changed; as they are when another leads."""
        if not await self._leadership.claim([_DUTY]):
            self._paces.clear()
            return list(scales)
        served = [any(member.serves(scale.queue) for member in members) for scale in scales]
        return [await self._one(s) if theirs else s for s, theirs in zip(scales, served, strict=True)]

    async def _one(self, scale: Scale) -> Scale:
        now, load = time.monotonic(), self._load(scale)
        workers = None if scale.scaled is None else scale.scaled.workers
        pace = self._paces[scale.queue] = observe(self._paces.get(scale.queue, Pace()), workers, load, now)
        if scale.scaled is not None and scale.scaled.pinned:
            return scale
        change = decide(scale.config.scaling, load, pace, now)
        if change is None:
            return scale
        scaled = Scaled(change.workers, reason=change.reason)
        if await self._scales.change(scale, scaled, ACTOR) is None:
            return scale  # somebody was faster; the next look sees it
        _log.info("scaled", queue=scale.queue, workers=change.workers, before=workers, reason=change.reason)
        return msgspec.structs.replace(scale, scaled=scaled)

    def _load(self, scale: Scale) -> Load:
        return Load(
            ready=scale.ready, waiting=scale.waiting, idle=scale.idle, paused=scale.paused,
            max_workers=scale.config.max_workers, slots=self._slots,
        )  # fmt: skip

    async def leave(self) -> None:
        """Let another lead at once."""
        await self._leadership.release([_DUTY])
