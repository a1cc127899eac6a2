"""The demo's traffic: decided by its seed, gentle, bursty, and enqueued in every way there is."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hivelog.demo import run
from hivelog.demo.run import run_traffic
from hivelog.demo.traffic import BURST_SECONDS, BURST_SIZE, Arrival, plan

MINUTES = 5


def _first(minutes: float, seed: int = 1, rate: float = 1.0) -> list[Arrival]:
    return list(itertools.takewhile(lambda a: a.at < 60 * minutes, plan(seed, rate)))


def test_the_plan_follows_from_the_seed() -> None:
    assert _first(1) == _first(1)
    assert _first(1) != _first(1, seed=2)


def test_arrivals_are_in_order_and_gentle_with_bursts() -> None:
    arrivals = _first(MINUTES)
    times = [a.at for a in arrivals]
    assert times == sorted(times)
    steady = sum(len(a.offers) for a in arrivals if a.way != "bulk")
    assert 5 < steady / (60 * MINUTES) < 12
    bursts = [a.at for a in arrivals if a.way == "bulk"]
    assert {round(b - a, 6) for a, b in itertools.pairwise(bursts)} == {BURST_SECONDS}
    assert all(len(a.offers) == BURST_SIZE for a in arrivals if a.way == "bulk")


def test_every_kind_of_job_and_option_turns_up() -> None:
    arrivals = _first(MINUTES)
    offers = [offer for a in arrivals for offer in a.offers]
    assert {o.queue for o in offers} == {"default", "reports", "notifications", "background"}
    assert {o.options["source"] for o in offers} == {"app", "chatbot", "knowledge"}
    assert {a.way for a in arrivals} == {"one", "bulk", "sql"}
    delays = [a.delay for a in arrivals if a.delay]
    assert delays
    assert all(10 <= delay <= 90 for delay in delays)
    used = {name for o in offers for name in o.options}
    assert used >= {"priority", "tags", "idempotency_key", "correlation_id", "retry_delay"}


def test_one_idempotency_key_always_comes_with_the_same_request() -> None:
    requests: dict[str, list[Any]] = {}
    for arrival in _first(20):
        for offer in arrival.offers:
            if key := offer.options.get("idempotency_key"):
                requests.setdefault(key, []).append((offer, arrival.delay))
    assert any(len(made) > 1 for made in requests.values())
    assert all(len({repr(r) for r in made}) == 1 for made in requests.values())


class _Recorder:
    """Stands for the client: keeps what it was asked, and fails every fifth single enqueue."""

    def __init__(self) -> None:
        self.single: list[tuple[str, str, dict[str, Any]]] = []
        self.bulk: list[list[dict[str, Any]]] = []
        self._calls = 0

    async def enqueue(self, queue: str, kind: str, payload: Any, /, **options: Any) -> None:
        self._calls += 1
        if self._calls % 5 == 0:
            raise ConnectionError("the queue is away")
        self.single.append((queue, kind, options))

    async def enqueue_many(self, jobs: list[dict[str, Any]], /) -> None:
        self.bulk.append(jobs)


async def test_an_outage_is_not_made_up_for_with_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 1000.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 3))
        now += seconds

    monkeypatch.setattr(run.time, "monotonic", lambda: now)
    monkeypatch.setattr(run.asyncio, "sleep", sleep)
    clock = run._Clock()
    await clock.reach(10)
    now += 3
    await clock.reach(12)  # a second late: catch up at once
    await clock.reach(14)
    now += 600
    await clock.reach(15)  # far too late: go on from here at the plan's pace
    await clock.reach(17)
    assert slept == [10, 0, 1, 0, 2]


async def test_producers_outlive_failures_and_count_what_they_did(tmp_path: Path) -> None:
    client = _Recorder()
    counts = await run_traffic(client, tmp_path, duration=2.0, rate=60.0)
    planned: Counter[str] = Counter()
    for arrival in itertools.takewhile(lambda a: a.at <= 2.0, plan(1, 60.0)):
        planned[arrival.way] += len(arrival.offers)
    assert counts["failed"] > 0
    assert counts.total() == planned.total()
    assert counts["bulk"] == sum(map(len, client.bulk)) == planned["bulk"]
    assert counts["one"] + counts["sql"] == len(client.single)
    assert any("scheduled_for" in options for _, _, options in client.single)
    assert list((tmp_path / "scratch").glob("*.tmp"))
