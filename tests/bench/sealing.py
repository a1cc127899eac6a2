"""`python -m tests.bench.sealing`: what sealing the log costs a worker, measured by turns.

    python -m tests.bench.sealing [--jobs 100000] [--concurrency 100] [--rounds 12]

The same run of waiting jobs, once with nothing beside it and once beside a process that seals as `hivelog serve`
does, round after round. Projections and the other duties of a server are left out on both sides: they
would hide the difference. Runs are long, since a seal is made every 0.7 s, and many, since they differ by more than what is
looked for. The log must be sealed to its end when a sealed run is over, or the run is void.

Beside the throughput it counts processor time an event, which holds on a machine that does other things too: of what
seals (the process and its server process), and of all else that the run takes (worker, PostgreSQL, Redis).

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
from typing import Final

from hivelog.events.pool import make_pool
from hivelog.events.sealer import Sealer
from hivelog.events.signfile import open_ring
from msgspec import Struct

from .contenders import ROOT
from .hivelog_contender import Hivelog
from .installation import Installation, Process, wait_until
from .processor import Processor, seconds_of
from .server import running_server

_ALLOWED = 0.05  # of the throughput
_BEHIND = 2.0  # seconds that a seal may take to follow the last event
_NAME: Final = "bench sealer"
_UNSEALED = """
select (select max(position) from hivelog.batches) - coalesce((select max(position) from hivelog.seals), 0)
"""
_HEAD = "select max(position) from hivelog.batches"
_STARTED = "select exists (select from hivelog.events where type = 'started')"
_SEALING = f"select pid from pg_stat_activity where application_name = '{_NAME}'"


class Cost(Struct, frozen=True):
    """Microseconds of processor time an event."""

    sealing: float
    others: float

    @property
    def share(self) -> float:
        """Of all that the run took."""
        return self.sealing / (self.sealing + self.others)


async def seal(url: str, data: Path) -> None:
    """Seal for ever, as the duty of a server does."""
    async with make_pool(url, name=_NAME, size=1) as pool:
        async with pool.connection() as connection:
            ring = await open_ring(connection, [], data=data)
        assert ring is not None
        await Sealer(pool, ring).run()


class Sealed(Hivelog):
    """Our side, with a sealer beside each of its workers when `sealing`."""

    sealing = False
    _process: subprocess.Popen[bytes] | None = None

    def _timed(self, made: Installation, concurrency: int, left: int, jobs: int) -> float:
        if not self.sealing:
            return super()._timed(made, concurrency, left, jobs)
        with self._sealer(made.folder):
            # What the enqueues left is sealed first: a server would have done so meanwhile.
            self._until_sealed(60.0)
            return super()._timed(made, concurrency, left, jobs)

    @contextlib.contextmanager
    def _watched(self, worker: Process) -> Iterator[None]:
        """Counts from the first start to the last end, and what seals until all is sealed."""
        wait_until(lambda: bool(self._scalar(_STARTED)), worker, every=0.01)
        pids = [self._process.pid, self._scalar(_SEALING)] if self._process else []
        run = Processor(self.url, self.server.redis_url, worker.pid)
        head, others, sealing = self._scalar(_HEAD), run.seconds(without=pids), sum(map(seconds_of, pids))
        yield
        others = run.seconds(without=pids) - others
        events = self._scalar(_HEAD) - head
        if self._process:
            self._until_sealed(_BEHIND)
        self.cost = Cost((sum(map(seconds_of, pids)) - sealing) / events * 1e6, others / events * 1e6)

    @contextlib.contextmanager
    def _sealer(self, folder: Path) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.bench.sealing", "--seal", str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"DATABASE_URL": self.url})
        try:
            yield
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _until_sealed(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while unsealed := self._scalar(_UNSEALED):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{unsealed} events are not sealed after {seconds:.0f} s")
            time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sealing", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seal", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seal:
        asyncio.run(seal(os.environ["DATABASE_URL"], options.seal))
    rates: dict[bool, list[float]] = {False: [], True: []}
    costs: list[Cost] = []
    with running_server() as server:
        ours = Sealed(server)
        for number in range(options.rounds):
            # Who goes first changes, or whatever drifts would count for one side.
            for ours.sealing in ((False, True), (True, False))[number % 2]:
                rates[ours.sealing].append(ours.run_waiting(options.jobs, options.concurrency))
                costs += [ours.cost] if ours.sealing else []
                print(_line(ours, rates[ours.sealing][-1]), flush=True)
        ours.close()
    return _judged(rates, costs)


def _line(ours: Sealed, rate: float) -> str:
    said = f"{'sealed' if ours.sealing else 'plain':6} {rate:9,.0f} jobs/s, an event: {ours.cost.others:5.1f} us"
    return said + (f" + {ours.cost.sealing:.2f} us sealing: {ours.cost.share:.1%}" if ours.sealing else "")


def _judged(rates: dict[bool, list[float]], costs: list[Cost]) -> int:
    sealing, share = (statistics.median(getattr(one, name) for one in costs) for name in ("sealing", "share"))
    print(f"median of {len(costs)}: sealing takes {sealing:.2f} us of processor time an event, {share:.1%} of all")
    plain, sealed = (statistics.median(rates[each]) for each in (False, True))
    cost = 1 - sealed / plain
    print(f"median of {len(costs)}: {plain:,.0f} plain, {sealed:,.0f} sealed: sealing costs {cost:.1%} of the throughput")
    return 0 if cost < _ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
