"""What the past costs on a long log.

    python -m tests.bench.past --events 10000000

Makes a database of its own with a day of history in 50 queues and folds it as a server does; rebuilds every
projection beside that, comparison included; then asks for random moments over HTTP: all queues' figures, lists, and
single jobs' stories. With `--keep DIR` the database stays there, and the next run goes on with it.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from hivelog import embedded
from hivelog.projections.definitions import PROJECTIONS
from hivelog.projections.rebuild import rebuild_all
from hivelog.projections.runner import Runner

from ..options import Options
from .installation import Installation
from .past_log import make

# name -> p95 in ms that it must keep
BARS: Final = {
    "queues at a moment": 200, "one queue at a moment": 200, "jobs at a moment": 500,
    "a queue's jobs at a moment": 500, "running jobs at a moment": 500, "failed jobs at a moment": 500,
    "a worker's jobs at a moment": 500, "counts at a moment": 500, "counts of a queue at a moment": 500,
    "counts of a type at a moment": 500, "counts of a worker at a moment": 500, "fields at a moment": 500,
    "failures at a moment": 500, "incidents at a moment": 500, "a day at a moment": 500, "a day of each queue at a moment": 500,
    "an hour at a moment": 500, "workers at a moment": 500, "why at a moment": 500, "a job's story": 10,
    "a job at a moment": 10,
}  # fmt: skip
AT_A_MOMENT: Final = {
    "queues at a moment": "/queue/status", "one queue at a moment": "/queue/queue07/stats",
    "jobs at a moment": "/jobs?limit=50", "a queue's jobs at a moment": "/queue/queue07/jobs?limit=50",
    "running jobs at a moment": "/jobs?status=processing&limit=50",
    "failed jobs at a moment": "/jobs?status=failed,pending&limit=50",
    "a worker's jobs at a moment": "/jobs?worker=w3&limit=50",
    "counts at a moment": "/jobs/counts", "counts of a queue at a moment": "/jobs/counts?queue=queue07",
    "counts of a type at a moment": "/jobs/counts?type=type2", "counts of a worker at a moment": "/jobs/counts?worker=w3",
    "fields at a moment": "/fields?prefix=n", "failures at a moment": "/failures?spans=1h,24h,7d,30d", "incidents at a moment": "/incidents",
    "a day at a moment": "/stats/series?step=15m&from={begin}", "an hour at a moment": "/stats/series?queue=queue07",
    "a day of each queue at a moment": "/stats/series?step=1h&group=queue&from={begin}", "workers at a moment": "/workers/status",
}  # fmt: skip
REBUILT: Final = 50_000  # events a second, of all projections together


def main() -> None:
    parser = Options("tests.bench.past", __doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="of one day (%(default)s)")
    parser.add_argument("--queues", type=int, default=50, help="that they are spread over (%(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="questions of each kind (%(default)s)")
    parser.add_argument("--parent", type=Path, help="where the data is put for the time being")
    parser.add_argument("--keep", type=Path, help="a folder for the data that stays, or is there already")
    parser.add_argument("--no-rebuild", action="store_true", help="only ask")
    given = parser.parse_args()
    memory = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    with (
        embedded.start(given.keep, parameters=memory)
        if given.keep
        else embedded.temporary(parameters=memory, parent=given.parent)
    ) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        url = servers.database_url
        installation = Installation(url, servers.redis_url, "queue01", encrypted=False)
        installation.migrate()
        head = filled(url, given.events, given.queues)
        found: dict[str, Any] = {"events": head}
        if not given.no_rebuild:
            found["rebuild"] = asyncio.run(rebuilt(url, head))
        with installation.serving() as (_, base):
            found["answers"] = asyncio.run(asked(base, installation.login, url, head, given.rounds))
    print(json.dumps(found, indent=2))


def filled(url: str, events: int, queues: int) -> int:
    """A log, folded as a server does it; answers its head. One that is there already is taken as it is."""
    began = time.monotonic()
    with psycopg.connect(url) as connection:
        row = connection.execute("select max(position) from hivelog.batches").fetchone()
    head = int(row[0]) if row and row[0] else 0
    if head == 0:
        head = make(url, events=events, queues=queues)
        print(f"{head:,} events written, {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    asyncio.run(folded(url))
    print(f"folded as it comes, {time.monotonic() - began:.0f} s", flush=True)
    return head


async def folded(url: str) -> None:
    runner = Runner(url)
    await runner.catch_up()
    await runner.stop()


async def rebuilt(url: str, head: int) -> dict[str, Any]:
    """Events a second of all projections, as `hivelog rebuild` makes them anew, and of each alone."""
    seconds: dict[str, float] = {}
    for names in (*([projection.name] for projection in PROJECTIONS), [p.name for p in PROJECTIONS]):
        began = time.monotonic()
        made = await rebuild_all(url, names)
        name = names[0] if len(names) == 1 else "all"
        seconds[name] = time.monotonic() - began
        differed = sum(sum(m.differences.values()) for m in made if m.differences is not None)
        print(f"{name} rebuilt, {seconds[name]:.1f} s, {differed} rows differed", flush=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    rates = {name: round(head / took) for name, took in seconds.items()}
    return rates | {"bar": REBUILT, "reached": rates["all"] >= REBUILT}


async def asked(base: str, login: dict[str, str], url: str, head: int, rounds: int) -> dict[str, Any]:
    chance = random.Random(1)
    jobs = some_jobs(url, head, chance)

    def moment(path: str) -> Callable[[], str]:
        return lambda: f"{path}{'&' if '?' in path else '?'}at={chance.randint(head // 100, head)}"

    questions: dict[str, Callable[[], str]] = {
        **{name: moment(path.format(begin=begin(url))) for name, path in AT_A_MOMENT.items()},
        "why at a moment": lambda: why(chance.choice(jobs)),
        "a job's story": lambda: f"/job/{chance.choice(jobs)[0]}/history",
        "a job at a moment": lambda: f"/job/{chance.choice(jobs)[0]}?at={head}",
    }
    found = {}
    async with httpx.AsyncClient(base_url=base, headers=login, timeout=60) as client:
        for name, of in questions.items():
            found[name] = await timed(client, of, rounds, BARS[name])
            print(f"{name}: {found[name]['p50']} ms, p95 {found[name]['p95']} ms", flush=True)
    return found


def begin(url: str) -> str:
    """When the log begins; its batches are kept for a day only."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select min(recorded_at) from hivelog.events where position < 1000").fetchone()
    assert row is not None
    return f"{row[0]:%Y-%m-%dT%H:%M:%SZ}"


def why(job: tuple[str, int]) -> str:
    """While it ran: the position before its end."""
    return f"/job/{job[0]}/why?at={job[1] - 1}"


def some_jobs(url: str, head: int, chance: random.Random) -> list[tuple[str, int]]:
    """From all over the log, each with the position of its end."""
    places = [chance.randint(head // 100, head) for _ in range(2000)]
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select stream::text, position from hivelog.events where position = any (%s) and type = 'completed'",
            (places,),
        ).fetchall()


async def timed(client: httpx.AsyncClient, question: Callable[[], str], rounds: int, bar: int) -> dict[str, Any]:
    """Milliseconds, each of another moment or job; the first five, which prepare statements, apart."""
    took = []
    for _ in range(rounds + 5):
        path = question()
        began = time.perf_counter()
        answer = await client.get(path)
        took.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
    rest = sorted(took[5:])
    p95 = rest[int(len(rest) * 0.95)]
    return {
        "first": round(took[0], 1), "p50": round(statistics.median(rest), 1), "p95": round(p95, 1),
        "bar": bar, "reached": p95 < bar,
    }  # fmt: skip


if __name__ == "__main__":
    main()
