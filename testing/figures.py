"""The figures of a queue in memory, by the definitions of projections/stats.py, with exact percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final

from ..events import times
from ..projections.stats import QueueStats
from .life import Life

_MINUTE: Final = 60_000
_DAY: Final = 1440 * _MINUTE
_ENDS: Final = ("completed", "failed", "expired")


def figures(lives: Sequence[Life], now: int, *, paused: bool) -> QueueStats:
    """Of the jobs of one queue, at `now` (ms since 1970). Nobody else works here: there is no capacity."""
    ends = [(at, event == "completed") for life in lives for at, event in _ends(life)]
    since = (now // _MINUTE - 1439) * _MINUTE  # whole minutes, the current one included
    in_day = [well for at, well in ends if at >= since]
    today = [well for at, well in ends if at >= now // _DAY * _DAY]
    runs = sorted(took for life in lives for at, took in _runs(life) if at >= since)
    states = [life.state.status for life in lives]
    success = 100 * sum(in_day) / len(in_day) if in_day else None
    minute, hour = (sum(at // 1000 > now // 1000 - seconds for at, _ in ends) for seconds in (60, 3600))
    return QueueStats(
        pending=states.count("pending"), queued=states.count("queued"),
        depth=states.count("pending") + states.count("queued"), processing=states.count("processing"),
        completed_today=sum(today), failed_today=len(today) - sum(today),
        success_rate=success, error_rate=None if success is None else 100 - success,
        avg_processing_time=sum(runs) / len(runs) / 1000 if runs else None,
        p50=_percentile(runs, 0.50), p95=_percentile(runs, 0.95), p99=_percentile(runs, 0.99),
        throughput=minute / 60, per_minute=minute, per_hour=hour,
        oldest_waiting_seconds=_oldest(lives, now),
        paused=paused, workers=0, capacity=0, utilization=None,
    )  # fmt: skip


def _ends(life: Life) -> Iterator[tuple[int, str]]:
    for event in life.events:
        if event.type in _ENDS:
            yield event.recorded_at, event.type


def _runs(life: Life) -> Iterator[tuple[int, int]]:
    """When each completed attempt ended, and the milliseconds that it took."""
    started = 0
    for event in life.events:
        if event.type == "started":
            started = event.recorded_at
        elif event.type == "completed":
            yield event.recorded_at, event.recorded_at - started


def _percentile(sorted_ms: Sequence[int], share: float) -> float | None:
    """Nearest rank, in seconds."""
    return sorted_ms[ceil(len(sorted_ms) * share) - 1] / 1000 if sorted_ms else None


def _oldest(lives: Iterable[Life], now: int) -> float | None:
    """Seconds that the oldest ready job has waited: since it came, or since the time it was meant for."""
    ages = [now - _since(life) for life in lives if life.state.status == "queued"]
    return max(max(ages), 0) / 1000 if ages else None


def _since(life: Life) -> int:
    planned = life.state.spec.scheduled_for
    came = life.events[0].recorded_at
    return came if planned is None else max(came, times.from_text(planned))
