"""Beside an old snapshot a live table is mostly dead rows: an append looks up its own, and reads no others, and nor do
the statements that run all the time.

What is counted is what PostgreSQL read, not how long it took.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hivelog import sql
from hivelog.events.batch import Outcome, Started
from hivelog.events.log import Log
from hivelog.projections.day import NOTHING

from .batches import Desk, complete, part

DEAD = 20_000
TURNS = 8  # more than five, so that PostgreSQL comes to plans for any list beside those for each
ROWS = (1, 40)
MOVES = 1_000
FEW = 150  # pages: what a statement may go through that has nothing to do with dead rows
# Beyond what the commands name: the rest of an index page here and there, not a table.
SPARE = DEAD // 4

_LEAVE_DEAD = """
insert into hivelog.leases (job, token, enqueued, started_at, deadline, session, type, version, queue, priority,
    attempt, retry, size)
select gen_random_uuid(), -1, 1, now(), now(), {session}, {type}, 2, {queue}, 100, 1, 0, 2
from generate_series(1, {dead});
insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry, size, spec, expires_at)
select gen_random_uuid(), -1, {queue}, 100, {type}, 1, 0, 0, 2, '{{}}',
    now() + interval '1 hour' * (1 - 2 * (n % 2)) from generate_series(1, {dead}) n;
insert into hivelog.pending (due_at, job, enqueued, queue, priority, type, version, attempt, retry, size, spec, expires_at)
select now() - interval '1 hour', gen_random_uuid(), -1, {queue}, 100, {type}, 1, 0, 0, 2, '{{}}',
    now() + interval '1 hour' * (1 - 2 * (n % 2)) from generate_series(1, {dead}) n;
insert into hivelog.outbox (id, queue, type, payload, options, caller, created_at)
select (left(hivelog.lowest_job_id(now() - interval '1 hour')::text, 15) || right(gen_random_uuid()::text, 21))::uuid,
    'bench', 'noop', '{{}}', '{{}}', 'test', now() from generate_series(1, {dead});
delete from hivelog.outbox;
delete from hivelog.leases where token = -1;
delete from hivelog.ready where enqueued = -1;
delete from hivelog.pending where enqueued = -1
"""
_READ = """
select (select sum(idx_tup_read) from pg_stat_user_indexes where relname in ('leases', 'ready')),
    (select sum(seq_scan) from pg_stat_user_tables where relname in ('leases', 'ready'))
"""
_GONE = "select not exists (select from pg_stat_activity where pid = %s)"


@contextmanager
def among_the_dead(database: str, desk: Desk) -> Iterator[None]:
    """Twenty thousand dead rows in each live table, which a vacuum has counted and cannot remove."""
    names = {"session": desk.session, "type": desk.type, "queue": desk.queue, "dead": DEAD}
    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as other:
        holder.execute("set transaction isolation level repeatable read read only")
        holder.execute("select count(*) from hivelog.ready")
        other.execute(_LEAVE_DEAD.format(**names))
        other.execute("vacuum analyze hivelog.leases, hivelog.ready, hivelog.pending")
        yield


async def read_by(database: str, work: Callable[[Log], Awaitable[object]]) -> int:
    """Index entries of the live tables that a connection of its own reads for this work."""
    log = Log(database)
    await log.open()
    with psycopg.connect(database, autocommit=True) as other:
        before = _counted(other)
        await work(log)
        pid = log._connection.info.backend_pid
        await log.close()
        # A backend tells what it has read when it ends.
        while other.execute(_GONE, (pid,)).fetchone() != (True,):
            pass
        after = _counted(other)
    assert after[1] == before[1], "a live table was read from end to end"
    return after[0] - before[0]


def pages(connection: psycopg.Connection[Any], query: str, values: object = None) -> int:
    """Pages that PostgreSQL looks at for a statement of ours."""
    return pages_of(connection, sql.load(query), values)


def pages_of(connection: psycopg.Connection[Any], text: str, values: object = None) -> int:
    """Of the second time, when it knows its way."""
    explained = "explain (analyze, buffers, timing off, format json) " + text
    for _ in range(2):
        row = connection.execute(explained, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _counted(connection: psycopg.Connection[tuple[int, ...]]) -> tuple[int, int]:
    connection.execute("select pg_stat_clear_snapshot()")
    row = connection.execute(_READ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def turns(log: Log, desk: Desk, size: int) -> None:
    """Ends of `size` jobs and starts of as many others, again and again."""
    jobs = [desk.enqueue() for _ in range(size * (TURNS + 1))]
    await log.append([part(*jobs)])
    started: dict[int, Started] = {}
    for at in range(0, len(jobs), size):
        ends = [complete(job) for job in started.values()]
        outcome = await _append(log, *ends, *(desk.start(job) for job in jobs[at : at + size]))
        started = dict(enumerate(outcome.started))
        assert (len(started), outcome.refused) == (size, {})
    await _append(log, *(complete(job) for job in started.values()))


async def _append(log: Log, *commands: object) -> Outcome:
    return (await log.append([part(*commands)])).outcomes[0]


@pytest.mark.parametrize("size", ROWS)
async def test_a_turn_reads_no_dead_rows(database: str, size: int) -> None:
    desk = Desk(database)
    with among_the_dead(database, desk):
        read = await read_by(database, lambda log: turns(log, desk, size))
    assert read < SPARE + 4 * 2 * size * (TURNS + 1)


@pytest.mark.parametrize("size", ROWS)
async def test_a_mixed_batch_reads_no_dead_rows(database: str, size: int) -> None:
    """Section by section: new jobs, ends that are refused, cancels and starts in one batch."""
    desk = Desk(database)

    async def mixed(log: Log) -> None:
        waiting = [desk.enqueue() for _ in range(size)]
        await log.append([part(*waiting)])
        for _ in range(TURNS):
            jobs = [desk.enqueue() for _ in range(size)]
            await log.append([part(*jobs)])
            started = (await _append(log, *(desk.start(job) for job in jobs))).started
            ends = [complete(job) for job in started]
            fresh = [desk.enqueue() for _ in range(size)]
            cancels = [desk.cancel(job) for job in waiting]
            outcome = await _append(log, *fresh, *ends, *cancels, *(desk.start(job) for job in jobs))
            assert {refusal.code for refusal in outcome.refused.values()} == {"not_ready"}
            again = await _append(log, *ends)
            assert len(again.refused) == size
            waiting = fresh

    with among_the_dead(database, desk):
        read = await read_by(database, mixed)
    assert read < SPARE + 12 * size * TURNS


async def test_the_feed_looks_up_what_was_touched(database: str) -> None:
    """New jobs, and older ones that only their story tells the key of."""
    desk, log = Desk(database), Log(database)
    await log.open()
    with among_the_dead(database, desk), psycopg.connect(database, autocommit=True) as other:
        older = [desk.enqueue() for _ in range(40)]
        after = (await log.append([part(*older)])).head
        await log.append([part(*(desk.enqueue() for _ in range(40)))])
        await log.append([part(*(desk.reprioritize(job, 5) for job in older))])
        assert pages(other, "feed_state", (after, 50_000)) < 10 * FEW
    await log.close()


async def test_what_a_session_holds_is_known_from_its_heartbeats(database: str) -> None:
    """Leases from before the last one that are left, and those since."""
    desk, log = Desk(database), Log(database)
    await log.open()
    with psycopg.connect(database, autocommit=True) as other:
        stream = other.execute("select session from hivelog.sessions").fetchone()
        assert stream is not None
        beat = {"session": stream[0], "tokens": [], "busy": 0, "memory": 1, "blocked": 0}

        async def taken(count: int) -> list[Started]:
            jobs = [desk.enqueue() for _ in range(count)]
            await log.append([part(*jobs)])
            return list((await _append(log, *(desk.start(job) for job in jobs))).started)

        def known() -> list[int]:
            rows = other.execute("select token from hivelog.session_leases(%s) order by token", (desk.session,))
            return [row[0] for row in rows]

        held: list[Started] = []
        for count in (3, 1, 4):
            held += await taken(count)
            assert known() == [job.token for job in held]
            other.execute(sql.load("heartbeat"), beat)
            assert known() == [job.token for job in held]
            await _append(log, complete(held.pop(0)))
            assert known() == [job.token for job in held]
    await log.close()


async def test_checkpoints_pass_no_dead_versions(database: str) -> None:
    desk, log = Desk(database), Log(database)
    await log.open()
    with (
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as other,
    ):
        holder.execute("set transaction isolation level repeatable read read only")
        holder.execute("select count(*) from hivelog.checkpoints")
        head = (await log.append([part(desk.enqueue())])).head
        for position in range(1, MOVES):
            other.execute("update hivelog.checkpoints set position = %s where position = %s", (position, position - 1))
        for name in ("projection_state", "projection_failures"):
            of = {"generation": 1, "after": MOVES - 1, "upto": MOVES - 1 + head}
            text = sql.load(name).format(failures="hivelog.failures") if "failures" in name else sql.load(name)
            assert pages_of(other, text, of) < MOVES // 10
    await log.close()


READS = (
    ("heartbeat", {"tokens": [], "busy": 0, "memory": 1, "blocked": 0}),
    ("reaper_leases", {"orphans": False}),
    ("leases_of_session", {}),
    ("worker_status", {"since": None}),
    ("supervised_sessions", {"host": "here", "pids": [1], "names": ["test"]}),
    ("job_why", {"type": "noop", "job": None}),
    ("due_pending", {"due": datetime(1, 1, 1, tzinfo=UTC), "job": UUID(int=0), "back": 60, "limit": 250}),
    ("expired_waiting", {"back": 60, "limit": 250}),
    ("next_due", {"back": 60, "ahead": 1}),
    ("queue_stats", NOTHING.parameters),
    ("outbox_read", {"back": 60}),
    ("scales", {}),
    ("unserved_types", {}),
)


@pytest.mark.parametrize(("query", "values"), READS, ids=[name for name, _ in READS])
async def test_what_runs_all_the_time_reads_no_dead_rows(
    database: str, query: str, values: dict[str, Any]
) -> None:
    desk, log = Desk(database), Log(database)
    await log.open()
    with among_the_dead(database, desk), psycopg.connect(database, autocommit=True) as other:
        values = {"session": desk.session, "queue": desk.queue} | values
        if query == "heartbeat":
            values["session"] = other.execute("select session from hivelog.sessions").fetchone()[0]  # type: ignore[index]
        await turns(log, desk, 1)
        assert pages(other, query, values) < FEW, query
    await log.close()
