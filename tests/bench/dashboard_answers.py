"""What the API answers to the dashboard, and how soon."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import httpx

# Every GET behind the Overview page, and what its links lead to first.
OVERVIEW: Final = (
    "/queue/status", "/me", "/queues", "/workers/status", "/health",
    "/stats/series?from={minutes:15}&step=1m", "/stats/series?from={minutes:60}&step=1m",
    "/stats/series?from={minutes:60}&step=1m&group=queue", "/stats/series?from={minutes:1440}&step=15m",
    "/stats/series?from={minutes:43200}&step=12h", "/stats/series?from={minutes:1440}&step=15m&queue=queue-07",
    "/stats/series?from={minutes:43200}&step=12h&queue=queue-07",
    "/jobs?status=processing&limit=500", "/jobs?status=failed&limit=10", "/jobs?limit=50", "/jobs?status=queued&limit=50",
    "/jobs/counts", "/jobs/counts?queue=queue-07", "/failures?since={minutes:1440}&limit=50", "/failures?limit=10",
    "/queue/queue-07/jobs?limit=50", "/queue/queue-07/stats", "/events?limit=100",
)  # fmt: skip
# By an exact field, a nested one, and two words of which one is in every payload.
SEARCHES: Final = {
    name: f"/jobs?limit=50&q={{n:{name}}}" for name in ("user_id", "order.id", "two words", "nothing")
}


def _path(path: str, n: int, newest: int) -> str:
    if "{minutes:" in path:
        before, _, rest = path.partition("{minutes:")
        minutes, _, after = rest.partition("}")
        at = time.gmtime(time.time() - 60 * int(minutes))
        return before + time.strftime("%Y-%m-%dT%H:%M:%SZ", at) + after
    asked = {
        "{n:user_id}": f"user_id:u{n * 997 % 100_000}", "{n:order.id}": f"order.id:{newest - n * 7919}",
        "{n:two words}": f"u{n * 131 % 100_000} monthly", "{n:nothing}": f"user_id:nobody{n}",
    }  # fmt: skip
    for name, text in asked.items():
        path = path.replace(name, text)
    return path


async def timed(client: httpx.AsyncClient, path: str, rounds: int, newest: int) -> dict[str, Any]:
    """Milliseconds: the first answer, and the rest. `newest`: the number in the newest ended job's payload."""
    took = []
    for n in range(rounds + 1):
        began = time.perf_counter()
        answer = await client.get(_path(path, n, newest))
        took.append(1000 * (time.perf_counter() - began))
        if path != "/health":  # which may say 503, and that is its answer
            answer.raise_for_status()
    first, rest = took[0], sorted(took[1:])
    found = {
        "first": round(first, 1), "p50": round(statistics.median(rest), 1),
        "p95": round(rest[int(len(rest) * 0.95)], 1), "bytes": len(answer.content),
    }  # fmt: skip
    print(f"{path}: {found}", flush=True)
    return found


def against_bar(found: dict[str, dict[str, Any]], bar: int) -> dict[str, Any]:
    slow = [f"{path}: {of['p95']}" for path, of in found.items() if of["p95"] >= bar]
    return {**found, "bar": {"p95": bar, "reached": not slow, "missed": slow}}
