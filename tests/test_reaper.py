"""Who is dead, and who only could not be heard. Time is moved by hand, a few seconds a look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.jobs import load
from hivelog.broker.marks import Marks
from hivelog.broker.reaper import Reaped, Reaper, Sighting
from hivelog.broker.sessions import Session, Sessions
from hivelog.broker.watch import Watch
from hivelog.events.batch import End, Part, Start, Started

from .conftest import Clock

ACTOR = "user:test"
DEAD_AFTER = 20


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.configure("q", {"retry_delay": 0, "retry_backoff": "fixed"}, actor=ACTOR)
        yield opened


@pytest.fixture
async def sessions(backend: Backend, database: str) -> AsyncIterator[Sessions]:
    opened = Sessions(backend.appender, backend.names, database, heartbeat=5, dead_after=DEAD_AFTER)
    yield opened
    await opened.close()


@pytest.fixture
def reaper(backend: Backend) -> Reaper:
    return Reaper(backend.appender, backend.names, backend.pool, grace=30)


async def register(sessions: Sessions, name: str = "w") -> Session:
    return await sessions.open(name, ["q"], ["mail"], 4, host="h", pid=1)


async def run(backend: Backend, session: Session, **options: Any) -> Started:
    """A job of the queue, leased by the session."""
    job = (await backend.enqueuer.enqueue("q", "mail", {}, actor=ACTOR, **options)).job
    return await lease(backend, session, job)


async def lease(backend: Backend, session: Session, job: bytes) -> Started:
    found = await state(backend, job)
    kind = await backend.names.type_id("mail")
    part = Part(starts=[Start(session.id, found.queue, kind, found.priority, job)])
    return (await backend.appender.submit(part)).started[0]


async def state(backend: Backend, job: bytes) -> Any:
    async with backend.pool.connection() as connection:
        return (await load(connection, [job])).jobs[job]


async def watch(reaper: Reaper, clock: Clock, seconds: float, step: float = 4) -> tuple[int, int]:
    """Let time pass under the reaper's eyes; answers dead sessions and ended leases."""
    dead = ended = 0
    for _ in range(round(seconds / step) + 1):
        reaped = await reaper.tick()
        dead, ended = dead + reaped.sessions, ended + reaped.leases
        clock.advance(step)
    return dead, ended


def scalar(url: str, query: str) -> Any:
    with psycopg.connect(url) as conn:
        row = conn.execute(query).fetchone()
    return row and row[0]


async def test_a_dead_workers_jobs_are_lost_and_retried(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock, database: str
) -> None:
    started = await run(backend, await register(sessions))
    assert await watch(reaper, clock, DEAD_AFTER - 4) == (0, 0)
    assert await watch(reaper, clock, 8) == (1, 1)
    found = await state(backend, started.job)
    assert (found.status, found.retry, found.attempt, found.cause) == ("pending", 1, 1, "lost")
    assert scalar(database, "select count(*) from hivelog.sessions") == 0
    assert scalar(database, "select count(*) from hivelog.leases") == 0


async def test_without_retries_left_a_lost_job_has_failed(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    started = await run(backend, await register(sessions), max_retries=0)
    await watch(reaper, clock, 28)
    found = await state(backend, started.job)
    assert (found.status, found.cause) == ("failed", "lost")


async def test_a_cancelling_job_of_a_dead_worker_is_cancelled(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    started = await run(backend, await register(sessions))
    await backend.jobs.cancel(started.job, actor=ACTOR)
    await watch(reaper, clock, 28)
    found = await state(backend, started.job)
    assert (found.status, found.cause) == ("cancelled", "lost")


async def test_a_worker_that_beats_lives(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    for _ in range(12):
        assert await watch(reaper, clock, 4) == (0, 0)
        held = await sessions.heartbeat(session.session, [started.token], busy=1)
        assert not held.gone
        assert held.lost == held.cancel == held.unlisted == []
    assert (await state(backend, started.job)).status == "processing"


async def test_a_frozen_workers_token_is_refused_when_it_comes_back(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock, database: str
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    await watch(reaper, clock, 28)
    held = await sessions.heartbeat(session.session, [started.token])
    assert held.gone
    assert held.lost == [started.token]
    body = b'{"from": "the dead"}'
    end = End(started.job, started.token, "completed", body=body, size=len(body), digest=b"d", slot=1)
    outcome = await backend.appender.submit(Part(ends=[end]))
    assert outcome.refused["e", 0].code == "stale_token"
    assert (await state(backend, started.job)).status == "pending"
    assert scalar(database, "select count(*) from hivelog.vault where slot = 1") == 0


async def test_nobody_dies_while_the_database_is_away(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    """Away for longer than dead-after: no heartbeat could arrive, and no look either."""
    session = await register(sessions)
    started = await run(backend, session)
    await watch(reaper, clock, 12)
    reaper.forget()  # what `run` does when a look fails
    clock.advance(10 * DEAD_AFTER)
    assert await watch(reaper, clock, DEAD_AFTER - 4) == (0, 0)
    assert not (await sessions.heartbeat(session.session, [started.token])).gone


async def test_a_failed_look_makes_the_reaper_forget(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock, database: str
) -> None:
    await run(backend, await register(sessions))
    await watch(reaper, clock, DEAD_AFTER - 4)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("alter table hivelog.sessions rename to sessions_away")
        with pytest.raises(psycopg.Error):
            await reaper.tick()
        conn.execute("alter table hivelog.sessions_away rename to sessions")
    assert await watch(reaper, clock, DEAD_AFTER - 4) == (0, 0)
    assert await watch(reaper, clock, 8) == (1, 1)


async def test_a_missed_look_gives_every_session_a_fresh_dead_after(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    await run(backend, await register(sessions))
    await watch(reaper, clock, DEAD_AFTER - 4)
    clock.advance(30)
    assert await watch(reaper, clock, DEAD_AFTER - 4) == (0, 0)
    assert await watch(reaper, clock, 8) == (1, 1)


async def test_a_new_reaper_begins_anew(
    backend: Backend, sessions: Sessions, clock: Clock
) -> None:
    await run(backend, await register(sessions))
    clock.advance(10 * DEAD_AFTER)
    fresh = Reaper(backend.appender, backend.names, backend.pool)
    assert await watch(fresh, clock, DEAD_AFTER - 4) == (0, 0)


async def test_a_heartbeat_after_the_look_refuses_the_loss(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock, database: str
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    clock.advance(30)
    await sessions.heartbeat(session.session, [started.token])
    query = "select (extract(epoch from last_heartbeat) * 1000)::bigint, session from hivelog.sessions"
    with psycopg.connect(database) as conn:
        row = conn.execute(query).fetchone()
    assert row is not None
    seen = Sighting(session.id, row[1], "w", row[0] - 30_000, 20_000)  # before the beat
    reaped = Reaped()
    await reaper._bury(seen, reaped)
    assert (reaped.sessions, reaped.leases) == (0, 0)
    assert (await state(backend, started.job)).status == "processing"
    assert scalar(database, "select count(*) from hivelog.sessions") == 1


async def test_sessions_that_share_a_name_die_one_by_one(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    old, new = await register(sessions, "same"), await register(sessions, "same")
    lost, kept = await run(backend, old), await run(backend, new)
    for _ in range(8):
        await watch(reaper, clock, 4)
        await sessions.heartbeat(new.session, [kept.token])
    assert (await state(backend, lost.job)).status == "pending"
    assert (await state(backend, kept.job)).status == "processing"


async def test_leases_of_a_session_that_is_over_are_lost_at_once(
    backend: Backend, sessions: Sessions, reaper: Reaper
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    await sessions.leave(session, "stopped")
    assert (await reaper.tick()).leases == 1
    assert (await state(backend, started.job)).status == "pending"


async def test_an_overdue_job_is_ended_after_its_grace(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    session = await register(sessions)
    retried = await run(backend, session, timeout=10)
    expired = await run(backend, session, timeout=10, max_retries=0)

    async def pass_time(seconds: float) -> int:
        ended = 0
        for _ in range(round(seconds / 4)):
            await sessions.heartbeat(session.session, [retried.token, expired.token])
            ended += (await reaper.tick()).leases
            clock.advance(4)
        return ended

    assert await pass_time(40) == 0
    assert await pass_time(12) == 2
    assert (await state(backend, retried.job)).cause == "timeout"
    assert (await state(backend, expired.job)).status == "expired"


async def test_an_overdue_job_gets_a_fresh_grace_after_an_outage(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    session = await register(sessions)
    started = await run(backend, session, timeout=10)
    clock.advance(300)
    for _ in range(7):
        await sessions.heartbeat(session.session, [started.token])
        assert (await reaper.tick()).leases == 0
        clock.advance(4)


async def test_a_job_that_will_not_stop_is_cancelled_after_the_grace(
    backend: Backend, sessions: Sessions, reaper: Reaper, clock: Clock
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    await backend.jobs.cancel(started.job, actor=ACTOR)
    ended = []
    for _ in range(10):
        held = await sessions.heartbeat(session.session, [started.token])
        ended.append((await reaper.tick()).leases)
        clock.advance(4)
        if not any(ended):
            assert held.cancel == [started.token]
    assert ended.index(1) == 8  # 32 s seen
    found = await state(backend, started.job)
    assert (found.status, found.cause) == ("cancelled", "grace")


# -- heartbeats ----------------------------------------------------------------------------------------------


async def test_a_lease_that_its_session_does_not_know_goes_back_uncounted(
    backend: Backend, sessions: Sessions, clock: Clock
) -> None:
    session = await register(sessions)
    started = await run(backend, session)
    assert (await sessions.heartbeat(session.session, [])).unlisted == []  # its start may be under way
    clock.advance(11)
    held = await sessions.heartbeat(session.session, [])
    assert held.unlisted == [(started.job, started.token)]
    assert await sessions.release(session, held) == 1
    found = await state(backend, started.job)
    assert (found.status, found.attempt) == ("queued", 0)
    again = await lease(backend, session, started.job)
    assert again.attempt == 1


async def test_a_heartbeat_tells_what_a_session_uses(
    backend: Backend, sessions: Sessions, database: str
) -> None:
    session = await register(sessions)
    await sessions.heartbeat(session.session, [], busy=3, memory_mib=77)
    with psycopg.connect(database) as conn:
        row = conn.execute("select busy, memory_mib, heartbeat, dead_after from hivelog.sessions").fetchone()
    assert row == (3, 77, 5, 20)


# -- side tables ---------------------------------------------------------------------------------------------


async def test_old_marks_are_thinned_to_one_a_second_and_depths_stay(
    backend: Backend, clock: Clock, database: str
) -> None:
    for _ in range(30):
        await backend.enqueuer.enqueue("q", "mail", {}, actor=ACTOR)
    marks = Marks(backend.pool)
    assert (await marks.tick()).marks == 0
    seconds = scalar(
        database, "select count(distinct date_trunc('second', recorded_at)) from hivelog.queue_marks"
    )
    clock.advance(61)
    assert (await marks.tick()).marks == 30 - seconds
    assert scalar(database, "select max(ready) from hivelog.queue_marks") == 30
    assert (await marks.tick()).marks == 0
    await backend.enqueuer.enqueue("q", "mail", {}, actor=ACTOR)
    assert scalar(database, "select max(ready) from hivelog.queue_marks") == 31


async def test_batches_keep_a_day_and_always_the_head(
    backend: Backend, clock: Clock, database: str
) -> None:
    for _ in range(5):
        await backend.enqueuer.enqueue("q", "mail", {}, actor=ACTOR)
    head = scalar(database, "select max(position) from hivelog.batches")
    clock.advance(86_500)
    await Marks(backend.pool).tick()
    assert scalar(database, "select array_agg(position) from hivelog.batches") == [head]
    accepted = await backend.enqueuer.enqueue("q", "mail", {}, actor=ACTOR)
    assert accepted.position == head + 1


# -- pure ----------------------------------------------------------------------------------------------------


def test_the_watch_counts_seen_time_only() -> None:
    seen = Watch(5)
    assert seen.look(100, {1: "a"}) == {1: 0}
    assert seen.look(105, {1: "a", 2: "b"}) == {1: 5, 2: 0}
    assert seen.look(108, {1: "a", 2: "c"}) == {1: 8, 2: 0}
    assert seen.look(114, {1: "a"}) == {1: 0}  # a gap
    assert seen.look(116, {1: "a"}) == {1: 2}
    assert seen.look(115, {1: "a"}) == {1: 0}  # the clock went back
    seen.look(116, {})
    assert seen.look(117, {1: "a"}) == {1: 0}  # it was away in between
    seen.reset()
    assert seen.look(118, {1: "a"}) == {1: 0}
