"""`GET /stats/series` against a brute-force count over all events, asked once and again; its bounds; who sees what."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hivelog.projections import checkpoint
from hivelog.projections.runner import Runner
from hivelog.projections.series import ALL, COUNTS, Asked, Cells, Series

from .histories import History
from .log_writer import LogWriter
from .model import MINUTE, Model, model
from .simulated_clock import Clock
from .test_stats import percentile
from .test_web_auth import token
from .web_world import World, served


def expected(found: Model, asked: Asked) -> Cells:
    def at(queue: int, ms: int) -> tuple[int, int | None]:
        return ms // 1000 // asked.step * asked.step, queue if asked.grouped else None

    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for (queue, minute, name), n in found.counts.items():
        if name in COUNTS:
            counts[at(queue, minute * MINUTE)][name] += n
    took: dict[Any, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for which, samples in enumerate((found.waits, found.runs)):
        for sample in samples:
            took[at(sample.queue, sample.at)][which].append(sample.took)
    return {
        key: (
            *(of[name] for name in COUNTS),
            *(percentile(t, p) if asked.spread else None for t in took[key] for p in (0.5, 0.95, 0.99)),
        )
        for key, of in counts.items()
        if asked.start <= key[0] < asked.upto
    }


def rounded(cells: Cells) -> dict[Any, Any]:
    return {at: tuple(round(x, 9) if isinstance(x, float) else x for x in of) for at, of in cells.items()}


async def test_buckets_of_any_step(database: str, clock: Clock) -> None:
    """What is remembered and what is read anew together say what one read would; the log goes on between."""
    chance = random.Random(3)
    log, series = LogWriter(database), Series()
    history = History(log, clock)
    connection = await checkpoint.connect(database)
    for _ in range(3):
        history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(30)])  # type: ignore[misc]
        clock.advance(chance.choice((1, 59, 600, 3599)))
        await Runner(database).catch_up()
        found = model(history.events())
        first = found.ends[0][1] // 1000 if found.ends else log.now() // 1000
        for step in (60, 300, 3600):
            upto = (log.now() // 1000 // step + 1) * step
            each = tuple(log.queues.values())
            for queues, grouped, spread in ((each, False, True), ((ALL,), False, True), (each, True, False)):
                asked = Asked(
                    queues=queues, start=first // step * step, upto=upto, step=step,
                    grouped=grouped, spread=spread,
                )  # fmt: skip
                assert rounded((await series.read(connection, asked)).cells) == rounded(expected(found, asked))
    # Else nothing that is remembered was tried.
    assert sum(len(kept.cells) for kept in series._kept.values()) > 10
    await connection.close()
    log.close()


async def test_a_history_that_was_made_anew_is_not_mixed_with_the_old(database: str, clock: Clock) -> None:
    log, series = LogWriter(database), Series()
    history = History(log, clock)
    history.play([(n % 12, n, n * 7 % 100, 3) for n in range(60)])
    clock.advance(300)
    history.play([(n % 12, n, n * 5 % 100, 3) for n in range(30)])
    await Runner(database).catch_up()
    connection = await checkpoint.connect(database)
    now = log.now() // 60000 * 60
    asked = Asked(queues=tuple(log.queues.values()), start=now - 600, upto=now + 60, step=60)
    other = Asked(queues=asked.queues, start=now - 1200, upto=now + 60, step=60)
    before = (await series.read(connection, asked)).cells
    assert before
    log.conn.execute("update hivelog.projections set generation = 2 where name = 'jobs'")
    log.conn.execute("update hivelog.queue_minutes set enqueued = enqueued + 1000")
    await series.read(connection, other)  # whoever notices first, nobody goes on with the old
    after = (await series.read(connection, asked)).cells
    assert {at: of[0] % 1000 for at, of in after.items()} == {at: of[0] % 1000 for at, of in before.items()}
    assert all(of[0] >= 1000 for of in after.values())
    await connection.close()
    log.close()


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def test_over_http(world: World, database: str) -> None:
    for _ in range(3):
        position = (await world.enqueue("reports"))["position"]
    await world.enqueue("default")
    after = {"after_position": position + 1}
    answer = (await world.client.get("/stats/series", params=after)).json()
    [one] = answer["series"]
    assert (one["queue"], sum(one["enqueued"]), answer["step"]) == (None, 4, 60)
    assert len(answer["times"]) == len(one["run_p95"]) in (60, 61)
    assert answer["projected"] >= position + 1
    grouped = (await world.client.get("/stats/series", params={**after, "group": "queue", "step": "1h"})).json()
    sums = {of["queue"]: sum(of["enqueued"]) for of in grouped["series"]}
    assert sums == {"default": 1, "reports": 3, "notifications": 0, "background": 0}
    assert "run_p95" not in grouped["series"][0]
    limited = token(database, ["read"], ["default"])
    seen = (await world.client.get("/stats/series", params=after, headers=limited)).json()
    assert sum(seen["series"][0]["enqueued"]) == 1
    hidden = await world.client.get("/stats/series", params={"queue": "reports"}, headers=limited)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "unknown_queue")


async def test_what_is_refused(world: World) -> None:
    for query in (
        {"step": "1s"}, {"step": "2d"}, {"step": "60"}, {"group": "type"}, {"percentiles": "p50"},
        {"from": "2030-01-01T00:00:00Z", "to": "2029-01-01T00:00:00Z"}, {"from": "2020-01-01T00:00:00Z"},
        {"from": "2020-01-01T00:00:00Z", "step": "1m"}, {"form": "2020-01-01T00:00:00Z"}, {"from": "yesterday"},
    ):
        answer = await world.client.get("/stats/series", params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), query
