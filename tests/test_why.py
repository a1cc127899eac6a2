"""`GET /job/{id}/why`: each reason is brought about in a real system, found, and gone when it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hivelog.events import times
from hivelog.projections.why import span

from .simulated_clock import Clock
from .test_web_auth import token
from .web_world import World, served, until


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def why(world: World, job: str) -> dict[str, dict[str, Any]]:
    answer = (await world.client.get(f"/job/{job}/why")).json()
    assert answer["job"] == job
    blocks = [finding["blocks"] for finding in answer["findings"]]
    assert blocks == sorted(blocks, reverse=True)
    return {finding["code"]: finding for finding in answer["findings"]}


async def texts(world: World, job: str) -> dict[str, str]:
    return {code: finding["text"] for code, finding in (await why(world, job)).items()}


async def claim(world: World, session: str, limit: int = 1) -> list[dict[str, Any]]:
    body = {"session": session, "claim_id": f"c{limit}", "limit": limit, "wait": 5}
    return (await world.client.post("/workers/claim", json=body)).json()["jobs"]


async def test_what_keeps_a_waiting_job(world: World) -> None:
    first, job = (await world.enqueue())["id"], (await world.enqueue())["id"]
    found = await why(world, job)
    assert found["no_worker"]["queue"] == "default"
    assert (found["ahead"]["ahead"], found["ahead"]["exact"]) == (1, True)
    assert "next" in await why(world, first)
    await world.session(types=["other"])
    found = await why(world, job)
    assert (found["type_unserved"]["type"], found["type_unserved"]["workers"]) == ("mail", 1)
    session = await world.session(slots=1)
    assert (await why(world, job))["served"]["slots"] == 1
    await world.client.post("/queue/default/pause", json={"reason": "the printer burns"})
    paused = (await why(world, job))["paused"]
    assert (paused["by"], paused["reason"], paused["blocks"]) == ("token:admin", "the printer burns", True)
    assert "the printer burns" in paused["text"]
    await world.client.post("/queue/default/resume", json={})
    assert "paused" not in await why(world, job)
    await world.client.put("/queue/default", json={"max_workers": 1})
    assert len(await claim(world, session)) == 1
    found = await why(world, job)
    assert (found["limit_reached"]["running"], found["limit_reached"]["max_workers"]) == (1, 1)
    assert found["workers_busy"]["busy"] == 1
    assert found["next"]["ahead"] == 0


async def test_each_reason_says_who_when_and_how_many(world: World, clock: Clock) -> None:
    clock.stop()
    jobs = [(await world.enqueue())["id"] for _ in range(3)]
    said = await texts(world, jobs[2])
    assert said["no_worker"] == "no live worker serves queue default"
    assert said["ahead"] == "2 jobs are ahead of it"
    assert (await texts(world, jobs[1]))["ahead"] == "1 job is ahead of it"
    await world.session(types=["other"])
    assert (await texts(world, jobs[0]))["type_unserved"] == (
        "the one live worker of queue default does not run type mail"
    )
    await world.session(types=["another"])
    assert (await texts(world, jobs[0]))["type_unserved"] == (
        "none of the 2 live workers of queue default runs type mail"
    )
    await world.client.put("/queue/default", json={"max_workers": 1})
    assert len(await claim(world, await world.session())) == 1
    assert (await texts(world, jobs[1]))["limit_reached"] == "1 of at most 1 jobs of queue default run"
    await world.client.post("/queue/default/pause", json={"reason": "a deploy"})
    clock.advance(240)
    said = await texts(world, jobs[1])
    assert said["paused"] == "queue default is paused by token:admin since 4 m: a deploy"
    now = times.from_text((await world.client.get(f"/job/{jobs[1]}/why")).json()["timestamp"])
    later = (await world.enqueue(scheduled_for=times.to_text(now + 240_000)))["id"]
    assert (await texts(world, later))["due_in"] == "it is due in 4 m"


async def test_a_job_list_that_is_behind_the_log(world: World, database: str, clock: Clock) -> None:
    """Someone holds its checkpoint, so it cannot go on."""
    with psycopg.connect(database) as other:
        other.execute("select from hivelog.checkpoints where name = 'jobs' for update")
        job = (await world.enqueue())["id"]
        assert "projection_behind" not in await why(world, job)
        clock.advance(150)
        found = await why(world, job)
        behind = found["projection_behind"]["behind"]
        assert behind >= 1
        assert found["projection_behind"]["seconds"] >= 150
        assert not found["projection_behind"]["blocks"]
        events = "1 event" if behind == 1 else f"{behind} events"
        assert found["projection_behind"]["text"].startswith(f"the job list is behind the log by {events}, for 2 m")
        assert job not in [each["id"] for each in (await world.client.get("/jobs")).json()["jobs"]]
        await world.client.post(f"/job/{job}/cancel", json={})
        assert {"ended", "projection_behind"} <= (await why(world, job)).keys()

    async def caught_up() -> bool:
        return "projection_behind" not in await why(world, job)

    await until(caught_up)


async def test_what_a_running_and_an_ended_job_is_at(world: World) -> None:
    job = (await world.enqueue(timeout=600))["id"]
    session = await world.session()
    [claimed] = await claim(world, session)
    found = await why(world, job)
    assert (found["running"]["worker"], found["running"]["attempt"]) == ("w", 1)
    assert 590 < found["deadline"]["seconds"] <= 600
    assert 0 <= found["heartbeat"]["seconds"] < 5
    await world.client.post(f"/job/{job}/cancel", json={})
    assert (await why(world, job))["cancelling"]["grace"] == 30
    item = {"token": claimed["token"], "outcome": "failed", "error": "boom"}
    await world.client.post("/workers/settle", json={"session": session, "items": [item]})
    ended = (await why(world, job))["ended"]
    assert ended["status"] == "cancelled"
    assert ended["by"].startswith("worker:w")


async def test_a_job_whose_time_has_not_come(world: World, database: str, clock: Clock) -> None:
    job = (await world.enqueue(scheduled_for="2200-01-01T00:00:00Z", expires_at="2200-01-02T00:00:00Z"))["id"]
    found = await why(world, job)
    assert found["due_in"]["due_at"] == "2200-01-01T00:00:00.000Z"
    assert found["expires"]["seconds"] > found["due_in"]["seconds"]
    session = await world.session()
    other = (await world.enqueue(max_retries=3))["id"]
    [claimed] = await claim(world, session)
    item = {"token": claimed["token"], "outcome": "failed", "error": "boom"}
    await world.client.post("/workers/settle", json={"session": session, "items": [item]})
    found = await why(world, other)
    assert (found["retry_due_in"]["retry"], found["retry_due_in"]["cause"]) == (1, "error")
    assert found["retry_due_in"]["seconds"] <= 60


async def test_a_job_that_the_relay_has_not_taken_and_strangers(world: World, database: str) -> None:
    with psycopg.connect(database) as other:  # not committed elsewhere: the relay cannot see it
        [job] = other.execute("select hivelog.enqueue('default', 'mail', '{}')::text").fetchone() or [""]
        assert (await world.client.get(f"/job/{job}/why")).status_code == 404
        await world.services.duties.stop()
        other.commit()
    found = await why(world, job)
    assert found["outbox"]["waiting"] == 1
    known = (await world.enqueue("reports"))["id"]
    limited = token(database, ["read"], ["default"])
    assert (await world.client.get(f"/job/{known}/why", headers=limited)).status_code == 404
    assert (await world.client.get("/job/nonsense/why")).status_code == 404
    assert (await world.client.get(f"/job/{known}/why", params={"x": "1"})).status_code == 400


def test_spans() -> None:
    said = [span(n * 1000) for n in (0, 119, 120, 7199, 7200, 7260, 172_800, 900_000)]
    assert said == ["0 s", "119 s", "2 m", "119 m", "2 h 0 m", "2 h 1 m", "2 d", "10 d"]
