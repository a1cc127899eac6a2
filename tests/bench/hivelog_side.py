"""Our side's producers: one process per operation, over the public Client, one line of JSON each.

DATABASE_URL and REDIS_URL say where. The worker, where one is needed, is started by the parent.

    python -m tests.bench.hivelog_side bulk --jobs 50000
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import statistics
import sys
import time
from collections.abc import Coroutine
from typing import Any

import psycopg
import uvloop
from hivelog import Client

from ..options import Options
from .payload import PAYLOAD, stamped

QUEUE, TYPE = "bench", "noop"
BULK, LARGE_BULK = 1000, 10_000
PATIENCE = 300.0  # seconds
_BODY = json.loads(PAYLOAD)

# Live jobs of the queue: exact, and one index look-up however many jobs there are.
LIVE = """
select pending + ready + running from hivelog.queue_marks
where queue = (select id from hivelog.queues where name = 'bench') order by position desc limit 1
"""
HEAD = "select position from hivelog.batches order by position desc limit 1"
BEHIND = """
select coalesce(min(c.position) < (select max(b.position) from hivelog.batches b), false)
from hivelog.checkpoints c
"""


async def enqueue_bulk(client: Client, jobs: int, size: int = BULK) -> float:
    """Enqueue `jobs` jobs, `size` a call; answers seconds."""
    items = [{"queue": QUEUE, "type": TYPE, "payload": _BODY} for _ in range(size)]
    started = time.perf_counter()
    for _ in range(jobs // size):
        await client.enqueue_many(items)
    return time.perf_counter() - started


async def bulk(jobs: int, _: int) -> dict[str, Any]:
    async with Client() as client:
        return {"seconds": await enqueue_bulk(client, jobs), "jobs": jobs}


async def large_bulk(jobs: int, _: int) -> dict[str, Any]:
    async with Client() as client:
        return {"seconds": await enqueue_bulk(client, jobs, LARGE_BULK), "jobs": jobs}


async def singles(jobs: int, clients: int) -> dict[str, Any]:
    """`clients` tasks enqueue one at a time over one Client, each once before the clock starts, so that what is opened
    or planned at first use is there; seconds, and the median in ms."""
    waits: list[float] = []

    async def task(client: Client, count: int) -> None:
        for _ in range(count):
            started = time.perf_counter()
            await client.enqueue(QUEUE, TYPE, _BODY)
            waits.append((time.perf_counter() - started) * 1e3)

    async with Client() as client:
        await asyncio.gather(*(client.enqueue(QUEUE, TYPE, _BODY) for _ in range(clients)))
        started = time.perf_counter()
        await asyncio.gather(*(task(client, jobs // clients - 1) for _ in range(clients)))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "jobs": len(waits), "p50_ms": statistics.median(waits)}


async def end_to_end(jobs: int, _: int) -> dict[str, Any]:
    """Until the queue is empty and every projection stands at the head of the log."""
    url = os.environ["DATABASE_URL"]
    async with Client() as client, await psycopg.AsyncConnection.connect(url) as conn:
        await conn.set_autocommit(True)
        started = time.perf_counter()
        await enqueue_bulk(client, jobs)
        # Who looks takes time from those who work: seldom until the end is near, and then often.
        for query, every in ((LIVE, 0.02), (BEHIND, 0.003)):
            while await scalar(conn, query):
                if time.perf_counter() - started > PATIENCE:
                    raise TimeoutError("the queue is not empty, or a projection is behind")
                await asyncio.sleep(every)
        return {"seconds": time.perf_counter() - started, "jobs": jobs}


async def scalar(conn: psycopg.AsyncConnection[Any], query: str) -> Any:
    row = await (await conn.execute(query)).fetchone()
    return row[0] if row else None


async def latency(samples: int, _: int) -> dict[str, Any]:
    """Enqueue one, wait for its start in the worker, rest until all is idle, repeat."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(os.environ["BENCH_ECHO"])
    listening.setblocking(False)
    loop, ages = asyncio.get_running_loop(), []
    async with Client() as client:
        for _ in range(samples):
            await asyncio.sleep(random.uniform(0.15, 0.25))
            await client.enqueue(QUEUE, TYPE, json.loads(stamped()))
            told = await asyncio.wait_for(loop.sock_recv(listening, 64), 30)
            ages.append(float(told))
    return {"ages_ms": ages}


async def beside_bulk(jobs: int, _: int) -> dict[str, Any]:
    return await beside("tests.bench.hivelog_side", "large_bulk", "--jobs", str(jobs))


async def beside_drain(_: int, __: int) -> dict[str, Any]:
    return await beside("hivelog.cli", "drain", QUEUE, "--yes")


async def beside(*load: str) -> dict[str, Any]:
    """One enqueue after the other, from when another process moves the log until it ends; each in ms."""
    async with Client() as client, await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"]) as conn:
        await conn.set_autocommit(True)
        await client.enqueue(QUEUE, TYPE, _BODY)  # what is opened at first use is open now
        before, waits = await scalar(conn, HEAD), []
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *load, stdout=asyncio.subprocess.DEVNULL
        )
        while process.returncode is None and await scalar(conn, HEAD) == before:
            await asyncio.sleep(0.001)
        while process.returncode is None:
            started = time.perf_counter()
            await client.enqueue(QUEUE, TYPE, _BODY)
            waits.append((time.perf_counter() - started) * 1e3)
    if process.returncode:
        raise RuntimeError(f"{load} ended with {process.returncode}")
    return {"waits_ms": waits}


OPERATIONS = {
    "bulk": bulk, "large_bulk": large_bulk, "singles": singles, "end_to_end": end_to_end, "latency": latency,
    "beside_bulk": beside_bulk, "beside_drain": beside_drain,
}  # fmt: skip


def main() -> None:
    parser = Options("tests.bench.hivelog_side", __doc__)
    parser.add_argument("operation", choices=tuple(OPERATIONS), help="what is measured")
    parser.add_argument("--jobs", type=int, default=20_000, help="of the operation (%(default)s)")
    parser.add_argument("--clients", type=int, default=50, help="at once, where it has several (%(default)s)")
    args = parser.parse_args()
    made: Coroutine[Any, Any, dict[str, Any]] = OPERATIONS[args.operation](args.jobs, args.clients)
    print(json.dumps(uvloop.run(made)))


if __name__ == "__main__":
    main()
