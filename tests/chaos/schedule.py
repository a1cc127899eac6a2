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


def plan(seed: int, seconds: float, kinds: Sequence[str], apart: float) -> list[Planned]:
    """Every kind once in each round, in another order each time, about `apart` seconds between two."""
    rng = random.Random(seed)
    planned: list[Planned] = []
    at = 1.0
    round_: list[str] = []
    while at < seconds:
        if not round_:
            round_ = rng.sample(list(kinds), len(kinds))
        planned.append(Planned(at, round_.pop(), rng.getrandbits(32)))
        at += apart * rng.uniform(0.3, 1.7)
    return planned
