"""PgQueuer as the peer: one process per operation, which prints its figures as one line of JSON.

Set up as fast as it honestly goes: durable tables, its own autovacuum tuning, asyncpg, uvloop,
batch size = concurrency, no worker cap (it would count at every dequeue), statistics folding off.
The clock of `work` starts with the first dequeue and stops when the last completion is committed.

    python -m tests.bench.peers.pgqueuer_peer work --dsn ... --jobs 20000 --concurrency 500
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JOB_STATUS
from psycopg.conninfo import conninfo_to_dict

from ..payload import PAYLOAD, age_ms, stamped

BULK = 1000
ENTRYPOINT = "noop"
# Chosen by trying: a worker on one connection is as fast as or faster than on a pool of 2-5 at
# every concurrency; single enqueues are fastest over a pool of 5 (its default), slower over 10-50.
SINGLES_POOL = 5

Completion = tuple[Job, JOB_STATUS, TracebackRecord | None]


def say(**figures: object) -> None:
    """Print one line of figures for the parent process."""
    print(json.dumps(figures), flush=True)


def target(dsn: str) -> dict[str, str]:
    """libpq's key=value conninfo as asyncpg's keyword arguments (asyncpg reads URLs only)."""
    names = {"dbname": "database", "options": ""}
    return {
        name: str(value)
        for key, value in conninfo_to_dict(dsn).items()
        if (name := names.get(key, key)) and value is not None
    }


@asynccontextmanager
async def queries(dsn: str, pool: int = 0) -> AsyncIterator[Queries]:
    """Queries over one connection, or over a pool of that many."""
    if pool:
        async with asyncpg.create_pool(**target(dsn), min_size=pool, max_size=pool) as made:
            yield Queries(AsyncpgPoolDriver(made))
    else:
        connection = await asyncpg.connect(**target(dsn))
        try:
            yield Queries(AsyncpgDriver(connection))
        finally:
            await connection.close()


class Clock:
    """Marks the first dequeue and the commit of the last of `jobs` completions, by wrapping the two
    calls of one Queries; PgQueuer itself offers no such hook."""

    def __init__(self, queries: Queries, jobs: int, done: asyncio.Event) -> None:
        self.first = self.last = 0
        self.left = jobs
        self.done = done
        self._dequeue, self._log = queries.dequeue, queries.log_jobs
        queries.dequeue = self.dequeue  # type: ignore[method-assign]
        queries.log_jobs = self.log  # type: ignore[method-assign,assignment]

    async def dequeue(self, *args: object, **named: object) -> list[Job]:
        self.first = self.first or time.monotonic_ns()
        return await self._dequeue(*args, **named)  # type: ignore[arg-type]

    async def log(self, completions: list[Completion]) -> None:
        await self._log(completions)
        self.left -= len(completions)
        if self.left <= 0 and not self.last:
            self.last = time.monotonic_ns()
            self.done.set()


async def work(dsn: str, jobs: int, concurrency: int, echo: bool) -> None:
    """Run `jobs` jobs in this process; with `echo`, print each job's age at its start in ms."""
    async with queries(dsn) as found:
        manager = QueueManager(found)
        clock = Clock(found, jobs, manager.shutdown)

        async def noop(job: Job) -> None:
            if echo:
                say(age=age_ms(job.payload or b""))

        manager.entrypoint(ENTRYPOINT)(noop)
        running = asyncio.create_task(
            manager.run(
                batch_size=concurrency,
                dequeue_timeout=timedelta(seconds=1),  # a wake it misses costs 1 s, not its 30
                log_aggregation_interval=timedelta(0),
            )
        )
        while not clock.first:  # listening begins before the first dequeue
            await asyncio.sleep(0.002)
        say(ready=True)
        await running
        say(first_ns=clock.first, last_ns=clock.last)


async def enqueue_bulk(found: Queries, jobs: int) -> float:
    """Enqueue `jobs` jobs, BULK a call; answers seconds."""
    started = time.perf_counter()
    for _ in range(jobs // BULK):
        await found.enqueue([ENTRYPOINT] * BULK, [PAYLOAD] * BULK, [0] * BULK)
    return time.perf_counter() - started


async def install(dsn: str) -> None:
    async with queries(dsn) as found:
        await found.install()
        await found.optimize_autovacuum()
    say(installed=True)


async def bulk(dsn: str, jobs: int) -> None:
    async with queries(dsn) as found:
        say(seconds=await enqueue_bulk(found, jobs), jobs=jobs)


async def singles(dsn: str, jobs: int, clients: int) -> None:
    """`clients` tasks enqueue one at a time over one pool, each once before the clock starts, so that every connection
    has its statements; answers seconds and the median in ms."""
    waits: list[float] = []

    async def client(found: Queries, count: int) -> None:
        for _ in range(count):
            started = time.perf_counter()
            await found.enqueue(ENTRYPOINT, PAYLOAD)
            waits.append((time.perf_counter() - started) * 1e3)

    async with queries(dsn, SINGLES_POOL) as found:
        await asyncio.gather(*(found.enqueue(ENTRYPOINT, PAYLOAD) for _ in range(clients)))
        started = time.perf_counter()
        await asyncio.gather(*(client(found, jobs // clients - 1) for _ in range(clients)))
        say(seconds=time.perf_counter() - started, jobs=len(waits), p50_ms=statistics.median(waits))


@asynccontextmanager
async def worker(dsn: str, jobs: int, concurrency: int, *more: str) -> AsyncIterator[Process]:
    """A worker process of its own that is listening already."""
    options = ("--dsn", dsn, "--jobs", str(jobs), "--concurrency", str(concurrency))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "work", *options, *more, stdout=PIPE
    )
    try:
        await heard(process)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def heard(process: Process) -> dict[str, float]:
    """The next line of figures that a worker prints."""
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    if not line:
        raise RuntimeError("the PgQueuer worker ended early")
    figures: dict[str, float] = json.loads(line)
    return figures


async def end_to_end(dsn: str, jobs: int, concurrency: int) -> None:
    """Enqueue while another process runs them; from the first call to the last commit."""
    async with queries(dsn) as found, worker(dsn, jobs, concurrency) as process:
        started = time.monotonic_ns()
        await enqueue_bulk(found, jobs)
        figures = await heard(process)
        say(seconds=(figures["last_ns"] - started) / 1e9, jobs=jobs)


async def latency(dsn: str, samples: int) -> None:
    """Enqueue one, wait for its start in another process, rest a random while, repeat."""
    ages: list[float] = []
    async with queries(dsn) as found, worker(dsn, samples, 10, "--echo") as process:
        for _ in range(samples):
            await asyncio.sleep(random.uniform(0.15, 0.25))
            await found.enqueue(ENTRYPOINT, stamped())
            ages.append((await heard(process))["age"])
    say(ages_ms=ages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    operations = ("install", "bulk", "work", "singles", "end_to_end", "latency")
    parser.add_argument("operation", choices=operations)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=500)
    parser.add_argument("--echo", action="store_true")
    args = parser.parse_args()
    calls = {
        "install": lambda: install(args.dsn),
        "bulk": lambda: bulk(args.dsn, args.jobs),
        "work": lambda: work(args.dsn, args.jobs, args.concurrency, args.echo),
        "singles": lambda: singles(args.dsn, args.jobs, args.concurrency),
        "end_to_end": lambda: end_to_end(args.dsn, args.jobs, args.concurrency),
        "latency": lambda: latency(args.dsn, args.jobs),
    }
    uvloop.run(calls[args.operation]())


if __name__ == "__main__":
    main()
