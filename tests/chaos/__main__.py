"""Faults under load, on real processes and servers that it starts itself; then every promise is checked.

    make chaos                                                # ten minutes
    python -m tests.chaos --seconds 60 --only valkey_killed,worker_killed
    python -m tests.chaos --seed 31                           # the same schedule as before

Exit status: 0 when every promise held, 1 when one was broken, 2 for a bad option.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..options import Options as CommandLine
from .disk import impossible
from .faults import LONG, NEEDS_DISK
from .report import show
from .run import Options, Outcome, run


def arguments() -> argparse.Namespace:
    line = CommandLine("tests.chaos", f"{__doc__}\n{textwrap.fill('Faults: ' + ', '.join(sorted(LONG)), 110)}")
    line.variable("CHAOS_SECONDS", 600, "how long faults happen", float)
    line.variable("CHAOS_SEED", None, "which faults, and when; a random one is printed")
    line.variable("CHAOS_ONLY", "", "these kinds of faults alone, by commas", str)
    line.variable("CHAOS_KEEP", 0, "1 leaves the records where they are, to look into")
    given = line.parse_args()
    given.only = [kind for kind in given.only.split(",") if kind]
    if unknown := set(given.only) - set(LONG):
        line.error(f"no such fault: {', '.join(sorted(unknown))}")
    return given


def main() -> int:
    given = arguments()
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # a question that is given up is no news here
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    seconds = given.seconds
    faults = {kind: fault for kind, fault in LONG.items() if not given.only or kind in given.only}
    left_out = _left_out(faults)
    faults = {kind: fault for kind, fault in faults.items() if kind not in left_out}
    options = Options(seed, seconds, faults, apart=5.0, keep=bool(given.keep), left_out=left_out)
    console = Console()
    console.print(f"seed {seed}: again with CHAOS_SEED={seed} CHAOS_SECONDS={seconds:g}")
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=seconds)
        outcome = asyncio.run(_shown(options, progress, task))
    show(outcome, console)
    return 1 if outcome.checked.faults else 0


def _left_out(faults: Iterable[str]) -> dict[str, str]:
    """What cannot happen on this machine, and why."""
    if NEEDS_DISK not in faults:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        why = impossible(Path(folder))
    return {NEEDS_DISK: why} if why else {}


async def _shown(options: Options, progress: Progress, task: TaskID) -> Outcome:
    began: float | None = None

    def say(what: str) -> None:
        nonlocal began
        began = began or (time.monotonic() if what != "starting" else None)
        progress.update(task, description=what)

    async def move() -> None:
        while True:
            if began is not None:
                progress.update(task, completed=min(time.monotonic() - began, options.seconds))
            await asyncio.sleep(0.5)

    moving = asyncio.create_task(move())
    try:
        return await run(options, say)
    finally:
        moving.cancel()


if __name__ == "__main__":
    sys.exit(main())
