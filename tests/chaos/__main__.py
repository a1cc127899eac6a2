"""`python -m tests.chaos`: CHAOS_SECONDS (600), CHAOS_SEED (random, printed), CHAOS_ONLY (kinds, by commas),
CHAOS_KEEP=1 leaves the records where they are."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .disk import impossible
from .faults import LONG, NEEDS_DISK
from .report import show
from .run import Options, Outcome, run


def main() -> int:
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # a question that is given up is no news here
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    seconds = float(os.environ.get("CHAOS_SECONDS") or 600)
    only = [kind for kind in os.environ.get("CHAOS_ONLY", "").split(",") if kind]
    faults = {kind: fault for kind, fault in LONG.items() if not only or kind in only}
    keep = os.environ.get("CHAOS_KEEP") == "1"
    left_out = _left_out(faults)
    faults = {kind: fault for kind, fault in faults.items() if kind not in left_out}
    options = Options(seed, seconds, faults, apart=5.0, keep=keep, left_out=left_out)
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
