"""The views of hivelog_reports against plain loops over the log."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hivelog.events import job
from hivelog.events.batch import Part
from hivelog.events.read import Event
from hivelog.projections.rebuild import rebuild
from hivelog.projections.runner import Runner
from hivelog.sql import migrate

from .histories import QUEUES, History
from .log_writer import LogWriter, text
from .model import job_types
from .simulated_clock import Clock

_ENDS = {"completed", "retry_scheduled", "failed", "cancelled", "expired", "lost", "released"}


def attempts(events: list[Event]) -> Counter[tuple[bytes, int | None, str]]:
    """(job, attempt, status) of every row that job_history must have."""
    running: dict[bytes, int] = {}
    states: dict[bytes, job.JobState] = {}
    rows: Counter[tuple[bytes, int | None, str]] = Counter()
    for event in events:
        if event.type not in job_types():
            continue
        states[event.stream] = job.evolve(states.get(event.stream), event)
        if event.type == "started":
            running[event.stream] = event.attempt or 0
        elif event.type in _ENDS and event.stream in running:
            attempt = running.pop(event.stream)
            status = "retried" if event.type == "retry_scheduled" else event.type
            if status != "released":
                rows[event.stream, attempt, status] += 1
    rows.update((id_, attempt, "processing") for id_, attempt in running.items())
    rows.update((id_, None, s.status) for id_, s in states.items() if s.attempt == 0)
    return rows


async def test_reports_of_a_random_history(database: str, clock: Clock) -> None:
    chance = random.Random(3)
    log = LogWriter(database)
    history = History(log, clock)
    history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(200)])  # type: ignore[misc]
    await Runner(database).catch_up()
    check(log, history.events())
    # The views must follow the tables when a new generation takes over.
    for name in ("jobs", "failures", "workers", "rounds"):
        await rebuild(database, name)
    check(log, history.events())
    log.close()


def check(log: LogWriter, events: list[Event]) -> None:
    rows = log.conn.execute(
        "select job_id, attempt, status, worker, ended_at, error from hivelog_reports.job_history"
    ).fetchall()
    assert Counter((r[0].bytes, r[1], r[2]) for r in rows) == attempts(events)
    assert {r[3] for r in rows} <= {"one", "two", None}
    for _, _, status, _, ended_at, error in rows:
        assert (ended_at is None) == (status in ("pending", "queued", "processing"))
        assert (error is not None) >= (status in ("failed", "retried", "lost"))
    depths(log, events)
    acted = log.conn.execute("select distinct actor from hivelog_reports.operator_actions").fetchall()
    assert acted == [("test",)]
    assert log.one("select count(*) from hivelog_reports.jobs") == len(
        {e.stream for e in events if e.type == "enqueued"}
    )
    for view in ("queue_minutes", "queue_hours", "failures", "workers", "worker_hours", "retry_causes"):
        assert log.one(f"select count(*) from hivelog_reports.{view}") > 0
    figures(log, rows)


def figures(log: LogWriter, attempts_: list[Any]) -> None:
    """Views that count attempts agree with the attempts."""
    ended = [row for row in attempts_ if row[1] is not None and row[2] != "processing"]
    counted = log.conn.execute(
        "select sum(attempts), sum(completed), sum(retried), sum(lost) from hivelog_reports.attempt_hours"
    ).fetchone()
    by_status = Counter(row[2] for row in ended)
    assert counted == (len(ended), by_status["completed"], by_status["retried"], by_status["lost"])
    waits = log.conn.execute(
        "select q.wait_p50, a.wait_p50 from hivelog_reports.queue_hours q join lateral ("
        "   select percentile_disc(0.5) within group (order by date_part('epoch', r.started_at - r.ready_at)) as wait_p50"
        "   from hivelog.rounds r join hivelog.queues n on n.id = r.queue"
        "   where n.name = q.queue and date_trunc('hour', r.started_at, 'UTC') = q.hour) a on true"
        " where a.wait_p50 is not null"
    ).fetchall()
    assert waits
    assert all(abs(one - other) <= 0.05 * other + 0.001 for one, other in waits)
    busy = log.one(
        "select sum(extract(epoch from coalesce(ended_at, hivelog.now()) - started_at))::float8"
        " from hivelog.rounds where started is not null"
    )
    assert log.one("select sum(busy_seconds) from hivelog_reports.worker_hours") == pytest.approx(busy, abs=1)
    jobs, on_time = log.conn.execute(
        "select sum(jobs), sum(on_time) from hivelog_reports.sla('2000-01-01', '2100-01-01', 1e8)"
    ).fetchone() or (0, 0)
    states = Counter(r[0] for r in log.conn.execute("select status from hivelog_reports.jobs").fetchall())
    assert (jobs, on_time) == (states.total() - states["cancelled"], states["completed"])


def depths(log: LogWriter, events: list[Event]) -> None:
    """queue_depth_at and position_at, at times between, on and beyond the events."""
    times = [e.recorded_at for e in events]
    for at in {times[0] - 1, *times[::17], times[-1] + 10}:
        past = [e for e in events if e.recorded_at <= at]
        assert log.one("select hivelog.position_at(%s)", text(at)) == (past[-1].position if past else 0)
        states: dict[bytes, job.JobState] = {}
        for event in past:
            if event.type in job_types():
                states[event.stream] = job.evolve(states.get(event.stream), event)
        found = {
            name: counts
            for name, *counts in log.conn.execute(
                "select * from hivelog_reports.queue_depth_at(%s)", (text(at),)
            ).fetchall()
        }
        for name in QUEUES:
            held = Counter(s.status for s in states.values() if s.queue == log.queues[name])
            wanted = [held["pending"], held["queued"], held["processing"]]
            assert found.get(name, [0, 0, 0]) == wanted
        told = log.conn.execute("select job_id, status from hivelog_reports.jobs_at(%s)", (text(at),)).fetchall()
        assert {row[0].bytes: row[1] for row in told} == {key: s.status for key, s in states.items()}
        live = log.conn.execute("select job_id, status from hivelog_reports.live_jobs_at(%s)", (text(at),))
        assert {row[0].bytes: row[1] for row in live.fetchall()} == {
            key: s.status for key, s in states.items() if s.status in job.LIVE
        }


def test_the_missions_query_as_typed(empty_database: str) -> None:
    migrate.migrate(empty_database)  # a copied database does not take the search path along
    with psycopg.connect(empty_database) as conn:
        rows = conn.execute(
            "SELECT * FROM job_history WHERE status = 'lost' ORDER BY created_at DESC LIMIT 10"
        ).fetchall()
    assert rows == []


async def test_a_time_in_the_future_is_the_head(database: str) -> None:
    log = LogWriter(database)
    log.queue("q")
    head = log.one("select max(position) from hivelog.batches")
    assert log.one("select hivelog.position_at(now() + interval '1 day')") == head
    log.close()


async def test_positions_of_times_wherever_the_batches_begin(database: str, clock: Clock) -> None:
    """Batches are kept for a day: what came before is found in the log itself, and what came after beside the gap."""
    clock.stop()
    log = LogWriter(database)
    for count in (1, 3, 2, 5, 1, 1, 4):
        log.queue("q")
        log.append(Part(enqueues=[log.enqueue("q") for _ in range(count)]))
        clock.advance(1)
    events = log.conn.execute("select position, recorded_at from hivelog.events order by position").fetchall()
    cuts = [row[0] for row in log.conn.execute("select recorded_at from hivelog.batches order by position").fetchall()]
    for cut in cuts:
        log.one("select hivelog.prune_batches(%s, 1000)", cut)
        for at in {moment + timedelta(milliseconds=n) for _, moment in events for n in (-1, 0, 1)}:
            wanted = max((position for position, moment in events if moment <= at), default=0)
            assert log.one("select hivelog.position_at(%s)", at) == wanted, (cut, at)
    log.close()
