"""`/metrics`, read by Prometheus's own parser: histograms against a brute-force count, counters that only grow."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hivelog.projections import checkpoint
from hivelog.projections.rebuild import rebuild
from hivelog.projections.runner import Runner
from hivelog.projections.totals import Totals
from prometheus_client.parser import text_string_to_metric_families

from .histories import QUEUES, History
from .log_writer import LogWriter
from .model import Attempt, model
from .simulated_clock import Clock
from .web_world import World, served

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def world(database: str, clock: Clock, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def scrape(world: World) -> dict[str, Any]:
    """Families by name, all histories folded."""
    head = (await world.client.get("/queue/status")).json()["position"]
    answer = await world.client.get(f"/metrics?after_position={head}")
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def growing(families: dict[str, Any]) -> Samples:
    """What may only grow: counters, and buckets, sums and counts of histograms."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        if family.type in ("counter", "histogram")
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def histogram(families: dict[str, Any], name: str, queue: str) -> tuple[dict[float, float], float, float]:
    """Buckets by their upper edge, sum, count."""
    samples = [s for s in families[name].samples if s.labels["queue"] == queue]
    buckets = {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}
    (total,) = (s.value for s in samples if s.name.endswith("_sum"))
    (count,) = (s.value for s in samples if s.name.endswith("_count"))
    return buckets, total, count


def check(found: tuple[dict[float, float], float, float], wanted: list[Attempt], queue: int) -> None:
    took = [sample.took for sample in wanted if sample.queue == queue]
    buckets, total, count = found
    assert count == len(took)
    assert total == pytest.approx(sum(took) / 1000)
    assert inf in buckets
    for edge, n in buckets.items():
        assert n == sum(ms <= edge * 1000 + 1e-6 for ms in took), edge


@pytest.mark.parametrize("seed", range(2))
async def test_histograms_are_the_brute_force_count_and_counters_only_grow(
    world: World, database: str, clock: Clock, seed: int
) -> None:
    """Days in little steps, scraped in between: hours close, and the figures of one process stay those of
    a fresh one."""
    chance = random.Random(seed)
    log = LogWriter(database)
    history = History(log, clock)
    before: Samples = {}
    for _ in range(5):
        history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(30)])  # type: ignore[misc]
        families = await scrape(world)
        now = growing(families)
        fallen = {key: (value, now.get(key)) for key, value in before.items() if now.get(key, -1) < value}
        assert not fallen
        before = now
        found = model(history.events())
        for name in QUEUES:
            number = log.queues[name]
            check(histogram(families, "hivelog_job_wait_seconds", name), found.waits, number)
            check(histogram(families, "hivelog_job_run_seconds", name), found.runs, number)
            ended = sum(at for (q, _, what), at in found.counts.items() if (q, what) == (number, "completed"))
            key = ("hivelog_jobs_ended_total", (("outcome", "completed"), ("queue", name)))
            assert now[key] == ended
        clock.advance(chance.choice((59, 3599, 20_000)))
    assert len(found.runs) > 10
    log.close()


async def test_a_queue_without_jobs_has_an_empty_histogram(world: World) -> None:
    buckets, total, count = histogram(await scrape(world), "hivelog_job_run_seconds", "reports")
    assert (set(buckets.values()), total, count) == ({0.0}, 0, 0)
    assert sorted(buckets) == list(buckets)


async def test_a_rebuild_leaves_the_figures_as_they_are(database: str, clock: Clock) -> None:
    log = LogWriter(database)
    history = History(log, clock)
    chance = random.Random(7)
    runner, totals = Runner(database), Totals()
    connection = await checkpoint.connect(database)
    for _ in range(3):
        history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(30)])  # type: ignore[misc]
        await runner.catch_up()
        before = await totals.read(connection)
        clock.advance(7200)
    await rebuild(database, "jobs")
    assert await totals.read(connection) == before == await Totals().read(connection)
    await connection.close()
    log.close()
