"""Jobs announced to an idle worker while their enqueue is being written. Against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hivelog.broker import source as source_module
from hivelog.broker.announcements import Announcer
from hivelog.broker.connection import Redis
from hivelog.broker.engine import Engine
from hivelog.broker.packing import raw
from hivelog.broker.source import Source
from hivelog.events.batch import Enqueue, Part
from hivelog.events.names import Names
from hivelog.settings import Settings

from .batches import part
from .redis_rig import PREFIX, Rig, rig, until


@pytest.fixture
async def bench(database: str, redis_url: str) -> AsyncIterator[Rig]:
    async with rig(database, redis_url) as made:
        await made.claims.start()
        await until(lambda: made.raw.pubsub_numsub(PREFIX + b"wake")[0][1] == 1)
        yield made
        await made.claims.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An announcement stays one, however busy the machine."""
    monkeypatch.setattr(source_module, "_AWAIT", 60.0)


async def idle(bench: Rig, session: int | None = None, types: tuple[str, ...] = ("noop",)) -> Source:
    """A worker that has found nothing and waits."""
    made = Source(bench.claims, bench.feeder, Names(bench.pool))
    await made.serve(session or bench.desk.session, ["bench"], list(types))
    assert await made.take(2) is None
    return made


async def test_a_worker_hears_of_it_at_once(bench: Rig) -> None:
    """Its turn need not wait until those have woken who wait for news."""
    worker = await idle(bench)
    heard: list[bool] = []
    worker.on_announced(lambda: heard.append(worker.hungry))
    waiting = await waits(worker)
    assert await announce(bench, bench.desk.enqueue())
    await waiting
    assert heard == [True]


async def announce(bench: Rig, job: Enqueue) -> bool:
    told = await bench.redis.ask(
        "announce", queue=job.queue, type=job.type, priority=job.priority, job=raw(job.job)
    )
    return bool(told)


async def waits(worker: Source) -> asyncio.Task[None]:
    task = asyncio.create_task(worker.wait())
    await asyncio.sleep(0)
    return task


async def test_an_idle_worker_starts_a_job_that_nobody_has_claimed(bench: Rig) -> None:
    worker = await idle(bench)
    job = bench.desk.enqueue(priority=7)
    waiting = await waits(worker)
    Announcer(bench.redis, bench.feeder).announce(job)
    await waiting
    turn = await worker.take(2)
    assert turn is not None
    assert turn.claim is None
    assert turn.starts == [bench.desk.start(job)]
    await bench.append(part(job), feed=False)
    appended = await bench.append(turn)
    assert [started.job for started in appended.outcomes[0].started] == [job.job]


@pytest.mark.parametrize("late", ["enqueue", "start"])
async def test_redis_agrees_with_the_log_whichever_feed_comes_first(bench: Rig, late: str) -> None:
    job = bench.desk.enqueue()
    enqueued = await bench.append(part(job), feed=False)
    started = await bench.append(Part(starts=[bench.desk.start(job)]), feed=False)
    assert started.outcomes[0].started
    for each in (started, enqueued) if late == "enqueue" else (enqueued, started):
        bench.feeder.appended(each)
        await asyncio.sleep(0.02)
    await bench.fed()
    assert bench.held() == bench.ready() == {}


async def refused(bench: Rig, worker: Source) -> None:
    """The worker's next turn is the start of a job that the log does not have yet."""
    turn = await worker.take(2)
    assert turn is not None
    appended = await bench.append(turn)
    assert not appended.outcomes[0].started
    worker.answered(turn, appended.outcomes[0])


async def test_a_start_that_comes_too_early_is_sent_once_more(bench: Rig) -> None:
    worker = await idle(bench)
    job = bench.desk.enqueue()
    waiting = await waits(worker)
    assert await announce(bench, job)
    await waiting
    await refused(bench, worker)
    assert worker.hungry
    await bench.append(part(job), feed=False)
    turn = await worker.take(2)
    assert turn is not None
    appended = await bench.append(turn)
    assert [started.job for started in appended.outcomes[0].started] == [job.job]


async def test_where_both_come_too_early_the_job_runs_the_usual_way(bench: Rig) -> None:
    worker = await idle(bench)
    job = bench.desk.enqueue()
    waiting = await waits(worker)
    assert await announce(bench, job)
    await waiting
    await refused(bench, worker)
    await refused(bench, worker)
    assert await worker.take(2) is None  # nothing there yet: it will be woken
    waiting = await waits(worker)
    await bench.append(part(job))
    await waiting
    usual = await worker.take(2)
    assert usual is not None
    assert usual.starts == [bench.desk.start(job)]
    assert usual.claim is not None


async def test_the_others_look_a_little_later(bench: Rig) -> None:
    """The one that was told may be dead: then the job is theirs."""
    await idle(bench, session=bench.desk.session + 1000)
    other = Source(bench.claims, bench.feeder, Names(bench.pool))
    await other.serve(bench.desk.session, ["bench"], ["noop"])
    waiting = await waits(other)
    job = bench.desk.enqueue()
    assert await announce(bench, job)
    await bench.append(part(job))
    await bench.fed()
    await waiting
    turn = await other.take(2)
    assert turn is not None
    assert turn.starts == [bench.desk.start(job)]


async def test_nobody_is_told_who_does_not_wait_or_cannot_run_it(bench: Rig) -> None:
    job = bench.desk.enqueue()
    assert not await announce(bench, job)
    await idle(bench, types=("other",))
    assert not await announce(bench, job)
    await idle(bench)
    assert await announce(bench, job)
    assert not await announce(bench, job), "told once: it is not idle any more"


@pytest.mark.parametrize(("field", "value"), [("paused", 1), ("max", 5)])
async def test_not_where_the_log_must_decide(bench: Rig, field: str, value: int) -> None:
    await idle(bench)
    build = bench.raw.hget(PREFIX + b"at", "build")
    bench.raw.hset(PREFIX + build + b":s:%d" % bench.desk.queue, field, value)
    assert not await announce(bench, bench.desk.enqueue())


@pytest.mark.parametrize("forbidden", [False, True])
async def test_answers_stay_with_their_questions(bench: Rig, redis_url: str, forbidden: bool) -> None:
    """An announcement has none; also where the server may not be told so, and answers each."""
    bench.raw.acl_setuser("quiet", enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"],
                          commands=["-client|reply"] if forbidden else [])  # fmt: skip
    redis = Redis(redis_url + ("&" if "?" in redis_url else "?") + "username=quiet&password=any")
    try:
        assert await redis.command(b"ECHO", b"before") == b"before"
        for number in range(3):
            waiting = await waits(await idle(bench))
            Announcer(redis, bench.feeder).announce(bench.desk.enqueue())
            assert await redis.command(b"ECHO", number) == str(number).encode()
            await asyncio.wait_for(waiting, 10)
    finally:
        await redis.close()
        bench.raw.acl_deluser("quiet")


async def test_a_server_that_forgot_its_scripts_is_told_again(bench: Rig) -> None:
    announcer = Announcer(bench.redis, bench.feeder)
    for _ in range(2):
        waiting = await waits(await idle(bench))
        announcer.announce(bench.desk.enqueue())
        await asyncio.wait_for(waiting, 10)
        bench.raw.script_flush()


async def test_an_old_announcement_is_forgotten(bench: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_AWAIT", -1.0)
    worker = await idle(bench)
    waiting = await waits(worker)
    assert await announce(bench, bench.desk.enqueue())
    await waiting
    assert await worker.take(2) is None


async def test_an_enqueue_announces_its_job(database: str, redis_url: str) -> None:
    settings = Settings.load({"DATABASE_URL": database, "REDIS_URL": redis_url})
    async with Engine(settings, name="test") as engine:
        await engine.queues.create_default_queues()
        await engine.claims.start()
        await until(lambda: engine.feeder.available)
        session = await engine.sessions.open("w", ["default"], ["noop"], 2, host="h", pid=1)
        worker = Source(engine.claims, engine.feeder, engine.names)
        # Without a limit: where there is one, nothing is announced.
        await engine.queues.configure("default", {"max_workers": None}, actor="user:test")
        await worker.serve(session.id, ["default"], ["noop"])
        async with asyncio.timeout(10):
            while True:
                assert await worker.take(2) is None
                waiting = await waits(worker)
                accepted = await engine.enqueuer.enqueue("default", "noop", {}, actor="user:test")
                await waiting
                turn = await worker.take(2)
                assert turn is not None
                outcome = await engine.appender.submit(turn)
                worker.answered(turn, outcome)
                assert [started.job for started in outcome.started] == [accepted.job]
                if turn.claim is None:
                    break  # Redis may have heard of the missing limit only now
        await engine.claims.stop()
