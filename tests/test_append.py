"""The append: order, guards, refusals, lost answers. Against a real server."""

from __future__ import annotations

import asyncio
import random

import msgspec
import psycopg
import pytest
from hivelog.events.appender import Appender
from hivelog.events.batch import End, IdempotencyKey, Part
from hivelog.events.log import Log

from .batches import Desk, complete, part
from .intact import assert_intact, rows


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


async def test_append_refuses_to_run_inside_a_transaction_that_wrote(database: str) -> None:
    log = Log(database)
    await log.open()
    assert log._connection is not None
    await log._connection.execute("begin")
    await log._connection.execute("insert into hivelog.job_types (name) values ('x')")
    with pytest.raises(psycopg.Error, match="READ COMMITTED"):
        await log.append([part(Desk(database).enqueue())])
    await log.close()
