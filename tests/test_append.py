"""The append: order, guards, refusals, lost answers. Against a real server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from hivelog.events import log as log_module
from hivelog.events.appender import Appender
from hivelog.events.batch import End, IdempotencyKey, Outcome, Part, Record
from hivelog.events.errors import DatabaseUnavailable, EpochChanged, Overloaded
from hivelog.events.log import Log

from .batches import Desk, complete, part
from .proxy import proxied


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(query).fetchall()


@pytest.fixture
async def appender(database: str) -> AsyncIterator[Appender]:
    appender = Appender(Log(database))
    await appender.start()
    yield appender
    await appender.stop()


# What must hold of any log and its live tables, asked of the database itself.
INTACT = """
select
    (select count(*) = coalesce(max(position), 0) and coalesce(min(position), 1) = 1 from hivelog.events),
    (select count(*) = 0 from (
        select recorded_at < lag(recorded_at) over (order by position) as back from hivelog.events
    ) x where back),
    (select count(*) = 0 from (
        select stream, count(*) n, min(version) low, max(version) high from hivelog.events group by stream
    ) x where low <> 1 or high <> n),
    (select count(*) = 0 from (
        select job from hivelog.pending union all select job from hivelog.ready
        union all select job from hivelog.leases) x group by job having count(*) > 1) is not false,
    (select coalesce(bool_and(m.pending = p.n and m.ready = r.n and m.running = l.n), true)
     from hivelog.queues q
     join lateral (
        select * from hivelog.queue_marks m where m.queue = q.id order by position desc limit 1) m on true
     join lateral (select count(*) n from hivelog.pending where queue = q.id) p on true
     join lateral (select count(*) n from hivelog.ready where queue = q.id) r on true
     join lateral (select count(*) n from hivelog.leases where queue = q.id) l on true)
"""


def assert_intact(url: str) -> None:
    assert rows(url, INTACT)[0] == (True, True, True, True, True)


async def test_many_appenders_leave_a_gapless_ordered_log(database: str) -> None:
    desk = Desk(database)

    async def producer(seed: int) -> int:
        rng = random.Random(seed)
        appender = Appender(Log(database))
        await appender.start()
        written = 0

        async def caller() -> None:
            nonlocal written
            for _ in range(10):
                jobs = [desk.enqueue(priority=rng.randint(0, 5)) for _ in range(rng.randint(1, 20))]
                outcome = await appender.submit(part(*jobs))
                assert outcome.positions["n"] == list(
                    range(outcome.positions["n"][0], outcome.positions["n"][0] + len(jobs))
                )
                written += len(jobs)

        await asyncio.gather(*(caller() for _ in range(5)))
        await appender.stop()
        return written

    total = sum(await asyncio.gather(*(producer(seed) for seed in range(8))))
    assert rows(database, "select count(*), max(position) from hivelog.events") == [(total, total)]
    assert_intact(database)


async def test_workers_racing_for_the_same_jobs_start_each_once(database: str) -> None:
    desk = Desk(database)
    jobs = [desk.enqueue() for _ in range(300)]
    first = Appender(Log(database))
    await first.start()
    await first.submit(part(*jobs))

    async def worker(appender: Appender, seed: int) -> int:
        rng = random.Random(seed)
        done = 0
        for _ in range(30):
            tried = rng.sample(jobs, 20)
            outcome = await appender.submit(part(*map(desk.start, tried)))
            assert len(outcome.started) + len(outcome.refused) == 20
            assert all(refusal.code == "not_ready" for refusal in outcome.refused.values())
            ended = await appender.submit(part(*map(complete, outcome.started)))
            assert not ended.refused
            done += len(outcome.started)
        return done

    others = [Appender(Log(database)) for _ in range(3)]
    for other in others:
        await other.start()
    done = sum(await asyncio.gather(*(worker(a, i) for i, a in enumerate([first, *others]))))
    for each in [first, *others]:
        await each.stop()
    (ended, started), = rows(
        database,
        "select count(*) filter (where type = 'completed'), count(*) filter (where type = 'started')"
        " from hivelog.events",
    )
    assert ended == started == done
    assert_intact(database)


async def test_callers_that_wait_and_those_that_come_again_are_two_halves(database: str, appender: Appender) -> None:
    desk = Desk(database)
    sent = [appender.post(part(desk.enqueue())) for _ in range(3)]
    while not appender.log.connected or appender.idle or len(appender._waiting):
        await asyncio.sleep(0)
    sent += [appender.post(part(desk.enqueue())) for _ in range(47)]
    await asyncio.gather(*sent)
    sizes = rows(database, "select position - first + 1 from hivelog.batches order by position desc limit 3")
    assert sizes == [(22,), (25,), (3,)]


@pytest.mark.parametrize("ends", [False, True])
async def test_only_what_has_ended_is_retried(database: str, appender: Appender, ends: bool) -> None:
    """Whatever its version: where the log lost its tail, a job can stand at the same version and be alive."""
    desk = Desk(database)
    job = desk.enqueue()
    await appender.submit(part(job))
    outcome = await appender.submit(part(desk.start(job)))
    if ends:
        await appender.submit(part(complete(outcome.started[0])))
    again = desk.cancel(job)
    again.event, again.source, again.target = "requeued", "ended", "ready"
    again.version, again.spec = 2 + ends, msgspec.Raw(job.spec)
    again.attempt, again.retry, again.enqueued, again.size = 1, 0, 1, job.size
    outcome = await appender.submit(part(again))
    assert bool(outcome.refused) is not ends
    assert rows(database, "select count(*) from hivelog.leases") == [(not ends,)]
    assert rows(database, "select count(*) from hivelog.ready") == [(ends,)]
    assert_intact(database)


@pytest.mark.parametrize("limit", [None, 100])
async def test_each_start_is_told_its_own_job(database: str, appender: Appender, limit: int | None) -> None:
    """Across parts of one batch, around ids that are not ready, with and without a limit to mind."""
    desk = Desk(database, max_workers=limit)
    jobs = [desk.enqueue(priority=n, body=b'{"n": %d}' % n) for n in range(8)]
    await appender.submit(part(*jobs))
    wrong = [desk.enqueue() for _ in range(4)]
    asked = [
        [wrong[0], jobs[3], jobs[0]], [jobs[1], wrong[1], jobs[7]], [wrong[2]], [jobs[4], wrong[3], jobs[2]],
    ]  # fmt: skip
    futures = [appender.post(part(*map(desk.start, some))) for some in asked]
    outcomes = [*await asyncio.gather(*futures), await appender.submit(part(desk.pick(2)))]
    for some, outcome in zip(asked, outcomes, strict=False):
        told = {job.index: (job.job, job.body, job.priority) for job in outcome.started}
        assert told == {
            n: (job.job, job.body, job.priority) for n, job in enumerate(some) if job not in wrong
        }
        assert set(outcome.refused) == {("s", n) for n, job in enumerate(some) if job in wrong}
    assert {job.job for job in outcomes[-1].started} == {jobs[6].job, jobs[5].job}
    tokens = [(job.job, job.token) for outcome in outcomes for job in outcome.started]
    assert len(tokens) == 8
    query = "select stream, position from hivelog.events where type = 'started'"
    assert {(stream.bytes, position) for stream, position in rows(database, query)} == set(tokens)  # type: ignore[attr-defined]


async def test_max_workers_is_exact_and_pause_is_obeyed(database: str, appender: Appender) -> None:
    desk = Desk(database, max_workers=3)
    jobs = [desk.enqueue() for _ in range(10)]
    await appender.submit(part(*jobs))
    outcome = await appender.submit(part(*map(desk.start, jobs[:5])))
    assert [job.job for job in outcome.started] == [job.job for job in jobs[:3]]
    assert {why.code for why in outcome.refused.values()} == {"limit"}
    # An end in the same batch makes room for exactly one.
    outcome = await appender.submit(part(complete(outcome.started[0]), *map(desk.start, jobs[3:6])))
    assert len(outcome.started) == 1
    assert (await appender.submit(part(desk.pick(5)))).started == []
    assert not (await appender.submit(part(desk.record("paused")))).refused
    outcome = await appender.submit(part(complete(outcome.started[0]), desk.start(jobs[5]), desk.pick(5)))
    assert [why.code for why in outcome.refused.values()] == ["paused"]
    assert outcome.started == []
    await appender.submit(part(desk.record("resumed")))
    assert len((await appender.submit(part(desk.pick(5)))).started) == 1
    assert_intact(database)


async def test_picks_follow_priority_then_age(database: str, appender: Appender) -> None:
    desk = Desk(database)
    jobs = [desk.enqueue(priority=priority) for priority in (1, 9, 5, 9, 1)]
    await appender.submit(part(*jobs))
    started = (await appender.submit(part(desk.pick(10)))).started
    wanted = sorted(jobs, key=lambda job: (-job.priority, job.job))
    assert [job.job for job in started] == [job.job for job in wanted]


async def test_a_token_ends_once(database: str, appender: Appender) -> None:
    desk = Desk(database)
    job = desk.enqueue()
    await appender.submit(part(job))
    started = (await appender.submit(part(desk.start(job)))).started[0]
    wrong = End(started.job, started.token + 1, "completed", slot=1, body=b"wrong", size=5, digest=b"x")
    assert (await appender.submit(part(wrong))).refused["e", 0].code == "stale_token"
    assert not (await appender.submit(part(complete(started)))).refused
    again = complete(started, b'"another answer"')
    assert (await appender.submit(part(again))).refused["e", 0].code == "stale_token"
    # The refused bodies left the vault; the accepted one stayed as it was.
    assert rows(database, "select slot, body from hivelog.vault where slot > 0") == [(1, b'{"ok":true}')]
    assert_intact(database)


async def test_retry_waits_and_release_is_ready_again(database: str, appender: Appender) -> None:
    desk = Desk(database)
    job = desk.enqueue()
    await appender.submit(part(job))
    started = (await appender.submit(part(desk.start(job)))).started[0]
    outcome = await appender.submit(part(End(started.job, started.token, "released")))
    assert rows(database, "select attempt, version from hivelog.ready") == [(0, 3)]
    started = (await appender.submit(part(desk.start(job)))).started[0]
    assert started.attempt == 1
    retry = End(started.job, started.token, "retry_scheduled", due=outcome.recorded_at + 60_000, retry=1)
    await appender.submit(part(retry))
    assert rows(database, "select attempt, retry, version from hivelog.pending") == [(1, 1, 5)]
    assert_intact(database)


async def test_claims_are_bounded_by_payload(database: str, appender: Appender) -> None:
    desk = Desk(database)
    jobs = [desk.enqueue(body=b"x" * 3_000_000) for _ in range(8)]
    for job in jobs:
        await appender.submit(part(job))
    outcome = await appender.submit(part(*map(desk.start, jobs)))
    assert len(outcome.started) == 5  # 16 MiB
    assert {why.code for why in outcome.refused.values()} == {"budget"}


async def test_one_key_is_one_job(database: str, appender: Appender) -> None:
    desk = Desk(database)

    def keyed(fingerprint: bytes = b"f") -> Part:
        made = part(desk.enqueue())
        made.keys = [IdempotencyKey(b"k" * 32, fingerprint * 32, 0, 0, 2_000_000_000_000)]
        return made

    outcomes = await asyncio.gather(*(appender.submit(keyed()) for _ in range(20)))
    accepted = [outcome for outcome in outcomes if not outcome.refused]
    assert len(accepted) == 1
    replays = {outcome.refused["n", 0].job for outcome in outcomes if outcome.refused}
    (job,) = rows(database, "select stream from hivelog.events")[0]
    assert replays == {job.bytes}  # type: ignore[attr-defined]
    assert (await appender.submit(keyed(b"g"))).refused["n", 0].code == "idempotency_mismatch"
    assert rows(database, "select count(*) from hivelog.vault") == [(1,)]
    assert_intact(database)


async def test_a_full_batch_is_encoded_beside_the_one_under_way_and_keeps_its_place(
    database: str, tmp_path: Path
) -> None:
    """Whether that one's answer comes, is lost, or the database goes away with it."""
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        sent = await _two_batches(appender, desk)
        assert [outcome.positions["n"][0] for outcome in await asyncio.gather(*sent)] == [1, 2, 3, 4]
        proxy.lose_next_answer()
        sent = await _two_batches(appender, desk)
        assert [outcome.positions["n"][0] for outcome in await asyncio.gather(*sent)] == [5, 6, 7, 8]
        proxy.cut(refuse=True)
        sent = await _two_batches(appender, desk)
        told = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in told), told
        assert (appender._rows, appender._bytes) == (0, 0)
        proxy.restore()
        while not appender.available:
            await asyncio.sleep(0.01)
        proxy.cut(refuse=True)
        sent = [appender.post(part(desk.enqueue()))]
        while appender.log.connected:
            await asyncio.sleep(0)
        assert appender.available, "it still tries"
        sent += [appender.post(part(desk.enqueue())) for _ in range(3)]  # not taken: they are told of the outage
        async with asyncio.timeout(10):
            told = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in told), told
        proxy.restore()
        await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(8,)]
    assert_intact(database)


async def _two_batches(appender: Appender, desk: Desk) -> list[asyncio.Future[Outcome]]:
    """One under way, and three that are the next already."""
    sent = [appender.post(part(desk.enqueue()))]
    while appender.idle or appender._waiting:
        await asyncio.sleep(0)
    sent += [appender.post(part(desk.enqueue())) for _ in range(3)]
    await asyncio.sleep(0)
    assert [len(appender._flying), len(appender._following), len(appender._waiting)] == [1, 2, 1]
    return sent


async def test_a_lost_answer_is_found_in_the_log(database: str, tmp_path: Path) -> None:
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        jobs = [desk.enqueue() for _ in range(5)]
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*jobs))
        assert proxy.swallowed.is_set()
        assert outcome.positions["n"] == [1, 2, 3, 4, 5]
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*map(desk.start, jobs)))
        assert [(job.index, job.token) for job in outcome.started] == [(i, i + 6) for i in range(5)]
        assert outcome.started[0].body == b"{}"
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*map(complete, outcome.started), desk.start(jobs[0])))
        assert set(outcome.refused) == {("s", 0)}
        await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(15,)]
    assert_intact(database)


async def test_an_append_that_is_heard_after_the_log_said_no_does_nothing(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands were sent again meanwhile. Records and starts have no key that would tell."""
    monkeypatch.setattr(log_module, "_SILENCE", 0.5)
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        jobs = [desk.enqueue(), desk.enqueue()]
        await appender.submit(part(*jobs))
        for commands in (part(desk.enqueue()), part(desk.start(jobs[0])), Part(records=[_scaled()])):
            connection, slow = appender.log._connection, proxy.links[-1]
            assert connection is not None
            pid = connection.info.backend_pid
            slow.stall()
            outcome = await appender.submit(commands)
            assert not outcome.refused
            slow.go_on()
            while rows(database, f"select from pg_stat_activity where pid = {pid}"):
                await asyncio.sleep(0.02)
            assert rows(database, "select max(position) from hivelog.events") == [(outcome.head,)]
        await appender.stop()
    types = "select array_agg(type::text order by position) from hivelog.events"
    assert rows(database, types) == [(["enqueued"] * 3 + ["started", "scaled"],)]
    assert rows(database, "select count(*) from hivelog.void_batches") == [(3,)]
    assert_intact(database)


async def test_what_was_decided_in_another_epoch_is_turned_away(database: str) -> None:
    desk, appender = Desk(database), Appender(Log(database))
    await appender.start()
    old = part(desk.enqueue())
    old.epoch = appender.log.epoch + 1
    with pytest.raises(EpochChanged):
        await appender.submit(old)
    assert not (await appender.submit(part(desk.enqueue()))).refused
    await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(1,)]


def _scaled() -> Record:
    return Record("00000000-0000-0000-0000-000000000001", "scaled", 1)


async def test_an_outage_fails_the_impatient_and_keeps_the_patient(database: str, tmp_path: Path) -> None:
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        job = desk.enqueue()
        await appender.submit(part(job))
        started = (await appender.submit(part(desk.start(job)))).started[0]
        proxy.cut(refuse=True)
        held = asyncio.ensure_future(appender.submit(part(complete(started), patient=True)))
        with pytest.raises(DatabaseUnavailable):
            await appender.submit(part(desk.enqueue()))
        assert not held.done()
        proxy.restore()
        assert not (await held).refused
        await appender.submit(part(desk.enqueue()))
        await appender.stop()
    assert_intact(database)


async def test_a_full_queue_of_commands_refuses_more(database: str) -> None:
    desk = Desk(database)
    appender = Appender(Log(database), max_waiting=10)
    await appender.start()
    waiting = [appender.post(part(desk.enqueue())) for _ in range(10)]
    with pytest.raises(Overloaded):
        appender.post(part(desk.enqueue()))
    await asyncio.gather(*waiting)
    await appender.submit(part(desk.enqueue()))
    await appender.stop()


async def test_append_refuses_to_run_inside_a_transaction_that_wrote(database: str) -> None:
    log = Log(database)
    await log.open()
    assert log._connection is not None
    await log._connection.execute("begin")
    await log._connection.execute("insert into hivelog.job_types (name) values ('x')")
    with pytest.raises(psycopg.Error, match="READ COMMITTED"):
        await log.append([part(Desk(database).enqueue())])
    await log.close()


async def test_a_poisoned_part_fails_alone(database: str, appender: Appender) -> None:
    desk = Desk(database)
    good, bad = desk.enqueue(), desk.enqueue()
    bad.spec = b"{not json"
    outcomes = await asyncio.gather(
        *(appender.submit(part(job)) for job in (good, bad, desk.enqueue())), return_exceptions=True
    )
    assert [isinstance(outcome, psycopg.Error) for outcome in outcomes] == [False, True, False]
    assert_intact(database)
