"""What the dashboard costs on a large database: `python -m tests.bench.dashboard --jobs 1000000`.

Fills a database of its own (50 queues, so many ended jobs over a week, 100,000 waiting), then measures the answers
behind the Overview page, search by payload field, and the processor time of PostgreSQL while a dashboard is open.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psutil
import psycopg
from hivelog import embedded
from hivelog.projections.runner import Runner

from .dashboard_fill import fill, index_for_search, queue_names, sizes
from .installation import Installation

SEARCHED = 1_000_000
ROUNDS = 60
# Every GET behind the Overview page; what a page asks again and again comes from the feed.
OVERVIEW = (
    "/queue/status", "/queues", "/workers/status", "/stats/series", "/stats/series?group=queue",
    "/stats/series?from={hours:1}&step=1m", "/stats/series?from={hours:4}", "/stats/series?from={hours:24}",
    "/stats/series?from={hours:168}&step=6h", "/stats/series?from={hours:24}&group=queue&step=1h",
    "/jobs?status=processing&limit=20", "/jobs?status=failed&limit=10", "/jobs?limit=50", "/failures?limit=10",
    "/failures?since={hours:24}&limit=10", "/queue/queue-07/jobs?limit=50", "/queue/queue-07/stats",
    "/health",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60, help="how long a dashboard is open")
    given = parser.parse_args()
    memory = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    with embedded.temporary(parameters=memory) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        installation = Installation(servers.database_url, servers.redis_url, "queue-00", encrypted=False)
        installation.migrate()
        result = asyncio.run(measured(installation, servers.database_url, given))
    print(json.dumps(result, indent=2))


async def measured(installation: Installation, url: str, given: argparse.Namespace) -> dict[str, Any]:
    with installation.serving() as (_, base):
        await make_queues(base, installation.login)
    for said in fill(url, given.jobs):
        print(said, flush=True)
    began = time.monotonic()
    runner = Runner(url)
    await runner.catch_up()
    await runner.stop()
    print(f"folded, {time.monotonic() - began:.0f} s", flush=True)
    index_for_search(url, min(SEARCHED, given.jobs))
    print(f"indexed for search, {sizes(url)}", flush=True)
    with installation.serving() as (_, base):
        await make_waiting(base, installation.login, given.waiting)
        async with httpx.AsyncClient(base_url=base, headers=installation.login, timeout=60) as client:
            await settled(client)
            overview = {path: await timed(client, path) for path in OVERVIEW}
            search = {
                name: await timed(client, f"/jobs?limit=50&q={{n:{name}}}")
                for name in ("user_id", "order.id", "two words")
            }
            return {
                "overview_ms": overview, "search_ms": search, "mib": sizes(url),
                "postgres": await open_dashboard(url, client, given.seconds),
            }  # fmt: skip


async def make_queues(base: str, login: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=60) as client:
        for name in queue_names():
            (await client.put(f"/queue/{name}", json={"max_workers": None})).raise_for_status()


async def make_waiting(base: str, login: dict[str, str], count: int) -> None:
    """By the API, ten thousand a call."""
    names = queue_names()
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=120) as client:
        for first in range(0, count, 10_000):
            items = [
                {"queue": names[n % len(names)], "type": "mail", "payload": {"user_id": f"w{n}"}}
                for n in range(first, min(first + 10_000, count))
            ]
            (await client.post("/jobs", json=items)).raise_for_status()


async def settled(client: httpx.AsyncClient) -> None:
    """Projections and search have read the log."""
    for path in ("/queues", "/jobs?limit=1&q=nothing"):
        for _ in range(600):
            head = (await client.get("/queue/status")).json()["position"]
            mark = "&" if "?" in path else "?"
            if (await client.get(f"{path}{mark}after_position={head}")).status_code == 200:
                break


def _path(path: str, n: int) -> str:
    if "{hours:" in path:
        before, _, rest = path.partition("{hours:")
        hours, _, after = rest.partition("}")
        at = time.gmtime(time.time() - 3600 * int(hours))
        return before + time.strftime("%Y-%m-%dT%H:%M:%SZ", at) + after
    asked = {
        "{n:user_id}": f"user_id:u{n * 997 % 100_000}", "{n:order.id}": f"order.id:{n * 7919 + 5}",
        "{n:two words}": f"u{n * 131 % 100_000} monthly",
    }  # fmt: skip
    for name, text in asked.items():
        path = path.replace(name, text)
    return path


async def timed(client: httpx.AsyncClient, path: str) -> dict[str, float]:
    """Milliseconds: the first answer, and the rest."""
    took = []
    for n in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = await client.get(_path(path, n))
        took.append(1000 * (time.perf_counter() - began))
        if path != "/health":  # unhealthy while the history that was written at once has no seals
            answer.raise_for_status()
    first, rest = took[0], sorted(took[1:])
    return {
        "first": round(first, 1), "p50": round(statistics.median(rest), 1),
        "p95": round(rest[int(len(rest) * 0.95)], 1), "bytes": len(answer.content),
    }  # fmt: skip


async def open_dashboard(url: str, client: httpx.AsyncClient, seconds: int) -> dict[str, float]:
    """Percent of a core that PostgreSQL uses: alone, and with a page open."""
    closed = await used(url, lambda: asyncio.sleep(seconds))
    opened = await used(url, lambda: page(client, seconds))
    return {"closed_percent": closed, "open_percent": opened, "dashboard_percent": round(opened - closed, 2)}


async def page(client: httpx.AsyncClient, seconds: int) -> None:
    """What an open Overview does: one stream, the charts every 10 s, the lists every 5 s."""

    async def stream() -> None:
        async with client.stream("GET", "/queue/status", headers={"accept": "text/event-stream"}) as answer:
            async for _ in answer.aiter_lines():
                pass

    following = asyncio.create_task(stream())
    ends = time.monotonic() + seconds
    n = 0
    while time.monotonic() < ends:
        await client.get("/jobs?status=processing&limit=20")
        await client.get("/failures?limit=10")
        if n % 2 == 0:
            await client.get("/stats/series")
            await client.get("/stats/series?group=queue")
        n += 1
        await asyncio.sleep(5)
    following.cancel()


async def used(url: str, work: Callable[[], Awaitable[Any]]) -> float:
    with psycopg.connect(url) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster is not None

    def total() -> float:
        # The postmaster's own time includes the children that have ended.
        times = postmaster.cpu_times()
        found = times.user + times.system + times.children_user + times.children_system
        for process in postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found += times.user + times.system
        return float(found)

    began, before = time.monotonic(), total()
    await work()
    return round(100 * (total() - before) / (time.monotonic() - began), 2)


if __name__ == "__main__":
    main()
