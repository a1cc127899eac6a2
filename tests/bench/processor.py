"""Processor time of a run, by process: it says what a thing costs where wall clocks are noise.

    run = Processor(url, redis_url, worker.pid)
    before = run.seconds()
    ...
    run.seconds() - before

Both servers must be on this machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import psutil
import psycopg
import redis

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK: Final = 2  # of a process with all its threads; see clock_getcpuclockid(3)


def seconds_of(pid: int) -> float:
    """User and system time of a living process, to the nanosecond. OSError when it is gone."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


class Processor:
    """PostgreSQL with all its processes, Redis and others by number."""

    def __init__(self, url: str, redis_url: str, *others: int) -> None:
        with psycopg.connect(url) as connection, redis.Redis.from_url(redis_url) as store:
            self._postmaster = psutil.Process(connection.info.backend_pid).ppid()
            self._others = (*others, int(store.info("server")["process_id"]))

    def seconds(self, without: Collection[int] = ()) -> float:
        """What all of them have used, but for the server processes `without`."""
        found = sum(seconds_of(pid) for pid in self._others) + self._ended()
        for child in psutil.Process(self._postmaster).children():
            if child.pid not in without:
                try:
                    found += seconds_of(child.pid)
                except OSError:
                    continue  # ended meanwhile: counted the next time
        return found

    def _ended(self) -> float:
        """Of server processes that are gone: cutime and cstime of the first one."""
        fields = Path(f"/proc/{self._postmaster}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / _TICKS
