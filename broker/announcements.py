"""Word of a job that is just being written, to a worker that waits for one like it.

An idle worker learns of a new job when the log has it, Redis has been told, and Redis has woken the worker,
which then claims and starts it: five hops, one after the other. Announced when its append sets out, the start
reaches the database while the enqueue still holds the log's lock, and follows it. Nothing depends on it: a
start that comes too early is refused and sent once more; then, or where no job came, the usual way goes on.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from typing import Any, Final

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
        """Tell a worker, if one waits; answers at once. For jobs that will be ready at once.

        To be called before the job is posted: on its way to the worker the word passes two processes, and
        meanwhile the append is made and sent.
        """
        if self._feeder.available and not self._tasks:
            sent = self._redis.ask(
                "announce", queue=job.queue, type=job.type, priority=job.priority, job=raw(job.job)
            )
            task = asyncio.create_task(self._told(sent), name="announce")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _told(self, sent: Awaitable[Any]) -> None:
        try:
            await sent
        except (RedisUnavailable, ScriptFailed) as error:
            self._feeder.failed(error)
