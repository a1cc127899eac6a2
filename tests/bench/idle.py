"""CPU that processes use, from /proc: what an idle installation costs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system seconds that these processes have used since they began."""
    ticks = 0
    for pid in pids:
        # The name in parentheses may hold spaces: count after it. utime and stime are 14 and 15.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def cpu_percent(pids: Sequence[int], seconds: float) -> float:
    """Percent of one core that these processes use together over the next `seconds`."""
    before, started = cpu_seconds(pids), time.perf_counter()
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / (time.perf_counter() - started) * 100
