"""When a process that crashed is started again, and when one that lives is replaced. Times in seconds."""

from __future__ import annotations

import random
import signal
from typing import Final

from msgspec import Struct

_FIRST: Final = 0.5
_LONGEST: Final = 30.0
HEALTHY: Final = 20.0  # a process that lived for so long did not crash at its start


class Limits(Struct, frozen=True):
    """Beyond these a worker is replaced; None: never."""

    memory_mib: int | None = None
    jobs: int | None = None  # attempts that it has ended


class Crash(Struct, frozen=True):
    """A process that ended unasked; its session may live on in the database."""

    name: str
    pid: int
    how: str


class Crashing(Struct, frozen=True):
    """What people are told of a queue whose processes crash. `again_in`: seconds until the next start."""

    in_a_row: int
    reason: str
    again_in: float


class Crashes(Struct, frozen=True):
    """Crashes of a queue's processes in a row, and when the next one may be started."""

    count: int = 0
    not_before: float = 0.0
    how: str = ""  # the last one

    def told(self, now: float) -> Crashing | None:
        """None when it is over: the next one has been running well for a while."""
        if not self.count or now > self.not_before + HEALTHY:
            return None
        return Crashing(self.count, self.how, round(max(0.0, self.not_before - now), 1))

    def another(self, lived: float, now: float, how: str) -> Crashes:
        """One more: twice the pause of the last time, half of it by chance, so that hosts do not all start
        theirs at the same moment."""
        count = 1 if lived >= HEALTHY else self.count + 1
        longest = min(_LONGEST, _FIRST * 2 ** min(count - 1, 16))
        return Crashes(count, now + longest * random.uniform(0.5, 1.0), how)  # noqa: S311 - jitter


def worn_out(limits: Limits, memory_mib: int | None, jobs: int) -> str | None:
    """Why a worker is to be replaced, if it is. By memory only after a job: before, the limit is too low."""
    if limits.memory_mib is not None and jobs and (memory_mib or 0) > limits.memory_mib:
        return f"recycled: {memory_mib} MiB, more than {limits.memory_mib}"
    if limits.jobs is not None and jobs >= limits.jobs:
        return f"recycled: {jobs} jobs, of {limits.jobs} at most"
    return None


def obituary(status: int) -> str:
    """How a process ended, by its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
