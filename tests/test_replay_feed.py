"""The past through the live feed: the same messages, in their rhythm, then the present or an end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets
from simulated_clock import Clock

from .test_stream import FEED, Message, Stream
from .web_world import TOKEN, World, served


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def played(world: World, **query: Any) -> list[Message]:
    """All messages of a replay that ends."""
    async with world.client.stream("GET", "/queue/status", params=query, headers=FEED) as response:
        assert response.status_code == 200
        stream = Stream(response)
        while await stream.next() is not None:
            pass
        return stream.seen


def updates(messages: list[Message]) -> list[tuple[str | None, Any]]:
    return [(message.id, message.data) for message in messages if message.is_job]


async def test_a_replay_is_what_the_feed_was(world: World) -> None:
    start = await world.head()
    async with world.client.stream("GET", "/queue/status", headers=FEED) as response:
        live = Stream(response)
        await live.until(lambda message: message.data is not None)
        jobs = [await world.enqueue("reports", priority=n) for n in range(4)]
        await world.client.post(f"/job/{jobs[0]['id']}/cancel")
        await world.enqueue("default")
        end = (await live.until(lambda m: m.is_job and m.data["data"]["queue"] == "default")).data["position"]
    again = await played(world, **{"from": start, "until": end, "speed": 1000})
    assert updates(again) == updates(live.seen)
    assert again[-2].event == "end"
    assert again[-2].data == {"position": end}
    stats = [m.data for m in again if m.event == "message" and m.data["type"] == "queue_stats"][-1]
    assert (stats["position"], stats["data"]["queues"]["reports"]["queued"]) == (end, 3)
    # A narrowed one, and one that comes back after a part of it.
    some = await played(world, **{"from": start, "until": end, "speed": 1000, "queue": "default"})
    assert [data["position"] for _, data in updates(some)] == [end]
    rest = await played(world, **{"from": start, "until": end, "speed": 1000, "last_event_id": f"1-{end - 1}"})
    assert [data["position"] for _, data in updates(rest)] == [end]


async def test_the_rhythm_is_that_of_the_log(clock: Clock, world: World) -> None:
    first = (await world.enqueue())["position"]
    clock.advance(120)
    last = (await world.enqueue())["position"]
    for speed, least, most in ((60, 1.8, 20.0), (1000, 0.0, 1.8)):
        began = time.monotonic()
        assert len(updates(await played(world, **{"from": first - 1, "until": last, "speed": speed}))) == 2
        assert least <= time.monotonic() - began < most, speed


async def test_a_replay_becomes_the_present(world: World) -> None:
    start = await world.head()
    past = await world.enqueue()
    url = f"ws://127.0.0.1:{world.port}/queue/status?from={start}&speed=50"
    async with websockets.connect(url, additional_headers={"authorization": f"Bearer {TOKEN}"}) as socket:
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "live":
            seen.append(msgspec.json.decode(await socket.recv()))
        now = await world.enqueue()
        while seen[-1]["position"] < now["position"]:
            seen.append(msgspec.json.decode(await socket.recv()))
    found = [message["data"]["id"] for message in seen if message["type"] == "job_update"]
    assert found == [past["id"], now["id"]]


async def test_what_cannot_be_replayed(world: World) -> None:
    for query in ({"from": "x"}, {"from": "1", "speed": "0"}, {"from": "1", "speed": "1001"}, {"speed": "2"},
                  {"from": "2", "until": "1"}, {"from": "999999"}, {"from": "1", "speed": "nan"}):  # fmt: skip
        answer = await world.client.get("/queue/status", params=query, headers=FEED)
        assert answer.status_code == 400, query
    assert (await world.client.get("/queue/status", params={"from": "1"})).status_code == 400
    assert world.services.places.total == 0
