"""The demo's summary says of the log what a plain reading of the same events says."""

import io
import itertools
import random
import statistics
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import pytest
from hivelog.demo.summary import Step, Summary, head, print_summary, read_summary
from psycopg.types.json import Jsonb
from rich.console import Console

ADD_ACTOR = "insert into hivelog.actors (name) values ('worker:w1:0190') returning id"
ERROR = {"cause": "error", "error_type": "TimeoutError", "template": "no answer in ? s"}
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Event(NamedTuple):
    seconds: float
    job: uuid.UUID
    queue: str
    version: int
    type: str
    attempt: int | None
    data: dict[str, str] | None = None


@pytest.fixture
def events(database: str) -> list[Event]:
    rng = random.Random(5)
    made = [event for number in range(400) for event in _life(rng, number)]
    made.sort(key=lambda event: event.seconds)
    with psycopg.connect(database) as connection:
        queues = _queues(connection)
        (actor,) = connection.execute(
            "insert into hivelog.actors (name) values ('worker:w1:0190') returning id"
        ).fetchone()
        _insert(connection, queues, actor, made)
    return made


def _life(rng: random.Random, number: int) -> Iterator[Event]:
    """One job's events: a third are retried, some fail or are lost, every seventh was scheduled."""
    job, queue = uuid.UUID(int=rng.getrandbits(128)), ("reports", "default")[number % 2]
    at, version, attempt = number * 0.05, 1, 1
    yield Event(at, job, queue, version, "enqueued", None, {"type": f"{queue}_work"})
    if number % 7 == 0:
        at, version = at + 30, version + 1
        yield Event(at, job, queue, version, "queued", None)
    while True:
        at, version = at + rng.uniform(0.001, 2), version + 1
        yield Event(at, job, queue, version, "started", attempt)
        at, version = at + rng.uniform(0.01, 5), version + 1
        if rng.random() > 0.3 or attempt == 3:
            kind = "failed" if attempt == 3 else "completed"
            yield Event(at, job, queue, version, kind, attempt)
            return
        lost = rng.random() < 0.2
        kind, data = ("lost", {"to": "pending"}) if lost else ("retry_scheduled", ERROR)
        yield Event(at, job, queue, version, kind, attempt, data)
        at, version, attempt = at + 5, version + 1, attempt + 1
        yield Event(at, job, queue, version, "queued", None)


def _queues(connection: psycopg.Connection) -> dict[str, int]:
    for name in ("reports", "default"):
        connection.execute(
            "insert into hivelog.queues (name, stream) values (%s, %s) on conflict do nothing",
            (name, uuid.uuid4()),
        )
    return dict(connection.execute("select name, id from hivelog.queues").fetchall())


def _insert(connection: psycopg.Connection, queues: dict[str, int], actor: int, made: list[Event]) -> None:
    columns = "position, recorded_at, stream, version, type, actor, queue, attempt, data"
    with connection.cursor().copy(f"copy hivelog.events ({columns}) from stdin") as copy:
        for position, e in enumerate(made, start=1):
            at = START + timedelta(seconds=e.seconds)
            queue = queues[e.queue]
            row = (position, at, e.job, e.version, e.type, actor, queue, e.attempt)
            copy.write_row((*row, Jsonb(e.data) if e.data else None))


async def test_counts_and_times_are_those_of_the_events(database: str, events: list[Event]) -> None:
    found = await read_summary(database, 0)
    assert [row.queue for row in found.queues] == ["default", "reports"]
    for row in found.queues:
        mine = [e for e in events if e.queue == row.queue]
        assert row.enqueued == sum(e.type == "enqueued" for e in mine) == 200
        assert row.completed == sum(e.type == "completed" for e in mine)
        assert row.retried == sum(e.type in ("retry_scheduled", "lost") for e in mine)
        assert {e.type for e in mine} >= {"retry_scheduled", "lost"}
        assert row.failed == sum(e.type == "failed" for e in mine) > 0
        waits, runs = _times(mine)
        assert row.wait_p50 == pytest.approx(statistics.median(waits), abs=2e-6)
        assert row.run_p50 == pytest.approx(statistics.median(runs), abs=2e-6)
        assert row.wait_p95 is not None
        assert row.wait_p50 < row.wait_p95 <= max(waits) + 2e-6


def _times(events: list[Event]) -> tuple[list[float], list[float]]:
    waits, runs = [], []
    lives: dict[uuid.UUID, list[Event]] = {}
    for event in sorted(events, key=lambda e: e.version):
        lives.setdefault(event.job, []).append(event)
    for life in lives.values():
        for before, event in itertools.pairwise(life):
            if event.type == "started":
                waits.append(event.seconds - before.seconds)
            elif event.type == "completed":
                runs.append(event.seconds - before.seconds)
    return waits, runs


async def test_stories_are_whole_lives_of_three_completed_jobs(database: str, events: list[Event]) -> None:
    steps = (await read_summary(database, 0)).steps
    jobs = list(dict.fromkeys(step.job for step in steps))
    assert len(jobs) == 3
    for job in jobs:
        told = [step for step in steps if step.job == job]
        life = [e for e in events if e.job == job]
        assert [s.event for s in told] == [e.type for e in life]
        assert told[-1].event == "completed"
        assert "retry_scheduled" in {s.event for s in told}
        assert told[0].seconds == 0
        assert told[-1].seconds == pytest.approx(life[-1].seconds - life[0].seconds, abs=2e-6)
        assert {s.job_type for s in told} == {f"{told[0].queue}_work"}
        details = {s.event: s.detail for s in told}
        assert details["retry_scheduled"] == "error: TimeoutError: no answer in ? s"
        assert details["completed"] == ""
    assert {s.queue for s in steps} == {"reports", "default"}


async def test_only_what_came_after_the_position_counts(database: str, events: list[Event]) -> None:
    half = len(events) // 2
    found = await read_summary(database, half)
    later = events[half:]
    assert sum(q.enqueued for q in found.queues) == sum(e.type == "enqueued" for e in later)
    assert sum(q.completed for q in found.queues) == sum(e.type == "completed" for e in later)
    assert (await read_summary(database, len(events))) == Summary([], [])
    assert await head(database) == 0  # no batch was appended: these events were put in by hand


async def test_the_page_names_queues_jobs_and_retries(database: str, events: list[Event]) -> None:
    found = await read_summary(database, 0)
    console = Console(file=io.StringIO(), width=80)
    print_summary(found, 60, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "60 seconds, from the log" in text
    assert max(map(len, text.splitlines())) <= 80
    for step in found.steps:
        assert str(step.job) in text
    assert text.count("retry_scheduled") == sum(s.event == "retry_scheduled" for s in found.steps)


def test_an_empty_log_prints_too() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_summary(Summary([], []), 1, console)
    step = Step(uuid.uuid4(), "reports", None, 1, "enqueued", START, None, None, "", 0.0)
    print_summary(Summary([], [step]), 1, console)
    assert "enqueued" in console.file.getvalue()  # type: ignore[attr-defined]
