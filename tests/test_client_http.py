"""The client over HTTP, against a server of its own: the same methods, answers and errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hivelog
import httpx
import msgspec
import pytest
from client_world import World, opened
from hivelog import Client
from hivelog.client.over_http import OverHttp
from web_world import TOKEN, served


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """`client` speaks HTTP to a `serve`; workers are direct, as always."""
    async with (
        opened(database, redis_url) as direct,
        served(database, redis_url, tmp_path) as server,
        Client(server.base, token=TOKEN) as client,
    ):
        yield World(direct.settings, client, direct.client)


async def test_both_clients_read_the_same(world: World) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    made = await world.client.enqueue(
        "reports", "monthly", {"user": "ü"}, priority=3, tags=["a"], scheduled_for=later
    )
    assert (made.status, made.metadata.priority, made.metadata.tags) == ("pending", 3, ("a",))
    assert world.other is not None
    theirs, ours = await world.other.job(made.id), await world.client.job(made.id)
    assert msgspec.to_builtins(theirs) == msgspec.to_builtins(ours)
    assert (await world.client.history(made.id)).events == (await world.other.history(made.id)).events
    assert await world.client.queues() == await world.other.queues()
    assert await world.client.config() == await world.other.config()


async def test_a_whole_life_over_http(world: World) -> None:
    client = world.client
    ids = await client.enqueue_many([("default", "echo", n) for n in range(5)])
    waits = [asyncio.create_task(client.wait(id_, timeout=30)) for id_ in ids]
    async with world.working():
        assert [job.result for job in await asyncio.gather(*waits)] == list(range(5))
    last = (await client.history(ids[-1])).events[-1]
    assert (last.type, last.result) == ("completed", 4)
    listed = [job.id async for job in client.jobs(queue="default", status="completed", limit=2)]
    for _ in range(200):
        if len(listed) == 5:
            break
        await asyncio.sleep(0.05)
        listed = [job.id async for job in client.jobs(queue="default", status="completed", limit=2)]
    assert sorted(listed) == sorted(ids)
    events = [event async for event in client.events(limit=3, type="started,completed")]
    assert len(events) == 10
    assert [event.position for event in events] == sorted(event.position for event in events)


async def test_keys_and_commands(world: World) -> None:
    client = world.client
    first = await client.enqueue("default", "echo", 1, idempotency_key="k")
    assert (await client.enqueue("default", "echo", 1, idempotency_key="k")).id == first.id
    with pytest.raises(hivelog.IdempotencyMismatch):
        await client.enqueue("default", "echo", 2, idempotency_key="k")
    assert (await client.reschedule(first.id, priority=9)).status == "queued"
    assert (await client.cancel(first.id, reason="no")).status == "cancelled"
    with pytest.raises(hivelog.AlreadyFinished):
        await client.cancel(first.id)
    assert (await client.retry(first.id)).status == "queued"
    await client.pause("default", reason="lunch")
    assert (await client.stats("default"))["paused"]
    await client.resume("default")
    assert (await client.drain("default"))["cancelled"] == 1
    assert (await client.configure("new-one", priority=5)).config["priority"] == 5
    assert await client.failures() == []
    assert (await client.workers())["total"] == 0
    assert (await client.scale("default", 7))["desired"] == 7
    with pytest.raises(hivelog.UnknownQueue):
        await client.scale("nowhere", 1)


async def test_errors_are_the_same_family(world: World) -> None:
    client = world.client
    with pytest.raises(hivelog.UnknownQueue):
        await client.enqueue("nowhere", "echo", 1)
    with pytest.raises(hivelog.InvalidField):
        await client.enqueue("default", "echo", 1, priority=-1)
    with pytest.raises(hivelog.InvalidField):
        await client.enqueue("default", "echo", object())
    for id_ in ("0190163d-8694-739b-aea5-966c26f8ad91", "nonsense", "../queues"):
        with pytest.raises(hivelog.NotFound):
            await client.job(id_)
        with pytest.raises(hivelog.NotFound):
            await client.wait(id_, timeout=5)


async def test_a_token_that_is_none(world: World) -> None:
    assert isinstance(world.client._backend, OverHttp)
    async with Client(world.client._backend._url, token="wrong-token-0123456789") as stranger:
        with pytest.raises(hivelog.Unauthenticated):
            await stranger.queues()


class Unreliable(httpx.AsyncBaseTransport):
    """Answers 503 or loses the connection as told, then lets the request through."""

    def __init__(self, *troubles: str) -> None:
        self.troubles, self.sent = list(troubles), 0
        self._real = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "refused":
            raise httpx.ConnectError("refused", request=request)
        if trouble in ("overloaded", "database_unavailable"):
            return httpx.Response(503, json={"error": "busy", "code": trouble, "detail": {}})
        self.sent += 1
        answer = await self._real.handle_async_request(request)
        if trouble == "lost":
            await answer.aclose()
            raise httpx.ReadError("lost", request=request)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


@contextlib.asynccontextmanager
async def unreliable(world: World, *troubles: str) -> AsyncIterator[tuple[Client, Unreliable]]:
    assert isinstance(world.client._backend, OverHttp)
    transport = Unreliable(*troubles)
    client = Client(world.client._backend._url, token=TOKEN)
    client._own = OverHttp(world.client._backend._url, TOKEN, transport=transport)
    async with client:
        yield client, transport


async def test_what_is_harmless_is_repeated(world: World) -> None:
    async with unreliable(world, "lost", "database_unavailable", "lost", "refused") as (client, transport):
        job = await client.enqueue("default", "echo", 1, idempotency_key="k")
        assert transport.sent == 3
        assert (await client.job(job.id)).status == "queued"
    assert len([event async for event in world.client.events(type="enqueued")]) == 1


async def test_what_may_have_been_done_is_not_repeated(world: World) -> None:
    async with unreliable(world, "overloaded", "refused", "lost") as (client, transport):
        with pytest.raises(hivelog.Unavailable):
            await client.enqueue("default", "echo", 1)
        assert transport.sent == 1
    assert len([event async for event in world.client.events(type="enqueued")]) == 1


async def test_repeating_has_an_end(world: World) -> None:
    async with unreliable(world, *["database_unavailable"] * 20) as (client, transport):
        with pytest.raises(hivelog.Unavailable):
            await client.queues()
        assert transport.sent == 0
        assert len(transport.troubles) == 15


async def test_waiting_outlives_a_feed_that_breaks(world: World) -> None:
    job = await world.client.enqueue("default", "echo", 1)
    async with unreliable(world, "lost", "", "refused", "lost") as (client, _):
        waiting = asyncio.create_task(client.wait(job.id, timeout=20))
        async with world.working():
            assert (await waiting).result == 1
