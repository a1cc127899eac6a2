"""Beside an old snapshot a live table is mostly dead rows: an append looks up its own, and reads no others.

What is counted is what PostgreSQL read, not how long it took.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from hivelog.events.batch import Outcome, Started
from hivelog.events.log import Log

from .batches import Desk, complete, part

DEAD = 20_000
TURNS = 8  # more than five, so that PostgreSQL comes to plans for any list beside those for each
ROWS = (1, 40)
# Beyond what the commands name: the rest of an index page here and there, not a table.
SPARE = DEAD // 4

_LEAVE_DEAD = """
insert into hivelog.leases (job, token, enqueued, started_at, deadline, session, type, version, queue, priority,
    attempt, retry, size)
select gen_random_uuid(), -1, 1, now(), now(), {session}, {type}, 2, {queue}, 100, 1, 0, 2
from generate_series(1, {dead});
insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry, size, spec)
select gen_random_uuid(), -1, {queue}, 100, {type}, 1, 0, 0, 2, '{{}}' from generate_series(1, {dead});
delete from hivelog.leases where token = -1;
delete from hivelog.ready where enqueued = -1
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
        other.execute("vacuum analyze hivelog.leases, hivelog.ready")
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
