"""The client on the log itself: enqueue, commands, reads, waiting, errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import hivelog
import pytest
from client_world import World, opened
from hivelog import Client
from simulated_clock import Clock
from web_world import until


@pytest.fixture
async def world(database: str, redis_url: str) -> AsyncIterator[World]:
    async with opened(database, redis_url) as world:
        yield world


async def test_an_enqueued_job_is_the_message_and_reads_the_same(world: World) -> None:
    client = world.client
    job = await client.enqueue("reports", "monthly", {"user": "u1"})
    assert (job.status, job.version, job.metadata.priority, job.metadata.timeout) == ("queued", 1, 200, 1800)
    read = await client.job(job.id)
    assert read.queue_position == 1
    read.queue_position = None
    assert msg(read) == msg(job)


async def test_options_are_kept_and_answered_like_the_log_has_them(world: World) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    job = await world.client.enqueue(
        "default", "mail", [1, 2], priority=7, max_retries=1, retry_delay=5, retry_backoff="exponential",
        timeout=None, scheduled_for=later, expires_at=later + timedelta(hours=1), source="app",
        correlation_id="c1", tags=["a", "b"],
    )  # fmt: skip
    assert job.status == "pending"
    assert job.metadata.tags == ("a", "b")
    assert msg(await world.client.job(job.id)) == msg(job)


async def test_a_delay_is_a_time_from_now(world: World) -> None:
    job = await world.client.enqueue("default", "mail", {}, delay=60)
    assert job.status == "pending"
    due = datetime.fromisoformat(job.metadata.scheduled_for or "")
    assert timedelta(seconds=50) < due - datetime.now(UTC) < timedelta(seconds=61)


async def test_the_same_key_answers_the_first_job(world: World) -> None:
    first = await world.client.enqueue("default", "mail", {"n": 1}, idempotency_key="k")
    again = await world.client.enqueue("default", "mail", {"n": 1}, idempotency_key="k")
    assert again.id == first.id
    with pytest.raises(hivelog.IdempotencyMismatch):
        await world.client.enqueue("default", "mail", {"n": 2}, idempotency_key="k")
    assert [job.id async for job in world.client.jobs()] == []  # projections do not run here
    assert len([event async for event in world.client.events(type="enqueued")]) == 1


async def test_many_at_once_keep_their_order_and_are_all_or_none(world: World) -> None:
    ids = await world.client.enqueue_many(
        [
            {"queue": "default", "type": "a", "payload": 1, "metadata": {"priority": 1}},
            ("default", "b", 2),
            ("default", "c", 3, {"tags": ["t"]}),
        ]
    )
    assert [(await world.client.job(id_)).type for id_ in ids] == ["a", "b", "c"]
    assert (await world.client.job(ids[0])).metadata.priority == 1
    with pytest.raises(hivelog.UnknownQueue) as caught:
        await world.client.enqueue_many([("default", "a", 1), ("nowhere", "b", 2)])
    assert caught.value.detail["index"] == 1
    assert len([event async for event in world.client.events(type="enqueued", limit=2)]) == 3


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("nowhere", "t", {}), {}, hivelog.UnknownQueue),
        (("default", "no spaces", {}), {}, hivelog.InvalidField),
        (("default", "t", object()), {}, hivelog.InvalidField),
        (("default", "t", {}), {"priority": -1}, hivelog.InvalidField),
        (("default", "t", {}), {"actor": "user:root"}, hivelog.InvalidField),
        (("default", "t", {}), {"scheduled_for": datetime(2030, 1, 1)}, hivelog.InvalidField),  # noqa: DTZ001
        (("default", "t", "x" * 2_000_000), {}, hivelog.TooLarge),
    ],
)
async def test_what_may_not_be_stored_is_refused_and_nothing_is_stored(
    world: World, arguments: tuple, options: dict, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await world.client.enqueue(*arguments, **options)
    assert isinstance(caught.value, hivelog.HivelogError)
    assert [event async for event in world.client.events(type="enqueued")] == []


async def test_commands_on_a_job(world: World) -> None:
    client = world.client
    job = await client.enqueue("default", "mail", {})
    assert (await client.reschedule(job.id, priority=9)).status == "queued"
    assert (await client.job(job.id)).metadata.priority == 9
    assert (await client.cancel(job.id, reason="not needed")).status == "cancelled"
    with pytest.raises(hivelog.AlreadyFinished):
        await client.cancel(job.id)
    assert (await client.retry(job.id, payload={"n": 2})).status == "queued"
    assert (await client.job(job.id)).payload == {"n": 2}
    with pytest.raises(hivelog.NotFinished):
        await client.retry(job.id)
    history = await client.history(job.id)
    assert [event.type for event in history.events] == ["enqueued", "rescheduled", "cancelled", "requeued"]
    assert history.events[2].reason == "not needed"
    assert history.events[0].payload == {}
    assert {event.actor for event in history.events} == {"client"}


@pytest.mark.parametrize("id_", ["0190163d-8694-739b-aea5-966c26f8ad91", "nonsense", "../queues", ""])
async def test_an_id_that_names_no_job(world: World, id_: str) -> None:
    for call in (world.client.job, world.client.history, world.client.cancel, world.client.wait):
        with pytest.raises(hivelog.NotFound):
            await call(id_)


async def test_queues_are_configured_paused_and_drained(world: World) -> None:
    client = world.client
    made = await client.configure("mails", priority=50, max_workers=2)
    assert (made.name, made.config["priority"], made.config["max_workers"]) == ("mails", 50, 2)
    await client.enqueue_many([("mails", "m", n) for n in range(3)])
    await client.pause("mails", reason="full disk")
    assert {queue.name: queue.paused for queue in await client.queues()}["mails"]
    stats = await client.stats("mails")
    assert (stats["queued"], stats["depth"], stats["paused"]) == (3, 3, True)
    await client.resume("mails")
    counted = await client.drain("mails", dry_run=True)
    assert (counted["matched"], counted["cancelled"]) == (3, 0)
    await client.enqueue("mails", "m", "later")
    assert (await client.drain("mails", position=counted["position"]))["cancelled"] == 3
    assert (await client.stats("mails"))["queued"] == 1
    with pytest.raises(hivelog.UnknownQueue):
        await client.pause("nowhere")


async def test_the_rest_of_the_reads(world: World) -> None:
    assert (await world.client.config())["max_message_size"] == 1_048_576
    assert (await world.client.workers())["total"] == 0
    assert await world.client.failures() == []


async def test_waiting_ends_when_the_job_does_for_all_who_wait(world: World) -> None:
    jobs = [await world.client.enqueue("default", "echo", n) for n in range(20)]
    waits = [asyncio.create_task(world.client.wait(job.id, timeout=20)) for job in jobs]
    waits.append(asyncio.create_task(world.client.wait(jobs[0].id, timeout=20)))
    await asyncio.sleep(0)
    async with world.working():
        done = await asyncio.gather(*waits)
    assert [job.result for job in done] == [*range(20), 0]
    assert {job.status for job in done} == {"completed"}
    assert (await world.client.wait(jobs[3].id)).result == 3


async def test_waiting_takes_failures_and_cancellations_for_ends(world: World) -> None:
    cancelled = await world.client.enqueue("default", "echo", 1)
    waiting = asyncio.create_task(world.client.wait(cancelled.id, timeout=20))
    await until(lambda: bool(world.client._backend._watcher._waiting))
    await world.client.cancel(cancelled.id)
    assert (await waiting).status == "cancelled"
    failing = await world.client.enqueue("default", "fail", 1, max_retries=0)
    async with world.working():
        ended = await world.client.wait(failing.id, timeout=20)
    assert ended.status == "failed"
    assert "told to fail" in (ended.error or "")


async def test_waiting_has_an_end(world: World) -> None:
    job = await world.client.enqueue("default", "echo", 1)
    with pytest.raises(hivelog.WaitTimeout) as caught:
        await world.client.wait(job.id, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)


async def test_without_a_database_it_says_so(redis_url: str) -> None:
    with pytest.raises(hivelog.Unavailable):
        await Client("postgresql://127.0.0.1:1/none", redis_url=redis_url).open()


def test_an_error_survives_pickling() -> None:
    import pickle

    error = hivelog.NotFound("no such job", {"id": "x"})
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.detail) == (hivelog.NotFound, "not_found", {"id": "x"})


def test_importing_the_package_brings_neither_server_nor_http() -> None:
    program = "import sys, hivelog; hivelog.Client; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "hivelog.client" in modules
    assert not {"starlette", "uvicorn", "httpx", "typer", "rich"} & set(modules)


def msg(job: hivelog.Job) -> dict:
    import msgspec

    return msgspec.to_builtins(job)


async def test_time_of_the_database_decides(world: World, clock: Clock) -> None:
    clock.advance(86_400)
    job = await world.client.enqueue("default", "mail", {}, scheduled_for=datetime.now(UTC) + timedelta(hours=1))
    assert job.status == "queued"
    assert (await world.client.job(job.id)).status == "queued"


def test_only_what_needs_a_server_is_not_answered_on_the_log_itself() -> None:
    """Two lists of endpoints are kept by hand; one that is missing here is a command that finds nothing there."""
    from hivelog.client import local
    from hivelog.web import routes

    here = {(each.method, each.path) for each in local._ENDPOINTS}
    there = {(each.method, each.path) for each in routes.ENDPOINTS}
    assert here <= there
    served_only = ("/audit/", "/health", "/login", "/logout", "/workers/", "/openapi.json", "/docs")
    others = {
        ("GET", "/"), ("GET", "/me"), ("GET", "/metrics"), ("GET", "/fields"), ("GET", "/incidents"), ("POST", "/jobs"),
        ("POST", "/queue/{queue}/jobs"),  # the client has a way of its own for both
    }  # fmt: skip
    assert {each for each in there - here if not each[1].startswith(served_only)} == others
