"""A queue that is deleted is still called by its name, in every story and list of its jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hivelog.web.job_filter import with_jobs

from .test_actions import act
from .test_web_auth import token
from .web_world import World, served

NAME = "letters"


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def deleted(world: World) -> tuple[str, int]:
    """A job that completed in a queue that then was deleted, and the position before that."""
    assert (await world.client.put(f"/queue/{NAME}", json={"max_retries": 1})).status_code == 200
    job = (await world.enqueue(NAME))["id"]
    session = await world.session(queues=[NAME])
    claim = {"session": session, "claim_id": "1", "types": ["mail"], "queues": [NAME], "limit": 1, "wait": 5}
    (claimed,) = (await world.client.post("/workers/claim", json=claim)).json()["jobs"]
    end = {"session": session, "items": [{"token": claimed["token"], "outcome": "completed", "result": 1}]}
    (settled,) = (await world.client.post("/workers/settle", json=end)).json()["items"]
    assert settled["accepted"]
    before = await world.head()
    answer = await world.client.delete(f"/queue/{NAME}")
    assert answer.status_code == 200, answer.text
    world.services.names.forget()  # as in a process that was started afterwards
    return job, before


async def get(world: World, path: str, **query: Any) -> Any:
    answer = await world.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_its_jobs_still_name_it(world: World) -> None:
    job, before = await deleted(world)
    story = await get(world, f"/job/{job}/history")
    assert story["job"]["queue"] == NAME
    assert {event["queue"] for event in story["events"]} == {NAME}
    assert (await get(world, f"/job/{job}"))["job"]["queue"] == NAME
    assert (await get(world, f"/job/{job}", at=before))["job"]["queue"] == NAME
    events = (await get(world, "/events", queue=NAME))["events"]
    assert [event["type"] for event in events] == [
        "queue_configured", "enqueued", "started", "completed", "queue_configured",
    ]  # fmt: skip
    assert (await get(world, "/events", job=job, queue=NAME))["events"] == events[1:4]
    assert (await get(world, f"/job/{job}/why"))["findings"]


async def test_lists_of_when_it_was_there(world: World) -> None:
    job, before = await deleted(world)
    for path, asked in ((f"/queue/{NAME}/jobs", {}), ("/jobs", {"queue": NAME}), ("/jobs", {})):
        (row,) = (await get(world, path, **asked, at=before))["jobs"]
        assert (row["id"], row["queue"], row["status"]) == (job, NAME, "completed")
    assert NAME in {queue["name"] for queue in (await get(world, "/queues", at=before))["queues"]}
    assert (await get(world, f"/queue/{NAME}/stats", at=before))["stats"]["completed_today"] == 1
    assert NAME in (await get(world, "/queue/status", at=before))["data"]["queues"]
    assert NAME not in {queue["name"] for queue in (await get(world, "/queues"))["queues"]}
    assert (await world.client.get(f"/queue/{NAME}/stats")).status_code == 404


async def test_its_jobs_are_listed_now_as_at_the_end_of_the_log(world: World) -> None:
    job, _ = await deleted(world)
    await world.enqueue()
    head = await world.head()
    for path, asked, n in ((f"/queue/{NAME}/jobs", {}, 1), ("/jobs", {"queue": NAME}, 1), ("/jobs", {}, 2)):
        now, then = await get(world, path, **asked, after_position=head), await get(world, path, **asked, at=head)
        assert now["jobs"] == then["jobs"]
        assert len(now["jobs"]) == n
    row = (await get(world, "/jobs"))["jobs"][1]
    assert (row["id"], row["queue"], row["status"]) == (job, NAME, "completed")
    for asked in ({}, {"queue": NAME}):
        now = await get(world, "/jobs/counts", **asked)
        assert now == await get(world, "/jobs/counts", **asked, at=head)
        assert now["counts"]["completed"] == 1
        assert {field["path"] for field in (await get(world, "/fields", **asked))["fields"]} == {"to"}
    kinds = [one["kind"] for one in (await get(world, "/incidents", queue=NAME))["incidents"]]
    assert kinds.count("configured") == 2
    assert (await world.client.get("/jobs", params={"queue": "never"})).status_code == 404


async def test_one_without_jobs_is_not_looked_into(world: World) -> None:
    """Retention leaves of deleted queues only their names: a list must not become slower for each."""
    services = world.services
    await deleted(world)
    for name in ("empty", "full"):
        await world.client.put(f"/queue/{name}", json={})
    await world.client.delete("/queue/empty")
    await get(world, "/jobs", after_position=await world.head())
    services.names.forget()
    names = await services.names.queue_names()
    looked = await with_jobs(services.pool, services.names, names)
    assert {names[number] for number in looked} == set(names.values()) - {"empty"}


async def test_its_payloads_can_be_erased_and_its_jobs_not_run_again(world: World) -> None:
    await world.client.put(f"/queue/{NAME}", json={})
    job = (await world.enqueue(NAME))["id"]
    await world.client.post(f"/job/{job}/cancel", json={})
    await world.client.delete(f"/queue/{NAME}")
    chosen = {"queue": NAME, "status": "cancelled"}
    for filter_ in (chosen, {"status": "cancelled"}):
        assert (await act(world, "retry", filter_, dry_run=True))["matched"] == 0
        assert (await act(world, "erase", filter_, dry_run=True))["matched"] == 1
    done = await act(world, "erase", {"status": "cancelled"}, reason="they asked")
    assert (done["changed"], done["refused"]) == (1, 0)
    assert (await world.job(job))["erased"]


async def test_its_past_is_replayed_under_its_name(world: World) -> None:
    job, before = await deleted(world)
    asked = {"from": "1", "until": str(before), "speed": "1000", "queue": NAME}
    updates = []
    async with world.client.stream(
        "GET", "/queue/status", params=asked, headers={"accept": "text/event-stream"}
    ) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:") and (frame := json.loads(line[5:])).get("type") == "job_update":
                updates.append(frame["data"])
                if frame["data"]["status"] == "completed":
                    break
    assert {(each["id"], each["queue"]) for each in updates} == {(job, NAME)}


async def test_who_is_limited_to_it_still_sees_its_jobs(world: World, database: str) -> None:
    job, _ = await deleted(world)
    headers = token(database, ["read"], [NAME])
    story = await world.client.get(f"/job/{job}/history", headers=headers)
    assert story.json()["job"]["queue"] == NAME
    events = (await world.client.get("/events", headers=headers)).json()["events"]
    assert {event["queue"] for event in events} == {NAME}
    others = await world.client.get(f"/job/{job}/history", headers=token(database, ["read"], ["default"]))
    assert others.status_code == 404


async def test_nothing_lives_again_in_it(world: World) -> None:
    """It would wait for ever, and nobody would see it."""
    await world.client.put(f"/queue/{NAME}", json={})
    job, other = [(await world.enqueue(NAME))["id"] for _ in range(2)]
    chosen = {"action": "cancel", "filter": {"ids": [job, other]}}
    action = (await world.client.post("/jobs/actions", json=chosen)).json()["action_id"]
    assert (await world.client.delete(f"/queue/{NAME}")).status_code == 200
    answer = await world.client.post(f"/job/{job}/retry")
    assert (answer.status_code, answer.json()["error"]) == (409, f"its queue '{NAME}' was deleted: make it again first")
    undone = (await world.client.post(f"/actions/{action}/undo", json={})).json()
    assert (undone["changed"], undone["refused"]) == (0, 2)
    assert (await get(world, f"/job/{job}"))["job"]["status"] == "cancelled"
    await world.client.put(f"/queue/{NAME}", json={})
    assert (await world.client.post(f"/job/{job}/retry")).status_code == 200
    assert (await get(world, f"/job/{job}"))["job"]["status"] == "queued"


async def test_who_paused_it_and_why_is_still_told(world: World) -> None:
    await world.client.put(f"/queue/{NAME}", json={})
    await world.client.post(f"/queue/{NAME}/pause", json={"reason": "the printer burns"})
    job = (await world.enqueue(NAME))["id"]
    before = await world.head()
    then = await paused(world, job, before)
    assert (then["by"], then["reason"]) == ("token:admin", "the printer burns")
    await world.client.post(f"/job/{job}/cancel", json={})
    assert (await world.client.delete(f"/queue/{NAME}")).status_code == 200
    world.services.names.forget()
    assert await paused(world, job, before) == then


async def paused(world: World, job: str, at: int) -> dict[str, Any]:
    """What `why` said of the pause at a position."""
    (found,) = [of for of in (await get(world, f"/job/{job}/why", at=at))["findings"] if of["code"] == "paused"]
    return found
