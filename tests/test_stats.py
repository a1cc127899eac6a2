"""The figures of a queue against a brute-force count over all events."""

from __future__ import annotations

import random
from math import ceil
from typing import Any

import pytest
from hivelog import sql
from hivelog.events import times
from hivelog.projections import checkpoint, day, failures, stats, workers
from hivelog.projections.runner import Runner
from hivelog.projections.stats import QueueStats

from .histories import QUEUES, History
from .log_writer import LogWriter, Part, end
from .model import DAY, HOUR, MINUTE, Model, bucket, model
from .simulated_clock import Clock


def representative(ms: int) -> float:
    """The middle of the milliseconds that share a bucket, found by looking at all of them."""
    wanted = bucket(ms)
    low = next(n for n in range(ms, -2, -1) if n < 0 or bucket(n) != wanted) + 1
    high = next(n for n in range(ms, ms + ms // 5 + 3) if bucket(n) != wanted) - 1
    return (low + high) / 2


def percentile(samples: list[int], share: float) -> float | None:
    if not samples:
        return None
    return representative(sorted(samples)[ceil(len(samples) * share) - 1]) / 1000


def expected(found: Model, queue: int, now: int) -> dict[str, Any]:
    """By the definitions of the contract and the window rules of queue_stats.sql."""
    day = (now // MINUTE - 1439) * MINUTE
    ended = [(at, well) for number, at, well in found.ends if number == queue]
    in_day = [well for at, well in ended if at >= day]
    today = [well for at, well in ended if at >= now // DAY * DAY]
    runs = [r.took for r in found.runs if r.queue == queue and r.at >= day]
    minute, hour = (sum(at // 1000 > now // 1000 - seconds for at, _ in ended) for seconds in (60, 3600))
    states = [job.status for job in found.jobs.values() if job.queue == queue]
    success = 100 * sum(in_day) / len(in_day) if in_day else None
    return {
        "pending": states.count("pending"),
        "queued": states.count("queued"),
        "depth": states.count("pending") + states.count("queued"),
        "processing": states.count("processing"),
        "completed_today": sum(today),
        "failed_today": len(today) - sum(today),
        "success_rate": success,
        "error_rate": None if success is None else 100 - success,
        "avg_processing_time": sum(runs) / len(runs) / 1000 if runs else None,
        "p50": percentile(runs, 0.50),
        "p95": percentile(runs, 0.95),
        "p99": percentile(runs, 0.99),
        "throughput": minute / 60,
        "per_minute": minute,
        "per_hour": hour,
        "oldest_waiting_seconds": _oldest(found, queue, now),
    }


def _oldest(found: Model, queue: int, now: int) -> float | None:
    """First by id in each type and priority, since the id's time or scheduled_for."""
    heads: dict[tuple[str, int], Any] = {}
    for job in sorted(found.jobs.values(), key=lambda job: job.id):
        if job.queue == queue and job.status == "queued":
            heads.setdefault((job.spec.type, job.priority), job)
    ages = []
    for job in heads.values():
        since = int.from_bytes(job.id[:6], "big")
        if job.spec.scheduled_for:
            since = max(since, times.from_text(job.spec.scheduled_for))
        ages.append(max(now - since, 0) / 1000)
    return max(ages, default=None)


def compare(found: QueueStats, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        got = getattr(found, name)
        assert got == (value if value is None else pytest.approx(value, rel=1e-9)), name


async def test_what_is_remembered_of_a_day_changes_no_figure(database: str, clock: Clock) -> None:
    """Also where the window moves by minutes, hours or past all of it, and after a rebuild's new generation."""
    chance = random.Random(7)
    log = LogWriter(database)
    history, runner = History(log, clock), Runner(database)
    connection, remembered = await checkpoint.connect(database), day.Day()
    used = 0
    for advance in (0, 61, 130, 3599, 400, 20_000, 61, 86_000, 500, 90_000, 200):
        clock.advance(advance)
        history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(25)])  # type: ignore[misc]
        if advance != 400:  # once it lags
            await runner.catch_up()
        if advance == 500:
            log.conn.execute("update hivelog.projections set generation = generation + 1 where name = 'jobs'")
        used += remembered.kept is not day.NOTHING
        with_it = await stats.queue_stats(connection, day=remembered)
        without = await stats.queue_stats(connection)
        assert with_it is not None
        assert without is not None
        if with_it.now // MINUTE != without.now // MINUTE:
            continue
        for name in QUEUES:
            assert _of_day(with_it.queues[name]) == _of_day(without.queues[name])
    assert used >= 9
    await runner.stop()
    await connection.close()
    log.close()


def _of_day(figures: QueueStats) -> list[Any]:
    rates = (figures.success_rate, figures.error_rate)
    return [*rates, figures.avg_processing_time, figures.p50, figures.p95, figures.p99]


@pytest.mark.parametrize("seed", range(3))
async def test_figures_of_a_long_history(database: str, clock: Clock, seed: int) -> None:
    """Two days in little steps, so that every window has an edge amid events."""
    chance = random.Random(seed)
    log = LogWriter(database)
    history = History(log, clock)
    for _ in range(5):
        history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(40)])  # type: ignore[misc]
        clock.advance(chance.choice((1, 59, 600, 3599, 20_000)))
    runner = Runner(database)
    position = await runner.catch_up()
    await runner.stop()
    found = model(history.events())
    connection = await checkpoint.connect(database)
    snapshot = await stats.queue_stats(connection)
    assert snapshot is not None
    assert snapshot.position == snapshot.projected == position
    assert sorted(snapshot.queues) == sorted(QUEUES)
    for name in QUEUES:
        number = log.queues[name]
        compare(snapshot.queues[name], expected(found, number, snapshot.now))
        one = await stats.queue_stats(connection, number)
        assert one is not None
        compare(one.queues[name], expected(found, number, one.now))
        for timeframe, unit in (("hour", HOUR), ("day", DAY)):
            got = await stats.throughput(connection, number, timeframe)  # type: ignore[arg-type]
            ends = [well for q, at, well in found.ends if q == number and at >= one.now // unit * unit]
            assert (got.completed, got.success, got.failed) == (
                len(ends), sum(ends), len(ends) - sum(ends),
            )  # fmt: skip
    assert await stats.queue_stats(connection, 999) is None
    await _check_failures(connection, found)
    await connection.close()
    log.close()


async def _check_failures(connection: Any, found: Model) -> None:
    listed = await failures.failures(connection)
    totals: dict[tuple[str, str], int] = {}
    for (name, kind, _), events in found.failures.items():
        totals[name, kind] = totals.get((name, kind), 0) + len(events)
    assert {(f.fingerprint, f.type): f.count for f in listed} == totals
    assert [f.last_seen for f in listed] == sorted((f.last_seen for f in listed), reverse=True)
    since = max(hour for _, _, hour in found.failures) * HOUR + 1
    late = await failures.failures(connection, since=since)
    assert sum(f.count for f in late) == sum(
        len(events) for (_, _, hour), events in found.failures.items() if hour >= since // HOUR
    )


async def test_capacity_pause_and_an_empty_queue(database: str) -> None:
    log = LogWriter(database)
    log.queue("small", max_workers=3)
    log.queue("open", max_workers=None)
    log.queue("alone", max_workers=5)
    session = log.session("one", ["small", "open"], slots=4)
    log.session("two", ["open"], slots=2)
    items = [log.enqueue("small") for _ in range(4)]
    log.append(Part(enqueues=items))
    answer = log.append(Part(starts=[log.start(session, "small", item.job) for item in items]))
    assert len(answer.started) == 3
    connection = await checkpoint.connect(database)
    snapshot = await stats.queue_stats(connection)
    assert snapshot is not None
    shown = {name: (q.workers, q.capacity, q.utilization) for name, q in snapshot.queues.items()}
    assert shown == {"small": (1, 3, 1.0), "open": (2, 6, 0.0), "alone": (0, 0, None)}
    assert snapshot.queues["alone"].oldest_waiting_seconds is None
    assert snapshot.queues["alone"].success_rate is None
    living = await workers.workers(connection)
    assert [(w.name, w.busy, len(w.jobs), w.stale) for w in living] == [
        ("one", 3, 3, False), ("two", 0, 0, False),
    ]  # fmt: skip
    log.stop_session("two", reason="done")
    await Runner(database).catch_up()
    assert len(await workers.workers(connection)) == 1
    everyone = await workers.workers(connection, ended_since=0)
    assert [(w.name, w.ended_by) for w in everyone] == [("one", None), ("two", "stopped")]
    await connection.close()
    log.close()


async def test_a_million_waiting_jobs_cost_no_scan(database: str) -> None:
    """The plan is what matters: each part of the statement goes by a key."""
    log = LogWriter(database)
    session = log.session("one", ["q"])
    items = [log.enqueue("q", priority=n % 3) for n in range(3000)]
    log.append(Part(enqueues=items))
    started = log.append(
        Part(starts=[log.start(session, "q", i.job, priority=n % 3) for n, i in enumerate(items[:9])])
    ).started
    log.append(Part(ends=[end(job, token, "completed", b"{}") for job, token, _, _ in started]))
    await Runner(database).catch_up()
    log.conn.execute("vacuum analyze hivelog.ready, hivelog.jobs, hivelog.queue_marks, hivelog.batches")
    plan = log.conn.execute(
        "explain (analyze, timing off, format json) " + sql.load("queue_stats"), {"queue": None} | day.NOTHING.parameters
    ).fetchone()
    assert plan is not None
    read = {
        node["Relation Name"]: node["Actual Rows"] * node["Actual Loops"]
        for node in _nodes(plan[0][0]["Plan"])
        if node.get("Relation Name") in ("ready", "jobs")
    }
    assert all(rows <= 10 for rows in read.values()), read
    log.close()


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(found for child in node.get("Plans", []) for found in _nodes(child))]
