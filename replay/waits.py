"""Figures of a queue over a window: how long was waited, and how many waited. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from math import ceil
from typing import Final

from msgspec import Struct

from .simulation import NEVER

BUCKETS: Final = 60
_BARS: Final = " ▁▂▃▄▅▆▇█"


class Window(Struct, frozen=True):
    """Milliseconds, the end not included."""

    since: int
    until: int


class Figures(Struct, frozen=True):
    """Waits in milliseconds, None where nothing started; depths are of jobs that may run and do not.
    `depth`: its mean in each of BUCKETS equal parts of the window; `unstarted`: never got their turn."""

    started: int
    unstarted: int
    mean: float | None
    p50: int | None
    p95: int | None
    p99: int | None
    longest: int | None
    mean_depth: float
    max_depth: int
    depth: list[float]


def figures(ready: Sequence[int], starts: Sequence[int], leaves: Sequence[int], window: Window) -> Figures:
    """By attempt: when it was able to run, when it started, when it left without that (NEVER: not)."""
    waits = sorted(
        started - able for able, started in zip(ready, starts, strict=True) if NEVER not in (able, started)
    )
    stays = [
        (able, _out(started, left, window.until))
        for able, started, left in zip(ready, starts, leaves, strict=True) if able != NEVER
    ]  # fmt: skip
    depth, highest = _depths(stays, window)
    return Figures(
        len(waits), sum(s == NEVER == left for s, left in zip(starts, leaves, strict=True)),
        round(sum(waits) / len(waits), 3) if waits else None,
        percentile(waits, 50), percentile(waits, 95), percentile(waits, 99), waits[-1] if waits else None,
        round(sum(depth) / len(depth), 3), highest, depth,
    )  # fmt: skip


def _out(started: int, left: int, until: int) -> int:
    if started != NEVER:
        return started
    return until if left == NEVER else left


def percentile(ordered: Sequence[int], percent: float) -> int | None:
    """Of values in order: the least that so many percent do not exceed."""
    if not ordered:
        return None
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _depths(stays: Sequence[tuple[int, int]], window: Window) -> tuple[list[float], int]:
    """Mean in each bucket, and the most at any moment of the window."""
    length = max(window.until - window.since, 1)
    # A number holds time and kind: who comes and goes at the same moment did not wait at any.
    comes = sorted(2 * max(able, window.since) + 1 for able, _ in stays)
    goes = sorted(2 * max(out, window.since) for able, out in stays)
    areas = [0.0] * BUCKETS
    depth = highest = 0
    last = window.since
    for mark in merge(comes, goes):
        time, comes_now = divmod(mark, 2)
        if time >= window.until:
            break
        if time > last:
            highest = max(highest, depth)
            _add(areas, depth, last - window.since, time - window.since, length)
            last = time
        depth += 1 if comes_now else -1
    highest = max(highest, depth)
    _add(areas, depth, last - window.since, length, length)
    return [round(area * BUCKETS / length, 3) for area in areas], highest


def _add(areas: list[float], depth: int, start: float, end: int, length: int) -> None:
    """A depth that lasted from start to end, spread over the buckets that it touches."""
    if not depth:
        return
    bucket = int(start * BUCKETS // length)
    while start < end:
        edge = (bucket + 1) * length / BUCKETS
        areas[bucket] += depth * (min(edge, end) - start)
        start, bucket = edge, bucket + 1


def chart(depth: Sequence[float], highest: float) -> str:
    """A line of bars, one a bucket; any depth at all is seen."""
    if highest <= 0:
        return _BARS[0] * len(depth)
    steps = len(_BARS) - 1
    return "".join(_BARS[0 if d <= 0 else max(1, min(steps, round(d / highest * steps)))] for d in depth)
