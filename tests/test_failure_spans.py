"""What a cell of the page Failures counts is what the list that it leads to has."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from .histories import History
from .log_writer import LogWriter, text
from .simulated_clock import Clock
from .test_time_travel import steps
from .web_world import World, served

SPANS = ("1h", "24h", "7d", "30d")
# Steps of a history: a job fails, runs again, and its worker dies. It waits, and failed as it did before.
LOST_LATER = [
    (0, 0, 2, 0), (2, 0, 0, 0), (4, 0, 1, 1), (10, 0, 3, 0), (7, 0, 0, 0), (2, 0, 0, 0), (4, 0, 3, 0),
]  # fmt: skip


async def get(world: World, path: str, **query: Any) -> Any:
    answer = await world.client.get(path, params=query)
    assert answer.status_code == 200, (path, query, answer.text)
    return answer.json()


async def cells(world: World, **asked: str) -> int:
    """How many jobs were counted; each number is held against its list."""
    found = await get(world, "/failures", spans=",".join(SPANS), **asked)
    assert list(found["since"]) == list(SPANS)
    compared = 0
    for row in found["failures"]:
        for span in SPANS:
            link = {"fingerprint": row["fingerprint"], "type": row["type"], **asked}
            listed = await get(world, "/jobs", **link, started_since=found["since"][span], limit=500)
            assert (listed["count"], listed["next"]) == (row["jobs"][span], None)
            compared += listed["count"]
    return compared


async def test_each_cell_is_the_list_that_it_leads_to(
    database: str, redis_url: str, tmp_path: Path, clock: Clock
) -> None:
    chance = random.Random(1)
    clock.stop()
    log = LogWriter(database)
    history = History(log, clock)
    history.play(LOST_LATER)
    moments: list[dict[str, Any]] = [{}, {"at": text(log.now())}]
    clock.advance(1)
    async with served(database, redis_url, tmp_path) as world:
        for pause in (40 * 86_400, 20 * 86_400, 3 * 86_400, 50_000, 600):
            await asyncio.to_thread(history.play, steps(chance, 60))
            moments.append({"at": text(log.now())})
            clock.advance(pause)
        await get(world, "/jobs", after_position=log.one("select max(position) from hivelog.batches"))
        compared = [await cells(world, **queue, **at) for at in moments for queue in ({}, {"queue": "alpha"})]
        assert min(sum(compared[:2]), sum(compared[4:])) > 20
        assert compared[2:4] == [4, 4]
        refused = await world.client.get("/failures?spans=2h")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field")
    log.close()


async def test_a_cell_counts_up_to_its_bound(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("hivelog.web.failures_api.COUNTED", 2)
    async with served(database, redis_url, tmp_path) as world:
        session = await world.session()
        for number in range(3):
            await world.enqueue(max_retries=0)
            claim = {"session": session, "claim_id": str(number), "wait": 5, "limit": 1}
            (taken,) = (await world.client.post("/workers/claim", json=claim)).json()["jobs"]
            items = [{"token": taken["token"], "outcome": "failed", "error": "ValueError: no"}]
            await world.client.post("/workers/settle", json={"session": session, "items": items})
        (row,) = (await get(world, "/failures", spans="24h,1h", after_position=await world.head()))["failures"]
        assert (row["count"], row["jobs"], row["more"]) == (3, {"24h": 2, "1h": 2}, ["24h", "1h"])
