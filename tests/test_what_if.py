"""What-if on a real log: the recorded figures are those of the log, the simulation those of its load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_world import World, environment_of, in_environment
from hivelog.events.batch import Record
from hivelog.projections.runner import Runner
from log_writer import LogWriter, Move, Part, end, text
from simulated_clock import Clock


@pytest.fixture
def log(database: str, clock: Clock) -> Iterator[LogWriter]:
    with contextlib.closing(LogWriter(database)) as writer:
        yield writer


@pytest.fixture
def world(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        yield World(environment, capsys)


def what_if(world: World, since: int, until: int, *limits: str) -> dict[str, Any]:
    ran = world.run(
        "replay", "--what-if", limits[0], *limits[1:], "--queue", "work", "--since", f"{text(since)}",
        "--until", f"{text(until)}", "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    return ran.json  # type: ignore[no-any-return]


def one_by_one(log: LogWriter, clock: Clock, jobs: int, run: int) -> None:
    """So many jobs at once, run one after the other, each for `run` seconds."""
    made = log.append(Part(enqueues=[log.enqueue("work") for _ in range(jobs)]))
    assert not made.refused
    session = log.session("one", ["work"], slots=1)
    ready = log.conn.execute("select job from hivelog.ready order by job").fetchall()
    for (job,) in ready:
        (lease,) = log.append(Part(starts=[log.start(session, "work", job.bytes)])).started
        clock.advance(run)
        log.append(Part(ends=[end(lease[0], lease[1], "completed")]))


def test_more_workers_would_have_shortened_the_waits(world: World, log: LogWriter, clock: Clock) -> None:
    log.session("one", ["work"], slots=1)
    log.queue("work")
    since = log.now()
    one_by_one(log, clock, jobs=8, run=10)
    asyncio.run(_project(world))
    answer = what_if(world, since, log.now() + 1000, "workers=4")
    assert answer["attempts"] == 8
    assert (answer["capacity_then"], answer["capacity"]) == (1, 4)
    recorded, was, other = answer["recorded"], answer["as_it_was"], answer["what_if"]
    assert recorded["started"] == was["started"] == other["started"] == 8
    assert recorded["longest"] == pytest.approx(70_000, abs=1000)
    assert was["longest"] == pytest.approx(recorded["longest"], abs=1000)
    assert other["longest"] == pytest.approx(10_000, abs=500)
    assert recorded["max_depth"] == pytest.approx(7, abs=1)
    assert other["mean_depth"] < was["mean_depth"]


async def _project(world: World) -> None:
    runner = Runner(world.environment["DATABASE_URL"])
    try:
        await runner.catch_up()
    finally:
        await runner.stop()


def test_a_job_that_runs_when_the_window_begins_comes_back(
    world: World, log: LogWriter, clock: Clock
) -> None:
    """It fails in the window and is due again while the queue is paused: that wait is of the window."""
    queue, kind = log.queue("work"), log.type("t")
    session = log.session("one", ["work"], slots=1)
    log.append(Part(enqueues=[log.enqueue("work", priority=300)]))
    job = log.one("select job from hivelog.ready")
    (lease,) = log.append(Part(starts=[log.start(session, "work", job.bytes, priority=300)])).started
    clock.advance(5)
    since = log.now()
    clock.advance(5)
    due = log.now() + 20_000
    log.append(Part(ends=[end(lease[0], lease[1], "retry_scheduled", cause="error", due=due, retry=1)]))
    stream = str(log.one("select stream from hivelog.queues where name = 'work'"))
    log.record(Record(stream, "paused", log.actor, queue=queue))
    clock.advance(21)
    back = Move(
        str(job),
        "queued",
        "pending",
        "ready",
        3,
        log.actor,
        queue=queue,
        type=kind,
        priority=300,
        due_at=text(due),
    )
    assert not log.append(Part(moves=[back])).refused
    clock.advance(9)
    log.record(Record(stream, "resumed", log.actor, queue=queue))
    (lease,) = log.append(Part(starts=[log.start(session, "work", job.bytes, priority=300)])).started
    clock.advance(10)
    log.append(Part(ends=[end(lease[0], lease[1], "completed")]))
    asyncio.run(_project(world))
    answer = what_if(world, since, log.now(), "workers=2", "slots=1", "max_workers=none")
    assert (answer["attempts"], answer["assumed"]) == (2, 0)
    assert answer["recorded"]["started"] == answer["as_it_was"]["started"] == 1
    assert answer["recorded"]["longest"] == pytest.approx(9_000, abs=1000)
    # The retry is due as long after its first run as it was; the pause holds it back all the same.
    assert answer["what_if"]["longest"] == pytest.approx(9_000, abs=1000)
    assert answer["capacity"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--what-if", "workers=0", "--queue", "work", "--since", "1h"], "whole number from 1"),
        (["--what-if", "cores=2", "--queue", "work", "--since", "1h"], "is none of workers"),
        (["--what-if", "workers=2", "--since", "1h"], "--queue is missing"),
        (["--what-if", "workers=2", "--queue", "work"], "--since is missing"),
        (["--what-if", "workers=2", "--queue", "work", "--since", "yesterday"], "RFC 3339"),
        (["--what-if", "workers=2", "--queue", "work", "--since", "1h", "--until", "2h"], "before --until"),
    ],
)
def test_what_cannot_be_asked(world: World, arguments: list[str], said: str) -> None:
    ran = world.run("replay", *arguments)
    assert ran.status == 2
    assert said in ran.err
