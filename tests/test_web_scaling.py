"""`POST /workers/start|stop|scale`: who may, what is refused, what is written, and who is told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from hivelog.events.types import Scaled
from psycopg.types.json import Jsonb

from .test_web_auth import token
from .web_world import World, served


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def post(world: World, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return await world.client.post(f"/workers/{path}", json=body, headers=headers)


async def done(world: World, path: str, **body: Any) -> dict[str, Any]:
    answer = await post(world, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def scaling(world: World, queue: str = "reports") -> dict[str, Any]:
    status = (await world.client.get("/workers/status")).json()
    [row] = [row for row in status["scaling"] if row["queue"] == queue]
    return row


async def test_start_stop_scale_and_back(world: World) -> None:
    assert await scaling(world) == {
        "queue": "reports", "desired": 2, "running": 0, "min": 2, "max": 5, "pinned": False, "reason": None,
    }  # fmt: skip
    first = await done(world, "start", queue="reports")
    assert (first["desired"], first["running"]) == (3, 0)
    assert "no supervisor runs for it" in first["message"]
    assert (await done(world, "stop", queue="reports"))["desired"] == 2
    assert (await done(world, "scale", queue="reports", workers=0))["desired"] == 0
    refused = await post(world, "stop", {"queue": "reports"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await scaling(world))["pinned"]
    back = await done(world, "scale", queue="reports", workers="auto")
    assert back["desired"] == 2  # not below the minimum
    assert back["message"].startswith("Queue reports scales by itself again, from 2 workers")
    assert not (await scaling(world))["pinned"]
    events = (await world.client.get("/events", params={"type": "scaled"})).json()["events"]
    assert [event["data"]["workers"] for event in events] == [3, 2, 0, 2]
    assert {event["actor"] for event in events} == {"token:admin"}
    assert all(event["data"]["reason"] and event["queue"] == "reports" for event in events)
    assert first["position"] == events[0]["position"]


async def test_a_scale_past_max_workers_raises_it_in_the_same_event_and_says_so(world: World) -> None:
    before = await world.head()
    answer = await done(world, "scale", queue="reports", workers=5)
    assert "max_workers raised to 5" in answer["message"]
    assert answer["position"] == before + 1 == await world.head()
    queue = (await world.client.get("/queue/reports")).json()
    assert (queue["config"]["max_workers"], queue["position"]) == (5, answer["position"])
    # Redis knows too: five jobs may be claimed, where three could.
    for _ in range(6):
        await world.enqueue("reports")
    session = await world.session(queues=["reports"])
    body = {"session": session, "claim_id": "c1", "limit": 10, "wait": 5}
    claimed = (await world.client.post("/workers/claim", json=body)).json()["jobs"]
    assert len(claimed) == 5
    assert "raised" not in (await done(world, "scale", queue="reports", workers=4))["message"]
    assert (await world.client.get("/queue/reports")).json()["config"]["max_workers"] == 5


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("scale", {"queue": "reports", "workers": -1}, 422, "invalid_field"),
        ("scale", {"queue": "reports", "workers": 1001}, 422, "invalid_field"),
        ("scale", {"queue": "reports", "workers": 2.5}, 422, "invalid_field"),
        ("scale", {"queue": "reports", "workers": "many"}, 422, "invalid_field"),
        ("scale", {"queue": "reports", "workers": None}, 422, "invalid_field"),
        ("scale", {"queue": "reports", "workers": True}, 422, "invalid_field"),
        ("scale", {"queue": "reports"}, 422, "invalid_field"),
        ("scale", {"queue": "nowhere", "workers": 1}, 404, "unknown_queue"),
        ("scale", {"queue": "x" * 100_000, "workers": 1}, 413, "too_large"),
        ("start", {}, 422, "invalid_field"),
        ("start", {"queue": "nowhere"}, 404, "unknown_queue"),
        ("start", {"queue": "reports", "many": 1}, 422, "invalid_field"),
        ("stop", {}, 422, "invalid_field"),
        ("stop", {"queue": "reports", "session": str(uuid4())}, 422, "invalid_field"),
        ("stop", {"session": str(uuid4())}, 404, "not_found"),
        ("stop", {"session": "no uuid"}, 404, "not_found"),
        ("stop", [], 422, "invalid_field"),
    ],
)
async def test_what_is_refused_changes_nothing(
    world: World, path: str, body: Any, status: int, code: str
) -> None:
    before = await world.head()
    answer = await post(world, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await world.head() == before


async def test_only_operators_and_only_of_queues_they_see(world: World, database: str) -> None:
    body = {"queue": "reports"}
    for scope in ("read", "produce", "work"):
        assert (await post(world, "start", body, token(database, [scope]))).status_code == 403
    narrow = token(database, ["operate", "read"], ["default"])
    for path, more in (("start", {}), ("stop", {}), ("scale", {"workers": 1})):
        assert (await post(world, path, {**body, **more}, narrow)).json()["code"] == "unknown_queue"
    assert (await post(world, "start", {"queue": "default"}, narrow)).status_code == 200
    session = await world.session(queues=["reports"])
    assert (await post(world, "stop", {"session": session}, narrow)).status_code == 404
    seen = (await world.client.get("/workers/status", headers=narrow)).json()
    assert [row["queue"] for row in seen["scaling"]] == ["default"]
    async with httpx.AsyncClient(base_url=world.base) as anybody:
        assert (await anybody.post("/workers/start", json=body)).status_code == 401


def supervisor(database: str, **processes: list[int]) -> None:
    """A living one, as it would say of itself."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into hivelog.supervisors values (%s, 'one', %s, %s, null, null, %s, hivelog.now())",
            (uuid4(), socket.gethostname(), os.getpid(), Jsonb(processes)),
        )


async def test_one_worker_is_stopped_only_if_a_supervisor_keeps_it(world: World, database: str) -> None:
    session = await world.session(queues=["reports"])
    alone = await post(world, "stop", {"session": session})
    assert (alone.status_code, alone.json()["code"]) == (409, "conflict")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "update hivelog.sessions set host = %s, pid = 77 where session = %s",
            (socket.gethostname(), session),
        )
    supervisor(database, reports=[76, 77], default=[78])
    answer = await done(world, "stop", session=session)
    assert (answer["desired"], answer["running"]) == (1, 2)
    [event] = (await world.client.get("/events", params={"type": "scaled"})).json()["events"]
    assert event["data"] == {
        "workers": 1, "reason": "w stopped by hand", "pinned": True, "session": session,
    }  # fmt: skip


async def test_metrics_and_status_tell_what_supervisors_keep_while_they_live(
    world: World, database: str
) -> None:
    supervisor(database, reports=[1, 2])
    text = (await world.client.get("/metrics")).text
    assert 'hivelog_workers_running{queue="reports"} 2.0' in text
    assert 'hivelog_workers_desired{queue="notifications"} 5.0' in text
    assert "hivelog_supervisors 1.0" in text
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update hivelog.supervisors set last_seen = last_seen - interval '10 s'")
    assert "hivelog_supervisors 0.0" in (await world.client.get("/metrics")).text
    assert (await scaling(world))["running"] == 0


async def test_two_that_decide_at_once_do_not_both(world: World) -> None:
    engine = world.services.engine
    scales = {scale.queue: scale for scale in await engine.scales._scales.all()}
    await done(world, "scale", queue="reports", workers=4)
    assert await engine.scales._scales.change(scales["reports"], Scaled(3), "leader") is None
    assert (await scaling(world))["desired"] == 4


async def test_the_document_has_them(world: World) -> None:
    paths = (await world.client.get("/openapi.json")).json()["paths"]
    for name in ("start", "stop", "scale"):
        operation = paths[f"/workers/{name}"]["post"]
        assert operation["description"] == "Needs the scope `operate`."
        assert operation["requestBody"]
