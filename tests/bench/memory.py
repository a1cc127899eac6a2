"""Resident memory of processes, from /proc.

Proportional set size where the kernel tells it, so that pages shared between our processes are
counted once; resident size otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_MIB = 1024 * 1024


def _kib(path: Path, field: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(field))
    return next((int(value) for value in found), None)


def resident_mib(pids: Sequence[int]) -> float:
    """MiB held by these processes together. Raises ProcessLookupError when one of them is gone."""
    total = 0
    for pid in pids:
        place = Path(f"/proc/{pid}")
        kib = _kib(place / "smaps_rollup", "Pss:") or _kib(place / "status", "VmRSS:")
        if kib is None:
            raise ProcessLookupError(pid)
        total += kib * 1024
    return total / _MIB


class Peak:
    """The most that was seen so far."""

    mib = 0.0


@contextmanager
def watched(pids: Sequence[int], every: float = 0.2) -> Iterator[Peak]:
    """Samples `resident_mib` every `every` seconds while the body runs; keeps the peak."""
    peak, stop = Peak(), threading.Event()

    def sample() -> None:
        while not stop.is_set():
            peak.mib = max(peak.mib, resident_mib(pids))
            stop.wait(every)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
