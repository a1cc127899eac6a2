"""Word of a job that is just being written, to a worker that waits for one like it.

An idle worker learns of a new job when the log has it, Redis has been told, and Redis has woken the worker,
which then claims and starts it: five hops, one after the other. Announced when its append sets out, the start
reaches the database while the enqueue still holds the log's lock, and follows it. Nothing depends on it: a
start that comes too early, or of a job that never came, is refused, and the usual way goes on.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from msgspec import Struct

from ..events.batch import Enqueue, Start
from .connection import Redis, RedisUnavailable, ScriptFailed
from .feed import Feeder
from .packing import raw

# What announcements on the wake channel begin with, and their fields: see scripts/announce.lua.
MARK: Final = b"!"
_FIELDS: Final = struct.Struct(">iiii16s")


class Announcement(Struct, frozen=True, gc=False):
    """Of a job to be, for the worker of one session."""

    session: int
    queue: int
    type: int
    priority: int
    job: bytes

    @property
    def start(self) -> Start:
        return Start(self.session, self.queue, self.type, self.priority, self.job)


def parse(message: bytes) -> Announcement:
    return Announcement(*_FIELDS.unpack(message[len(MARK) :]))


class Announcer:
    """Announces jobs of this process."""

    def __init__(self, redis: Redis, feeder: Feeder) -> None:
        self._redis, self._feeder = redis, feeder
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, job: Enqueue) -> None:
        """Tell a worker, if one waits; answers at once. For jobs that will be ready at once."""
        if self._feeder.available and not self._tasks:
            task = asyncio.create_task(self._announce(job), name="announce")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _announce(self, job: Enqueue) -> None:
        try:
            await self._redis.ask(
                "announce", queue=job.queue, type=job.type, priority=job.priority, job=raw(job.job)
            )
        except (RedisUnavailable, ScriptFailed) as error:
            self._feeder.failed(error)
