"""The protocol simulated: many histories, one seed after the other, with every fault that there is.

    make model                                              # five million steps
    python -m tests.protocol --seed 4711 --steps 1          # one history again, with what led to a violation
    python -m tests.protocol --bugs                         # leave out one guard after the other

Exit status: 0 without a violation, 1 with one (or a bug that was not found), 2 for a bad option.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from ..options import Options
from .bugs import BUGS, found_by
from .checker import Violation
from .world import simulate

_told = 0.0


def main() -> int:
    parser = Options("tests.protocol", __doc__)
    parser.variable("MODEL_SEED", 1, "of the first history")
    parser.variable("MODEL_STEPS", 5_000_000, "in all; the history under way is carried to its end")
    parser.add_argument(
        "--each", type=int, metavar="N", default=40_000, help="steps of one history, before it may come to rest (%(default)s)"
    )
    parser.add_argument("--trace", type=int, metavar="N", default=40, help="lines of what led to a violation (%(default)s)")
    parser.add_argument("--bugs", action="store_true", help="leave out one guard after the other instead")
    options = parser.parse_args()
    return _bugs() if options.bugs else _histories(options)


def _histories(options: argparse.Namespace) -> int:
    began, done, total, broken = time.monotonic(), 0, Counter[str](), 0
    seed = options.seed
    while done < options.steps:
        try:
            world = simulate(seed, options.each)
        except Violation as found:
            broken += 1
            world = found.world
            print(f"seed {seed}: {found}")
            for at, who, what in list(world.trace)[-options.trace :]:
                print(f"  {at:9.3f} {who:12} {what[:200]}")
        done += world.loop.steps
        total.update(world.counts())
        _progress(done, options.steps, began, seed)
        seed += 1
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{done:,} steps in {seconds:.0f} s, seeds {options.seed} to {seed - 1}, violations: {broken}")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(total.items())))
    return 1 if broken else 0


def _progress(done: int, steps: int, began: float, seed: int) -> None:
    """One line that is written over on a terminal, and one every half minute elsewhere."""
    global _told
    now = time.monotonic()
    seen = sys.stderr.isatty()
    if now - _told < (0.2 if seen else 30):
        return
    _told = now
    speed = done / (now - began)
    left = max(steps - done, 0) / speed
    line = f"{min(done / steps, 1):4.0%}  {done:,} steps, {speed:,.0f}/s, seed {seed}, about {left / 60:.0f} min left"
    print(f"\r{line}\033[K" if seen else line, end="" if seen else "\n", file=sys.stderr, flush=True)


def _bugs() -> int:
    missed = 0
    for bug in BUGS:
        began = time.monotonic()
        found = found_by(bug)
        missed += found is None
        said = "NOT FOUND" if found is None else f"{found.rule} (seed {found.seed}, {found.steps:,} steps)"
        hint = "" if found is None or found.seed == bug.seed else f"; bugs.py tries seed {bug.seed} first"
        print(f"{bug.guard:52} {said}, {time.monotonic() - began:.1f} s{hint}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
