"""What sealing the log costs a worker, measured by turns.

    python -m tests.bench.sealing --rounds 3

The same run of waiting jobs, once with nothing beside it and once beside a process that seals as `hivelog serve`
does, round after round. Projections and the other duties of a server are left out on both sides: they
would hide the difference. The log must be sealed to its end when a sealed run is over, or the run is void.

Exit status: 0 when sealing costs less than 5 % of the throughput (medians), 1 when it costs more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hivelog.events.pool import make_pool
from hivelog.events.sealer import Sealer
from hivelog.events.signfile import open_ring

from ..options import Options
from .contenders import ROOT
from .hivelog_contender import Hivelog
from .installation import Installation
from .server import running_server

_ALLOWED = 0.05  # of the throughput
_BEHIND = 2.0  # seconds that a seal may take to follow the last event
_UNSEALED = """
select (select max(position) from hivelog.batches) - coalesce((select max(position) from hivelog.seals), 0)
"""


async def seal(url: str, data: Path) -> None:
    """Seal for ever, as the duty of a server does."""
    async with make_pool(url, size=1) as pool:
        async with pool.connection() as connection:
            ring = await open_ring(connection, [], data=data)
        assert ring is not None
        await Sealer(pool, ring).run()


class Sealed(Hivelog):
    """Our side, with a sealer beside each of its workers when `sealing`."""

    sealing = False

    def _timed(self, made: Installation, concurrency: int, left: int, jobs: int) -> float:
        if not self.sealing:
            return super()._timed(made, concurrency, left, jobs)
        with self._sealer(made.folder):
            # What the enqueues left is sealed first: a server would have done so meanwhile.
            self._until_sealed(60.0)
            rate = super()._timed(made, concurrency, left, jobs)
            self._until_sealed(_BEHIND)
        return rate

    @contextlib.contextmanager
    def _sealer(self, folder: Path) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.bench.sealing", "--seal", str(folder)]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"DATABASE_URL": self.url})
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def _until_sealed(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while unsealed := self._scalar(_UNSEALED):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{unsealed} events are not sealed after {seconds:.0f} s")
            time.sleep(0.05)


def main() -> int:
    parser = Options("tests.bench.sealing", __doc__)
    parser.add_argument("--jobs", type=int, default=20_000, help="of one run (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=100, help="slots of the worker (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side (%(default)s)")
    parser.add_argument("--seal", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seal:
        asyncio.run(seal(os.environ["DATABASE_URL"], options.seal))
    rates: dict[bool, list[float]] = {False: [], True: []}
    with running_server() as server:
        ours = Sealed(server)
        for number in range(options.rounds):
            # Who goes first changes, or whatever drifts would count for one side.
            for ours.sealing in ((False, True), (True, False))[number % 2]:
                rates[ours.sealing].append(ours.run_waiting(options.jobs, options.concurrency))
                print(f"{'sealed' if ours.sealing else 'plain':6} {rates[ours.sealing][-1]:9,.0f} jobs/s", flush=True)
        ours.close()
    plain, sealed = (statistics.median(rates[each]) for each in (False, True))
    cost = 1 - sealed / plain
    print(f"median of {options.rounds}: {plain:,.0f} plain, {sealed:,.0f} sealed: sealing costs {cost:.1%}")
    return 0 if cost < _ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
