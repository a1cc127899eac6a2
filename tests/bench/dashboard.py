"""What the dashboard costs on a large database.

    python -m tests.bench.dashboard --jobs 10000000 --data DIR

Fills a database (50 queues, so many ended jobs over a week, 100,000 waiting), then measures the answers behind the
Overview page, search by payload field, the page in Chromium, and the processor time of PostgreSQL while it is open.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from hivelog import embedded

from ..options import Options
from . import dashboard_fill, dashboard_page
from .dashboard_answers import OVERVIEW, SEARCHES, against_bar, timed
from .installation import Installation

SEARCHED = 1_000_000
_MEMORY = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}


def main() -> None:
    parser = Options("tests.bench.dashboard", __doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000, help="that ended, over a week (%(default)s)")
    parser.add_argument("--waiting", type=int, default=100_000, help="jobs (%(default)s)")
    parser.add_argument("--rounds", type=int, default=60, help="questions of each kind (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="how long a dashboard is open (%(default)s)")
    parser.add_argument("--data", type=Path, help="keep the filled database there, and use it again")
    parser.add_argument("--only", choices=("fill", "answers", "page"), help="this part alone")
    given = parser.parse_args()
    with _servers(given.data) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        folder = None if given.data is None else given.data / "bench"
        installation = Installation(
            servers.database_url, servers.redis_url, "queue-00", encrypted=False, folder=folder
        )
        installation.migrate()
        if dashboard_fill.head(servers.database_url) < given.jobs:
            asyncio.run(filled(installation, given.jobs, given.waiting))
        found = measured(installation, given)
        print(json.dumps({**found, "mib": dashboard_fill.sizes(servers.database_url)}, indent=2))


@contextlib.contextmanager
def _servers(data: Path | None) -> Iterator[embedded.Embedded]:
    with embedded.temporary(parameters=_MEMORY) if data is None else embedded.start(
        data, parameters=_MEMORY
    ) as servers:  # fmt: skip
        yield servers


async def filled(installation: Installation, jobs: int, waiting: int) -> None:
    url = installation.database_url
    with installation.serving() as (_, base):
        await make_queues(base, installation.login)
    began = time.monotonic()
    for said in dashboard_fill.fill(url, jobs):
        print(said, flush=True)
    await dashboard_fill.fold(url)
    print(f"folded, {time.monotonic() - began:.0f} s", flush=True)
    dashboard_fill.index_for_search(url, min(SEARCHED, jobs))
    print(f"indexed for search, {time.monotonic() - began:.0f} s; MiB: {dashboard_fill.sizes(url)}", flush=True)
    with installation.serving() as (_, base):
        await make_waiting(base, installation.login, waiting)
        async with httpx.AsyncClient(base_url=base, headers=installation.login, timeout=60) as client:
            await settled(client)
            await sealed(client)
    print(f"projected and sealed, {time.monotonic() - began:.0f} s", flush=True)


def measured(installation: Installation, given: argparse.Namespace) -> dict[str, Any]:
    """Each by a server that has just started: nothing that it remembers makes the first answer faster than it is."""
    found: dict[str, Any] = {}
    if given.only in (None, "answers"):
        with installation.serving() as (_, base):
            found |= asyncio.run(answered(base, installation.login, given.rounds, given.jobs - 1))
    if given.only in (None, "page"):
        with installation.serving() as (_, base):
            found |= dashboard_page.measured(installation, base, given.seconds)
    return found


async def answered(base: str, login: dict[str, str], rounds: int, newest: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=60) as client:
        await settled(client)
    # Anew, so that nothing but that one question has been asked of the process.
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=60) as client:
        overview = {path: await timed(client, path, rounds, newest) for path in OVERVIEW}
        search = {name: await timed(client, path, rounds, newest) for name, path in SEARCHES.items()}
    return {"answers_ms": against_bar(overview, 50), "search_ms": against_bar(search, 300)}


async def make_queues(base: str, login: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=60) as client:
        for name in dashboard_fill.queue_names():
            (await client.put(f"/queue/{name}", json={"max_workers": None})).raise_for_status()


async def make_waiting(base: str, login: dict[str, str], count: int) -> None:
    """By the API, ten thousand a call."""
    names = dashboard_fill.queue_names()
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


async def sealed(client: httpx.AsyncClient) -> None:
    """All of the history that was written at once has its seals."""
    while (await client.get("/health")).json()["components"]["seals"]["behind"] > 0:
        await asyncio.sleep(1)


if __name__ == "__main__":
    main()
