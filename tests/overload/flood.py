"""Producers that are faster than the workers, a quiet queue beside them, and what the processes weigh meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ..bench.memory import resident_mib
from ..degraded_world import Process, Site

_CALL = 250  # jobs a bulk
_WAITS = """
select extract(epoch from s.recorded_at - e.recorded_at)::float8
from hivelog.events e join hivelog.events s on s.stream = e.stream and s.type = 'started'
where e.type = 'enqueued' and e.queue = (select id from hivelog.queues where name = %s) order by 1
"""
_DEPTH = """
select count(*) filter (where type = 'enqueued') - count(*) filter (where type = 'completed')
from hivelog.events
where position <= %s and queue = (select id from hivelog.queues where name = %s)
"""


@dataclass
class Flooded:
    """What came of it: jobs acknowledged, calls refused, seconds that jobs of the quiet queue waited, MiB."""

    acknowledged: int = 0
    refused: int = 0
    waits: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    depth: int = 0
    counted: int = 0

    @property
    def growth(self) -> float:
        """MiB that the last third is over the second, by its least: what does not come back."""
        third = max(len(self.memory) // 3, 1)
        return min(self.memory[-third:]) - min(self.memory[third : 2 * third] or self.memory)


async def flood(site: Site, database: str, processes: Sequence[Process], seconds: float) -> Flooded:
    """Flood `orders` and use `other` as ever, for so long."""
    found = Flooded()
    until = time.monotonic() + seconds
    tasks = [_produce(site, found, until) for _ in range(2)]
    await asyncio.gather(*tasks, _quiet(site, until), _weigh(found, processes, until))
    stats = (await site.client.get("/queue/orders/stats")).json()
    found.depth = stats["stats"]["depth"] + stats["stats"]["processing"]
    with psycopg.connect(database) as conn:
        row = conn.execute(_DEPTH, (stats["position"], "orders")).fetchone()
        found.counted = row[0] if row else -1
        found.waits = [wait for (wait,) in conn.execute(_WAITS, ("other",)).fetchall()]
    return found


async def _produce(site: Site, found: Flooded, until: float) -> None:
    jobs = [_job("orders", {"file": "/dev/null", "seconds": 0.02}) for _ in range(_CALL)]
    while time.monotonic() < until:
        answer = await site.client.post("/jobs", json=jobs)
        if answer.status_code == 201:
            found.acknowledged += _CALL
        else:
            assert answer.status_code == 503, answer.text
            found.refused += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))


async def _quiet(site: Site, until: float) -> None:
    while time.monotonic() < until:
        answer = await site.client.post("/jobs", json=[_job("other", {"file": "/dev/null"})])
        assert answer.status_code in (201, 503), answer.text
        await asyncio.sleep(0.1)


def _job(queue: str, payload: Any) -> dict[str, Any]:
    return {"queue": queue, "type": "note", "payload": payload}


async def _weigh(found: Flooded, processes: Sequence[Process], until: float) -> None:
    pids = [process.pid for process in processes]
    while time.monotonic() < until:
        found.memory.append(await asyncio.to_thread(resident_mib, pids))
        await asyncio.sleep(0.25)
