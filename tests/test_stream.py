"""The live feed: resume without a gap, narrowing, reset, bye, by SSE and WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
import websockets

from .web_world import BEARER, TOKEN, World, served, until

FEED = {**BEARER, "accept": "text/event-stream"}


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


class Message:
    """One event of the stream."""

    def __init__(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        self.id: str | None = fields.get("id")
        self.event: str = fields.get("event", "message")
        self.data: Any = msgspec.json.decode(fields["data"]) if "data" in fields else None

    @property
    def is_job(self) -> bool:
        return self.event == "message" and self.data["type"] == "job_update"


class Stream:
    """An open stream; `until` reads on until a message fits."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._chunks = response.aiter_text()
        self._rest = ""
        self.seen: list[Message] = []

    async def next(self) -> Message | None:
        """The next message, None at the end."""
        while True:
            block, found, rest = self._rest.partition("\n\n")
            if found:
                self._rest = rest
                message = Message(block)
                if message and (message.data is not None or message.event != "message"):
                    self.seen.append(message)
                    return message
                continue
            try:
                self._rest += await anext(self._chunks)
            except StopAsyncIteration:
                return None

    async def until(self, fits: Any, seconds: float = 10) -> Message:
        async with asyncio.timeout(seconds):
            while (message := await self.next()) is not None:
                if fits(message):
                    return message
        raise AssertionError("the stream ended")

    async def jobs(self, count: int) -> list[Message]:
        return [await self.until(lambda message: message.is_job) for _ in range(count)]


@contextlib.asynccontextmanager
async def stream(world: World, query: str = "", last: str | None = None) -> AsyncIterator[Stream]:
    headers = {**FEED, **({"last-event-id": last} if last else {})}
    async with (
        httpx.AsyncClient(base_url=world.base, headers=headers, timeout=20) as client,
        client.stream("GET", f"/queue/status{query}") as response,
    ):
        assert response.status_code == 200
        yield Stream(response)


async def test_a_stream_begins_with_statistics_and_tells_every_event_once(world: World) -> None:
    async with stream(world) as feed:
        assert feed.headers["content-type"].startswith("text/event-stream")
        assert feed.headers["x-accel-buffering"] == "no"
        assert feed.headers["cache-control"] == "no-store"
        stats = await feed.until(lambda m: m.data.get("type") == "queue_stats")
        assert set(stats.data["data"]["queues"]) >= {"default", "reports"}
        assert stats.id is None
        await feed.until(lambda m: m.data.get("type") == "worker_status")
        job = await world.enqueue(tags=["x"])
        [created] = await feed.jobs(1)
        assert created.id == f"1-{job['position']}"
        told = created.data["data"]
        assert (told["id"], told["queue"], told["type"], told["status"], told["version"]) == (
            job["id"], "default", "mail", "queued", 1,
        )  # fmt: skip
        assert told["metadata"] == job["metadata"]
        assert "payload" not in told
        session = await world.session()
        body = {"session": session, "claim_id": "c", "wait": 5}
        [leased] = (await world.client.post("/workers/claim", json=body)).json()["jobs"]
        error = {"type": "ValueError", "message": "no", "traceback": "line 1\nValueError: no"}
        item = {"token": leased["token"], "outcome": "failed", "error": error}
        await world.client.post("/workers/settle", json={"session": session, "items": [item]})
        started, failed = (message.data["data"] for message in await feed.jobs(2))
        assert (started["status"], started["worker_id"], started["attempt"]) == ("processing", "w", 1)
        assert (failed["status"], failed["error"]) == ("pending", "line 1\nValueError: no")
        assert failed["metadata"]["current_retry"] == 1
        changed = await feed.until(
            lambda m: m.data.get("type") == "queue_stats" and m.data["data"]["queues"]["default"]["pending"]
        )
        assert changed.data["data"]["queues"]["default"]["pending"] == 1


async def test_a_broken_stream_resumes_without_a_gap(world: World) -> None:
    """From the ring and, when nobody listened meanwhile, from pages of the log."""
    expected: list[str] = []
    seen: list[str] = []
    last: str | None = None
    for turn in range(4):
        async with stream(world, last=last) as feed:
            await feed.until(lambda m: m.data.get("type") == "queue_stats")
            for _ in range(5):
                expected.append(f"1-{(await world.enqueue())['position']}")
            missing = len(expected) - len(seen)
            already = [m.id for m in feed.seen if m.is_job]
            more = [m.id for m in await feed.jobs(missing - len(already))]
            seen += [str(identifier) for identifier in (*already, *more)]
            last = seen[-1]
        if turn % 2:
            items = [{"queue": "default", "type": "a", "payload": n} for n in range(700)]
            made = (await world.client.post("/jobs", json=items)).json()
            expected += [f"1-{made['position'] - 699 + n}" for n in range(700)]
    async with stream(world, last=last) as feed:
        seen += [str(m.id) for m in await feed.jobs(len(expected) - len(seen))]
    assert seen == expected


async def test_two_clients_at_different_places_share_the_ring(world: World) -> None:
    async with stream(world) as one, stream(world) as two:
        jobs = [await world.enqueue() for _ in range(3)]
        ids = [f"1-{job['position']}" for job in jobs]
        assert [m.id for m in await one.jobs(3)] == ids
        async with stream(world, last=ids[0]) as late:
            assert [m.id for m in await late.jobs(2)] == ids[1:]
        assert [m.id for m in await two.jobs(3)] == ids
        await until(lambda: world.services.hub.clients == 2)
    await until(lambda: world.services.hub.clients == 0)
    assert world.services.places.total == 0
    assert world.services.tail._subscribers == []  # nobody listens, nothing is read


async def test_ids_of_another_log_reset(world: World) -> None:
    for last in ("7-1", "1-999999", "x", "1-", "-1"):
        async with stream(world, last=last) as feed:
            reset = await feed.until(lambda m: m.event == "reset")
            assert reset.id is not None
            job = await world.enqueue()
            assert [m.id for m in await feed.jobs(1)] == [f"1-{job['position']}"]


async def test_streams_are_narrowed(world: World) -> None:
    async with stream(world, "?queue=reports&types=big,small") as feed:
        stats = await feed.until(lambda m: m.data.get("type") == "queue_stats")
        assert list(stats.data["data"]["queues"]) == ["reports"]
        await world.enqueue("default", "big")
        await world.enqueue("reports", "other")
        wanted = await world.enqueue("reports", "small")
        assert [m.data["data"]["id"] for m in await feed.jobs(1)] == [wanted["id"]]
    watched = await world.enqueue()
    async with stream(world, f"?job={watched['id']}", last=f"1-{watched['position'] - 1}") as feed:
        await world.enqueue()
        await world.client.post(f"/job/{watched['id']}/cancel")
        assert [m.data["data"]["status"] for m in await feed.jobs(2)] == ["queued", "cancelled"]


async def test_a_stop_says_bye(database: str, redis_url: str, tmp_path: Path) -> None:
    async with served(database, redis_url, tmp_path) as world, stream(world) as feed:
        await feed.until(lambda m: m.data.get("type") == "queue_stats")
        world.application.stop_streams()
        await feed.until(lambda m: m.event == "bye", 5)
        assert await feed.next() is None


async def test_a_snapshot_without_accept(world: World) -> None:
    await world.enqueue()
    found = (await world.client.get("/queue/status")).json()
    assert found.keys() == {"type", "data", "timestamp", "position"}
    assert found["type"] == "queue_stats"
    assert found["data"]["queues"]["default"]["depth"] == 1


async def test_too_many_streams_are_refused(world: World) -> None:
    world.services.places._per_caller = 1
    async with stream(world):
        answer = await world.client.get("/queue/status", headers=FEED)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    await until(lambda: world.services.places.total == 0)


async def test_a_websocket_tells_the_same_and_resumes(world: World) -> None:
    url = f"ws://127.0.0.1:{world.port}/queue/status"
    first = await world.enqueue()

    async def read(socket: Any, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while len(found) < count:
                message = msgspec.json.decode(await socket.recv())
                if message["type"] == "job_update":
                    found.append(message)
        return found

    async with websockets.connect(url, additional_headers=BEARER) as socket:
        # The job enqueued before may be told too: the tail has perhaps not come to it yet.
        kinds: set[str] = set()
        async with asyncio.timeout(10):
            while not kinds >= {"queue_stats", "worker_status"}:
                kinds.add(msgspec.json.decode(await socket.recv())["type"])
        assert kinds <= {"queue_stats", "worker_status", "job_update"}
        job = await world.enqueue()
        told = (await read(socket, 1))[0]
        while told["data"]["id"] == first["id"]:
            told = (await read(socket, 1))[0]
        assert told["data"]["id"] == job["id"]
        assert told["position"] == job["position"]
    last = f"1-{first['position'] - 1}"
    async with websockets.connect(f"{url}?last_event_id={last}", additional_headers=BEARER) as socket:
        assert [m["data"]["id"] for m in await read(socket, 2)] == [first["id"], job["id"]]
    async with websockets.connect(f"{url}?last_event_id=9-1", additional_headers=BEARER) as socket:
        async with asyncio.timeout(10):
            assert msgspec.json.decode(await socket.recv())["type"] == "reset"


async def test_a_websocket_needs_a_credential_and_an_origin(world: World) -> None:
    url = f"ws://127.0.0.1:{world.port}/queue/status"
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url)
    async with httpx.AsyncClient(base_url=world.base) as client:
        await client.post("/login", json={"token": TOKEN})
        cookie = {"cookie": f"hivelog_session={client.cookies['hivelog_session']}"}
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(url, additional_headers={**cookie, "origin": "https://evil.example"})
    async with websockets.connect(url, additional_headers={**cookie, "origin": world.base}) as socket:
        async with asyncio.timeout(10):
            await socket.recv()


async def test_a_stream_ends_with_its_session(
    world: World, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivelog.web.stream.RECHECK", 0.1)
    async with httpx.AsyncClient(base_url=world.base, timeout=20) as client:
        await client.post("/login", json={"token": TOKEN})
        async with client.stream("GET", "/queue/status", headers={"accept": "text/event-stream"}) as response:
            feed = Stream(response)
            await feed.until(lambda m: m.data.get("type") == "queue_stats")
            with psycopg.connect(database, autocommit=True) as conn:
                conn.execute("delete from hivelog.logins")
            await feed.until(lambda m: m.event == "bye", 10)
