"""What helps with a list: counts a state, names of fields, the end of an id, what people did, published schemas."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hivelog.projections import job_counts, jobs
from hivelog.projections.jobs import STATUSES

from .test_web_auth import token
from .web_world import World, served


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
async def world(
    database: str, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path, encryption_enabled=request.param) as running:
        yield running


async def get(world: World, path: str, **query: Any) -> Any:
    answer = await world.client.get(path, params=query)
    assert answer.status_code == 200, (path, query, answer.text)
    return answer.json()


def limited(world: World, *queues: str) -> httpx.AsyncClient:
    """Somebody who may read these queues only."""
    database = world.services.settings.database_url
    assert database is not None
    return httpx.AsyncClient(base_url=world.base, headers=token(database, ["read"], list(queues)))


async def some(world: World) -> list[str]:
    """Jobs of all sorts; three ended. Ids."""
    made = []
    for number in range(12):
        tags, source = (["vip"] if number % 3 == 0 else []), ("shop" if number % 2 else "app")
        more = {"scheduled_for": "2099-01-01T00:00:00Z"} if number == 11 else {}
        queue = "reports" if number > 8 else "default"
        made.append((await world.enqueue(queue, tags=tags, source=source, correlation_id=f"c{number % 4}", **more))["id"])
    for job in made[:3]:
        assert (await world.client.post(f"/job/{job}/cancel")).status_code == 200
    return made


async def test_counts_are_those_of_the_lists(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await some(world)
    head = await world.head()
    asked: list[dict[str, str]] = [
        {}, {"queue": "reports"}, {"tag": "vip"}, {"source": "shop"}, {"correlation_id": "c1"}, {"q": "to:ann"},
        {"q": "to:ann", "queue": "default", "tag": "vip"}, {"type": "mail"}, {"type": "none"}, {"fingerprint": "x"},
        {"until": "2020-01-01T00:00:00Z"}, {"tag": "vip", "source": "app"},
    ]  # fmt: skip
    for query in asked:
        found = await get(world, "/jobs/counts", after_position=head, **query)
        assert found["more"] == []
        listed = Counter(job["status"] for job in (await get(world, "/jobs", limit=500, **query))["jobs"])
        assert found["counts"] == {status: listed[status] for status in STATUSES}, query
    async with limited(world, "reports") as other:
        assert (await other.get("/jobs/counts")).json()["counts"]["queued"] == 2
        assert (await other.get("/jobs/counts?queue=default")).status_code == 404
    monkeypatch.setattr(job_counts, "COUNTED", 2)
    monkeypatch.setattr(job_counts, "_LOOKED_AT", 4)
    bounded = await get(world, "/jobs/counts")
    assert (bounded["counts"]["queued"], bounded["counts"]["pending"], bounded["more"]) == (2, 1, ["queued", "cancelled"])
    assert "queued" in (await get(world, "/jobs/counts", q="to:ann"))["more"]
    assert (await world.client.get("/jobs/counts?status=queued")).status_code == 400
    head = await world.head()
    assert await get(world, "/jobs/counts", at=head) == bounded
    for query in ({"q": "to:ann"}, {"tag": "vip"}, {"queue": "default", "source": "shop"}, {"worker": "nobody"}):
        then = await get(world, "/jobs/counts", at=head, **query)
        assert max(then["counts"].values()) <= 2
        assert "queued" in then["more"], query


async def test_names_of_fields(world: World) -> None:
    for payload in ({"user_id": 1, "order": {"id": 7, "Total": 3}}, {"user_id": 2, "note": None}, [1], "text"):
        await world.client.post("/queue/default/jobs", json={"type": "mail", "payload": payload})
    await world.client.post("/queue/reports/jobs", json={"type": "r", "payload": {"user_name": "x"}})
    odd = [(await world.enqueue("default"))["id"] for _ in range(3)]
    await get(world, "/jobs", after_position=await world.head())
    async with world.services.pool.connection() as connection:
        for job, body in zip(odd, (b'"\xff"', b"[" * 100_000, b"{"), strict=True):  # as another program may have left it
            await connection.execute("update hivelog.vault set body = %s where job = %s", (body, job))
    names = [field["path"] for field in (await get(world, "/fields"))["fields"]]
    assert names == ["user_id", "order.Total", "order.id", "user_name"]
    asked = (await get(world, "/fields", prefix="ORDER.t"))["fields"]
    assert asked == [{"path": "order.Total", "jobs": 1}]
    assert [one["path"] for one in (await get(world, "/fields", prefix="user", limit=1))["fields"]] == ["user_id"]
    async with limited(world, "reports") as other:
        assert [one["path"] for one in (await other.get("/fields")).json()["fields"]] == ["user_name"]


async def test_a_job_is_found_by_the_end_of_its_id(world: World) -> None:
    made = await some(world)
    job = made[4]
    head = await world.head()
    for query in ({}, {"queue": "default"}, {"q": "to:ann"}, {"status": "queued"}):
        found = await get(world, "/jobs", id=job[-8:].upper(), after_position=head, **query)
        assert [one["id"] for one in found["jobs"]] == [job], query
    for query in ({"queue": "reports"}, {"q": "to:ben"}, {"status": "failed"}):
        assert (await get(world, "/jobs", id=job[-8:], **query))["jobs"] == []
    assert (await get(world, "/jobs/counts", id=job[-8:]))["counts"]["queued"] == 1
    for bad in ("12345", "1234567g", "'; drop--"):
        refused = await world.client.get("/jobs", params={"id": bad})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field")


async def test_an_erased_job_is_still_found_by_its_id(world: World) -> None:
    job = (await some(world))[0]
    assert (await world.client.delete(f"/job/{job}/payload")).status_code < 300
    head = await world.head()
    assert (await get(world, "/jobs", q="to:ann", id=job[-8:], after_position=head))["jobs"] == []
    (found,) = (await get(world, "/jobs", id=job[-8:]))["jobs"]
    assert (found["id"], found["erased"]) == (job, True)


async def test_what_people_did(world: World) -> None:
    begun = await world.head()
    job = (await some(world))[0]
    await world.client.post("/queue/default/pause", json={"reason": "disk"})
    await world.client.post("/queue/reports/pause", json={})
    await world.client.post("/queue/default/resume", json={})
    found = await get(world, "/events", kind="operator", after=begun)
    assert [event["type"] for event in found["events"]] == ["resumed", "paused", "paused", *["cancelled"] * 3]
    assert found["events"][-1]["job"] == job
    first = await get(world, "/events", kind="operator", limit=2)
    assert first["next"] == first["events"][-1]["position"]
    rest = await get(world, "/events", kind="operator", limit=2, before=first["next"])
    assert first["events"] + rest["events"] == found["events"][:4]
    later = await get(world, "/events", kind="operator", after=found["events"][1]["position"])
    assert [event["type"] for event in later["events"]] == ["resumed"]
    assert len((await get(world, "/events", kind="operator", type="paused", queue="reports"))["events"]) == 1
    assert len((await get(world, "/events", kind="operator", actor="token:nobody"))["events"]) == 0
    lines = (await world.client.get("/events?kind=operator&format=ndjson&type=paused,resumed,cancelled")).text.splitlines()
    assert len(lines) == 6
    for bad in ("kind=robot", "before=5", f"kind=operator&job={job}", "kind=operator&before=0"):
        assert (await world.client.get(f"/events?{bad}")).status_code == 400, bad


async def test_published_schemas(world: World) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    assert (await get(world, "/workers/schemas"))["schemas"] == []
    await world.session(schemas={"mail": schema})
    world.services.schemas._renewal.forget()
    assert (await get(world, "/workers/schemas"))["schemas"] == [
        {"type": "mail", "queues": ["default"], "schema": schema}
    ]
    for query in ({"queue": "reports"}, {"type": "sms"}):
        assert (await get(world, "/workers/schemas", **query))["schemas"] == []
    async with limited(world, "reports") as other:
        assert (await other.get("/workers/schemas")).json()["schemas"] == []
        assert (await other.get("/workers/schemas?queue=default")).status_code == 404


def test_each_way_has_its_index() -> None:
    ways = {
        job_counts._way(jobs.Filter(queues=[1], **more))
        for more in ({}, {"search": "x"}, {"tag": "x"}, {"correlation": "x"}, {"fingerprint": "x", "type": 1, "started": 1})
    }  # fmt: skip
    assert ways == {"range", "search", "tag", "correlation", "fingerprint"}
