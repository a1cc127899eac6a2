"""Word of a job that is just being written, to a worker that waits for one like it.

An idle worker learns of a new job when the log has it, Redis has been told, and Redis has woken the worker,
which then claims and starts it: five hops, one after the other. Announced when its append sets out, the start
reaches the database while the enqueue still holds the log's lock, and follows it. Nothing depends on it: a
start that comes too early is refused and sent once more; then, or where no job came, the usual way goes on.
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct

from ..events.batch import Enqueue, Start
from .connection import Redis
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

    def announce(self, job: Enqueue) -> None:
        """Tell a worker, if one waits; answers at once, and nobody learns what came of it. For jobs that will
        be ready at once.

        To be called before the job is posted: on its way to the worker the word passes two processes, and
        meanwhile the append is made and sent.
        """
        if self._feeder.available:
            self._redis.tell(
                "announce", queue=job.queue, type=job.type, priority=job.priority, job=raw(job.job)
            )
