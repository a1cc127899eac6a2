"""Workers in any language: the protocol, and the Node example that speaks it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .web_world import TOKEN, World, served, until

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "worker.mjs"


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def claim(world: World, session: str, claim_id: str, **more: Any) -> list[dict[str, Any]]:
    body = {"session": session, "claim_id": claim_id, "limit": 10, **more}
    answer = await world.client.post("/workers/claim", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["jobs"]


async def settle(world: World, session: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await world.client.post("/workers/settle", json={"session": session, "items": list(items)})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_job_is_claimed_completed_and_told(world: World) -> None:
    job = await world.enqueue(timeout=60)
    session = await world.session()
    [leased] = await claim(world, session, "c1", wait=5)
    assert leased["id"] == job["id"]
    assert leased["payload"] == {"to": "ann"}
    assert leased["attempt"] == 1
    assert leased["deadline"] > leased["started_at"]
    running = await world.job(job["id"])
    assert (running["status"], running["worker_id"]) == ("processing", "w")
    [row] = await settle(world, session, {"token": leased["token"], "outcome": "completed", "result": {"n": 1}})
    assert row == {"token": leased["token"], "accepted": True, "code": None}
    done = await world.job(job["id"])
    assert (done["status"], done["result"]) == ("completed", {"n": 1})
    [again] = await settle(world, session, {"token": leased["token"], "outcome": "completed"})
    assert (again["accepted"], again["code"]) == (False, "stale_token")


async def test_the_same_claim_id_answers_the_same_jobs(world: World) -> None:
    for _ in range(3):
        await world.enqueue()
    session = await world.session()
    first = await claim(world, session, "c1", limit=2)
    assert len(first) == 2
    again = await claim(world, session, "c1", limit=2)
    assert again == first
    assert len(await claim(world, session, "c2", limit=2)) == 1
    # At the same time, too.
    await world.enqueue()
    both = await asyncio.gather(*(claim(world, session, "c3", limit=1, wait=2) for _ in range(2)))
    assert both[0] == both[1]
    assert len(both[0]) == 1


async def test_a_claim_waits_for_a_job_and_is_bounded(world: World) -> None:
    session = await world.session()
    waiting = asyncio.create_task(claim(world, session, "c1", wait=10))
    await asyncio.sleep(0)
    await world.enqueue()
    assert len(await waiting) == 1
    assert await claim(world, session, "c2", wait=0.1) == []
    body = {"session": session, "claim_id": "c3", "wait": 31}
    assert (await world.client.post("/workers/claim", json=body)).status_code == 422


async def test_failures_retry_and_release(world: World) -> None:
    session = await world.session()
    failed = await world.enqueue(max_retries=0)
    [leased] = await claim(world, session, "c1", wait=5)
    error = {"type": "ValueError", "message": "no room 17", "traceback": "at line 3\nValueError: no room 17"}
    [row] = await settle(world, session, {"token": leased["token"], "outcome": "failed", "error": error})
    assert row["accepted"]
    told = await world.job(failed["id"])
    assert told["status"] == "failed"
    assert told["error"] == "at line 3\nValueError: no room 17"

    retried = await world.enqueue()
    [leased] = await claim(world, session, "c2", wait=5)
    await settle(world, session, {"token": leased["token"], "outcome": "retry", "error": "later", "delay": 600})
    told = await world.job(retried["id"])
    assert (told["status"], told["metadata"]["current_retry"], told["error"]) == ("pending", 1, "later")

    released = await world.enqueue()
    [leased] = await claim(world, session, "c3", wait=5)
    await settle(world, session, {"token": leased["token"], "outcome": "released"})
    told = await world.job(released["id"])
    assert (told["status"], told["metadata"]["current_retry"]) == ("queued", 0)


async def test_a_heartbeat_tells_what_to_cancel_and_what_is_lost(world: World) -> None:
    session = await world.session()
    job = await world.enqueue()
    [leased] = await claim(world, session, "c1", wait=5)
    progress = [{"token": leased["token"], "percent": 40, "message": "half"}]
    beat = {"session": session, "tokens": [leased["token"]], "progress": progress}
    answer = (await world.client.post("/workers/heartbeat", json=beat)).json()
    assert answer == {"cancel": [], "lost": [], "alive": True}
    told = await world.job(job["id"])
    assert (told["progress"], told["progress_message"]) == (40, "half")

    cancelled = (await world.client.post(f"/job/{job['id']}/cancel")).json()
    assert cancelled["status"] == "cancelling"
    answer = (await world.client.post("/workers/heartbeat", json={**beat, "progress": []})).json()
    assert answer["cancel"] == [leased["token"]]
    [row] = await settle(world, session, {"token": leased["token"], "outcome": "failed", "error": "stopped"})
    assert row["accepted"]
    assert (await world.job(job["id"]))["status"] == "cancelled"
    answer = (await world.client.post("/workers/heartbeat", json={**beat, "progress": []})).json()
    assert answer["lost"] == [leased["token"]]


async def test_tokens_are_the_sessions_own_and_of_this_epoch(world: World) -> None:
    one, other = await world.session(), await world.session()
    await world.enqueue()
    [leased] = await claim(world, one, "c1", wait=5)
    for session, token in ((other, leased["token"]), (one, "9-9"), (one, "x"), (one, "1-" + "9" * 30)):
        [row] = await settle(world, session, {"token": token, "outcome": "completed"})
        assert (row["accepted"], row["code"]) == (False, "stale_token")
    big = {"token": leased["token"], "outcome": "completed", "result": "x" * 1_100_000}
    assert (await settle(world, one, big))[0]["code"] == "result_too_large"
    assert (await settle(world, one, {"token": leased["token"], "outcome": "completed"}))[0]["accepted"]


async def test_a_session_that_left_claims_nothing(world: World) -> None:
    session = await world.session()
    assert (await world.client.post("/workers/leave", json={"session": session})).status_code == 200
    body = {"session": session, "claim_id": "c"}
    assert (await world.client.post("/workers/claim", json=body)).status_code == 404
    answer = (await world.client.post("/workers/heartbeat", json={"session": session, "tokens": ["1-5"]})).json()
    assert answer == {"cancel": [], "lost": ["1-5"], "alive": False}


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
async def test_the_node_example_runs_jobs(world: World) -> None:
    job = await world.enqueue(kind="echo")
    bad = await world.enqueue(kind="broken", max_retries=0)
    environment = {**os.environ, "HIVELOG_URL": world.base, "HIVELOG_TOKEN": TOKEN}
    node = await asyncio.create_subprocess_exec("node", str(EXAMPLE), env=environment)
    try:

        async def ended() -> bool:
            found = [(await world.job(one["id"]))["status"] for one in (job, bad)]
            return found == ["completed", "failed"]

        await until(ended, 20)
        assert (await world.job(job["id"]))["result"] == {"echo": {"to": "ann"}}
        assert "broken on purpose" in (await world.job(bad["id"]))["error"]
        node.terminate()
        assert await asyncio.wait_for(node.wait(), 10) == 0
        assert (await world.client.get("/workers/status")).json()["total"] == 0
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
