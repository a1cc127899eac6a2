"""One measured row: what was measured, against whom, and whether it reached its bar. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True)
class Bar:
    """What must be reached, by the ratio to the peer or by our own value."""

    limit: float
    on: Literal["ratio", "value"] = "ratio"
    most: bool = False  # an upper bound (latency, memory) instead of a lower one

    def reached(self, value: float) -> bool:
        return value <= self.limit if self.most else value >= self.limit

    def __str__(self) -> str:
        sign = "<=" if self.most else ">="
        return f"{sign} {self.limit:g}x" if self.on == "ratio" else f"{sign} {self.limit:,g}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    title: str
    unit: str
    ours: float | None = None
    peer: float | None = None
    peer_name: str = ""
    bar: Bar | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's; None when either was not measured."""
        return self.ours / self.peer if self.ours is not None and self.peer else None

    @property
    def reached(self) -> bool | None:
        """None when there is no bar or nothing to hold against it."""
        held = self.ratio if self.bar and self.bar.on == "ratio" else self.ours
        return self.bar.reached(held) if self.bar and held is not None else None

    def pair(self) -> dict[str, float | None]:
        """The row as bench.json holds it."""
        ratio = self.ratio
        named = {"ours": self.ours, self.peer_name: self.peer}
        figures = {name: None if value is None else round(value) for name, value in named.items()}
        return {**figures, "ratio": None if ratio is None else round(ratio, 2)}


def interleaved(
    calls: Mapping[str, Callable[[], float]],
    rounds: int,
    watch: Callable[[str, int, float], None] = lambda name, turn, value: None,
) -> dict[str, float]:
    """Median of `rounds` samples each, taken in turn (A B A B), so that a machine that slows down
    or speeds up meanwhile does so for everybody."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            value = call()
            samples[name].append(value)
            watch(name, turn, value)
    return {name: median(values) for name, values in samples.items()}


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
