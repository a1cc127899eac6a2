"""Whatever happened, in whatever batches it was folded, and wherever the folding was cut off: the projections
say what a plain loop over the log says, and a rebuild says the same."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest
from hivelog.events.log import milliseconds
from hivelog.projections import checkpoint
from hivelog.projections.checkpoint import Step
from hivelog.projections.definitions import PROJECTIONS
from hivelog.projections.diff import diff
from hivelog.projections.rebuild import drop_kept, rebuild
from hivelog.projections.runner import Runner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Servers, new_database
from .histories import History
from .log_writer import LogWriter, Part, end
from .model import ALL, HOUR, MINUTE, Model, job_types, model
from .rounds_model import rounds
from .simulated_clock import Clock

_number = st.integers(0, 99)
_steps = st.lists(st.tuples(_number, _number, _number, _number), min_size=1, max_size=60)
_COUNTS = (
    "enqueued", "started", "completed", "failed", "expired", "cancelled", "lost", "retried", "requeued",
    "released",
)  # fmt: skip


@given(steps=_steps, batch=st.integers(1, 40), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_in_any_batches_with_crashes(
    servers: Servers, template: str, steps: list[tuple[int, int, int, int]], batch: int, seed: int
) -> None:
    with new_database(servers, template) as url:
        history = played(url, steps)
        try:
            asyncio.run(_folded_with_crashes(url, batch, random.Random(seed)))
            check(history.log, model(history.events()))
            check_rounds(history)
            asyncio.run(_no_difference(url, batch))
        finally:
            history.log.close()


def played(url: str, steps: list[tuple[int, int, int, int]]) -> History:
    clock = Clock(url)
    clock.install()
    history = History(LogWriter(url), clock)
    history.play(steps)
    return history


async def _folded_with_crashes(url: str, batch: int, chance: random.Random) -> None:
    """Batches of changing sizes; now and then one is written and then lost, as when the process dies."""
    connection = await checkpoint.connect(url)
    try:
        live = {c.name: c for c in await checkpoint.checkpoints(connection)}
        for projection in PROJECTIONS:
            at = live[projection.name]
            while True:
                limit = chance.randint(1, batch)
                if chance.random() < 0.2:
                    before = at.position
                    async with connection.transaction() as transaction:
                        await checkpoint.advance(connection, projection, at, limit)
                        raise psycopg.Rollback(transaction)
                    at.position = before
                elif await checkpoint.advance(connection, projection, at, limit) is Step.AT_HEAD:
                    break
    finally:
        await connection.close()


async def _no_difference(url: str, batch: int) -> None:
    for projection in PROJECTIONS:
        done = await rebuild(url, projection.name, batch=batch * 3)
        assert done.differences == dict.fromkeys(projection.tables, 0)
    connection = await checkpoint.connect(url)
    try:
        compared = await diff(connection)
        assert compared.differences == []
        row = await (await connection.execute("select count(*) from hivelog.jobs")).fetchone()
        assert row == (compared.jobs,)
    finally:
        await connection.close()


def check(log: LogWriter, expected: Model) -> None:
    """Every table against the model. Jobs are compared field by field by `diff`."""
    check_minutes(log, expected, "queue_minutes", "minute", MINUTE)
    check_minutes(log, expected, "queue_hours", "hour", HOUR)
    check_failures(log, expected)
    check_workers(log, expected)


def check_minutes(log: LogWriter, expected: Model, table: str, column: str, unit: int) -> None:
    rows = log.conn.execute(
        f"select queue, {column}, {', '.join(_COUNTS)}, waited, wait_ms, run_ms, waits, runs"
        f" from hivelog.{table}"
    ).fetchall()
    found = {}
    for queue, at, *rest in rows:
        since = milliseconds(at)
        for name, value in zip(_COUNTS, rest, strict=False):
            found[queue, since // unit, name] = value
        waits = [w for w in expected.waits if queue in (w.queue, ALL) and since <= w.at < since + unit]
        runs = [r for r in expected.runs if queue in (r.queue, ALL) and since <= r.at < since + unit]
        assert rest[-5:] == [
            len(waits), sum(w.took for w in waits), sum(r.took for r in runs),
            expected.histogram(waits, queue, since, since + unit),
            expected.histogram(runs, queue, since, since + unit),
        ]  # fmt: skip
    wanted: dict[tuple[int, int, str], int] = {}
    for (queue, minute, name), count in expected.counts.items():
        for of in (queue, ALL):
            key = (of, minute * MINUTE // unit, name)
            wanted[key] = wanted.get(key, 0) + count
    assert {key: value for key, value in found.items() if value} == wanted


def check_rounds(history: History) -> None:
    names = ("job", "began", "started", "ended", "revived", "ready", "session", "attempt", "queue", "priority",
             "outcome", "status")  # fmt: skip
    found = history.log.conn.execute(
        f"select {', '.join(names)} from hivelog.rounds order by job, began"
    ).fetchall()
    rows = [dict(zip(names, (row[0].bytes, *row[1:]), strict=True)) for row in found]
    assert rows == rounds(history.events(), frozenset(job_types()))


def check_failures(log: LogWriter, expected: Model) -> None:
    rows = log.conn.execute(
        "select f.fingerprint, t.name, f.hour, f.count, f.first_seen, f.last_seen, f.queues, f.sample_job,"
        " f.sample_position from hivelog.failures f join hivelog.job_types t on t.id = f.type"
    ).fetchall()
    found = {
        (name, kind, milliseconds(hour) // HOUR): (
            count, milliseconds(first), milliseconds(last), queues, sample.bytes, position,
        )
        for name, kind, hour, count, first, last, queues, sample, position in rows
    }  # fmt: skip
    assert found == {
        key: (
            len(events), events[0].recorded_at, events[-1].recorded_at,
            sorted({event.queue for event in events}), events[-1].stream, events[-1].position,
        )
        for key, events in expected.failures.items()
    }  # fmt: skip


def check_workers(log: LogWriter, expected: Model) -> None:
    rows = log.conn.execute(
        "select id, session, completed, failed, ended_at, ended_by from hivelog.workers"
    ).fetchall()
    found = {
        number: {
            "stream": session.bytes, "completed": completed, "failed": failed, "ended_by": ended_by,
            "ended_at": None if ended_at is None else milliseconds(ended_at),
        }
        for number, session, completed, failed, ended_at, ended_by in rows
    }  # fmt: skip
    assert found == expected.sessions


def some_work(log: LogWriter, jobs: int = 20) -> int:
    """Enqueue, run, complete half; answers the head."""
    session = log.session("one", ["q"])
    items = [log.enqueue("q") for _ in range(jobs)]
    log.append(Part(enqueues=items))
    started = log.append(Part(starts=[log.start(session, "q", item.job) for item in items])).started
    ends = [end(job, token, "completed", b"{}") for job, token, _, _ in started[: jobs // 2]]
    return log.append(Part(ends=ends)).head


async def test_two_runners_do_the_work_once(database: str) -> None:
    log = LogWriter(database)
    head = some_work(log)
    runners = [Runner(database, batch=7) for _ in range(2)]
    for runner in runners:
        await runner.start()
    try:
        for runner in runners:
            assert await runner.wait_for(head, timeout=10)
        head = some_work(log)
        assert await runners[1].wait_for(head, timeout=10)
        assert not await runners[0].wait_for(head + 1, timeout=0.1)
    finally:
        for runner in runners:
            await runner.stop()
    assert log.one("select sum(completed) from hivelog.queue_minutes where queue > 0") == 20
    assert log.one("select completed from hivelog.workers") == 20
    log.close()


async def test_a_poisoned_projection_stops_alone(database: str) -> None:
    log = LogWriter(database)
    head = some_work(log)
    log.conn.execute("alter table hivelog.workers add constraint poison check (completed = 0)")
    runner = Runner(database)
    await runner.catch_up()
    lags = {lag.name: lag for lag in await runner.status()}
    assert lags["jobs"].behind == lags["failures"].behind == 0
    assert lags["workers"].position < head
    assert "poison" in (lags["workers"].error or "")
    assert not await runner.wait_for(head, timeout=0.1)

    log.conn.execute("alter table hivelog.workers drop constraint poison")
    await runner.start()
    assert await runner.wait_for(head, timeout=10)
    assert {lag.error for lag in await runner.status()} == {None}
    await runner.stop()
    log.close()


async def test_a_rebuild_mends_and_readers_never_see_half(database: str) -> None:
    log = LogWriter(database)
    some_work(log)
    runner = Runner(database)
    await runner.start()
    await runner.wait_for(log.one("select max(position) from hivelog.batches"), timeout=10)
    log.conn.execute("update hivelog.jobs set retry = 9")
    seen: list[int] = []

    def look(position: int, head: int) -> None:
        seen.append(log.one("select count(*) from hivelog_reports.jobs"))
        if len(seen) == 1:
            some_work(log)  # the log goes on meanwhile

    done = await rebuild(database, "jobs", progress=look, batch=5)
    assert done.differences is not None
    assert done.differences["jobs"] >= 40
    assert set(seen) <= {20, 40}
    head = some_work(log)
    assert await runner.wait_for(head, timeout=10)
    await runner.stop()
    assert log.one("select count(*) from hivelog_reports.jobs where retries = 0") == 60
    assert log.one("select max(generation) from hivelog.projections where name = 'jobs'") == done.generation
    log.close()


async def test_an_old_generation_is_kept_until_told(database: str) -> None:
    log = LogWriter(database)
    some_work(log)
    await Runner(database).catch_up()
    before = indexes(log)
    for _ in range(2):
        done = await rebuild(database, "rounds", keep=True)
        assert done.differences == {"rounds": 0}
    assert indexes(log) == before
    assert log.one("select count(*) from hivelog.rounds_g1") == log.one("select count(*) from hivelog.rounds")
    some_work(log)
    await Runner(database).catch_up()
    assert log.one("select count(*) from hivelog.rounds_g1") < log.one("select count(*) from hivelog.rounds")
    assert await drop_kept(database, "rounds") == [1, 2]
    assert log.one("select to_regclass('hivelog.rounds_g1') is null and to_regclass('hivelog.rounds_g2') is null")
    log.close()


def indexes(log: LogWriter) -> list[str]:
    """Of the live rounds, whatever they are called."""
    rows = log.conn.execute(
        "select regexp_replace(indexdef, ' INDEX \\S+ ', ' ') from pg_indexes"
        " where schemaname = 'hivelog' and tablename = 'rounds' order by 1"
    )
    return [row[0] for row in rows.fetchall()]


async def test_two_projections_take_over_one_after_the_other(database: str) -> None:
    """A report reads jobs and rounds: while one of them is being dropped, its text cannot be asked for."""
    log = LogWriter(database)
    some_work(log)
    with log.conn.transaction():
        number = log.one("select hivelog.projection_begin('jobs')")
    await Runner(database).catch_up()
    with log.conn.transaction():
        log.conn.execute("update hivelog.projections set error = 'stands still' where name = 'jobs' and live")
        log.conn.execute(
            "update hivelog.checkpoints c set position = (select max(position) from hivelog.batches)"
            " where c.name = 'jobs' and c.generation = %s",
            (number,),
        )
        assert log.one("select hivelog.projection_swap('jobs', %s, false)", number)
        other = asyncio.create_task(rebuild(database, "rounds"))
        await blocked(log)
    assert (await other).differences == {"rounds": 0}
    log.close()


async def blocked(log: LogWriter) -> None:
    """Until another connection waits for this one's transaction."""
    query = "select count(*) from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))"
    async with asyncio.timeout(30):
        while not log.one(query):
            await asyncio.sleep(0.01)


async def test_a_rebuild_that_fails_leaves_nothing_behind(database: str) -> None:
    log = LogWriter(database)
    some_work(log)
    before = log.one("select count(*) from pg_class")

    def give_up(position: int, head: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(database, "jobs", progress=give_up)
    assert log.one("select count(*) from pg_class") == before
    assert log.one("select count(*) from hivelog.projections") == len(PROJECTIONS)
    log.close()


async def test_a_difference_is_found(database: str) -> None:
    log = LogWriter(database)
    some_work(log)
    runner = Runner(database)
    await runner.catch_up()
    await runner.stop()
    first = log.one("select id from hivelog.jobs order by id limit 1")
    log.conn.execute("update hivelog.jobs set attempt = 5 where id = %s", (first,))
    log.conn.execute("delete from hivelog.leases where token = (select max(token) from hivelog.leases)")
    connection = await checkpoint.connect(database)
    compared = await diff(connection)
    await connection.close()
    assert [(d.where, d.what) for d in compared.differences] == [
        ("marks", "processing"), ("jobs", "attempt"), ("live", "table"),
    ]  # fmt: skip
    log.close()


async def test_a_comparison_tells_how_far_it_is(database: str) -> None:
    log = LogWriter(database)
    some_work(log)
    runner = Runner(database)
    await runner.catch_up()
    await runner.stop()
    connection = await checkpoint.connect(database)
    told: list[tuple[int, int]] = []
    await diff(connection, progress=lambda done, total: told.append((done, total)))
    await connection.close()
    total = (1 + len(PROJECTIONS)) * int(log.one("select max(position) from hivelog.batches"))
    assert told == sorted(told)
    assert {of for _, of in told} == {total}
    assert told[-1] == (total, total)
    log.close()


@pytest.mark.parametrize(
    ("table", "what", "change"),
    [
        ("rounds", "wait_level", "update hivelog.rounds set wait_level = 9 where ended is null"),
        ("rounds", "row", "delete from hivelog.rounds where outcome = 'failed'"),
        ("failures", "count", "update hivelog.failures set count = count + 1"),
        ("workers", "completed", "update hivelog.workers set completed = 0"),
        ("workers", "row", "delete from hivelog.workers"),
        ("queue_minutes", "wait_ms", "update hivelog.queue_minutes set wait_ms = wait_ms + 1"),
        ("queue_hours", "row", "delete from hivelog.queue_hours"),
        ("jobs", "source", "update hivelog.jobs set source = 'x' where status = 'completed'"),
    ],
)
async def test_a_difference_in_any_projection_is_found(
    database: str, table: str, what: str, change: str
) -> None:
    log = LogWriter(database)
    some_work(log)
    [token] = log.conn.execute("select token, job from hivelog.leases order by token limit 1").fetchall()
    log.append(Part(ends=[end(token[1], token[0], "failed")]))
    runner = Runner(database)
    await runner.catch_up()
    await runner.stop()
    connection = await checkpoint.connect(database)
    assert (await diff(connection)).differences == []
    log.conn.execute(change)
    found = (await diff(connection)).differences
    assert (table, what) in {(d.where, d.what) for d in found}
    await rebuild(database, next(p.name for p in PROJECTIONS if table in p.tables))
    assert (await diff(connection)).differences == []
    await connection.close()
    log.close()
