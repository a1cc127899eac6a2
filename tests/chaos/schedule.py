"""Which fault comes when: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """`at` seconds after the start; `seed` is for the fault's own choices (victim, duration)."""

    at: float
    kind: str
    seed: int


_RARELY = 300.0  # s


def plan(
    seed: int, seconds: float, kinds: Sequence[str], apart: float, rare: Sequence[str] = ()
) -> list[Planned]:
    """Every kind once in each round, in another order each time, about `apart` seconds between two.

    The `rare` ones, which take everything away for long, come once in five minutes: in between, work must flow, or
    the other faults meet a system that is at rest.
    """
    rng = random.Random(seed)
    planned = [
        Planned(at, kind, rng.getrandbits(32))
        for kind in rare
        for at in _times(rng.uniform(0.2, 0.5) * min(seconds, _RARELY), seconds)
    ]
    return sorted(planned + _rounds(rng, seconds, kinds, apart), key=lambda each: each.at)


def _times(first: float, seconds: float) -> Sequence[float]:
    return [first + n * _RARELY for n in range(int((seconds - first) // _RARELY) + 1)]


def _rounds(rng: random.Random, seconds: float, kinds: Sequence[str], apart: float) -> list[Planned]:
    planned: list[Planned] = []
    at = 1.0
    round_: list[str] = []
    while at < seconds:
        if not round_:
            round_ = rng.sample(list(kinds), len(kinds))
        planned.append(Planned(at, round_.pop(), rng.getrandbits(32)))
        at += apart * rng.uniform(0.3, 1.7)
    return planned
