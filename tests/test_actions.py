"""Bulk actions: what is counted is what is done, whoever dies on the way; undo brings back what was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hivelog.broker.actions import Actions
from hivelog.web.found_jobs import FoundJobs

from .simulated_clock import Clock
from .test_web_auth import token
from .web_world import World, served, until


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def act(world: World, action: str, filter_: Any, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"action": action, "filter": filter_, **more}
    answer = await world.client.post("/jobs/actions", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def many(world: World, count: int, kind: str = "mail", **metadata: Any) -> list[str]:
    items = [
        {"queue": "default", "type": kind, "payload": {"n": n, "user_id": "secret7"}, "metadata": metadata}
        for n in range(count)
    ]
    answer = await world.client.post("/jobs", json=items)
    assert answer.status_code == 201, answer.text
    return answer.json()["ids"]


async def statuses(world: World, jobs: list[str]) -> set[str]:
    return {(await world.job(job))["status"] for job in jobs}


async def fail(world: World, count: int) -> None:
    """Start jobs and let them fail for good."""
    session = await world.session()
    body = {"session": session, "claim_id": "c", "limit": count, "wait": 5}
    jobs = (await world.client.post("/workers/claim", json=body)).json()["jobs"]
    items = [
        {"token": job["token"], "outcome": "failed", "error": "boom"} for job in jobs
    ]
    await world.client.post("/workers/settle", json={"session": session, "items": items})


async def test_a_dry_run_counts_and_its_position_means_the_same_set(world: World) -> None:
    jobs = await many(world, 6) + await many(world, 2, scheduled_for="2200-01-01T00:00:00Z")
    others = await many(world, 3, "report")
    counted = await act(world, "cancel", {"type": "mail"}, dry_run=True)
    assert counted["matched"] == 8
    assert counted.keys() == {"matched", "position"}
    later = await many(world, 4)
    done = await act(
        world, "cancel", {"type": "mail"}, position=counted["position"], reason="wrong customer"
    )
    assert (done["matched"], done["changed"], done["refused"]) == (8, 8, 0)
    assert await statuses(world, jobs) == {"cancelled"}
    assert await statuses(world, others + later) == {"queued"}
    told = (await world.client.get(f"/actions/{done['action_id']}")).json()
    assert (told["changed"], told["reason"], told["actor"]) == (8, "wrong customer", "token:admin")
    assert told["filter"] == {"type": "mail", "status": ["pending", "queued"]}
    events = (await world.client.get("/events", params={"type": "action_started,action_finished"})).json()
    [started, finished] = events["events"]
    assert (started["type"], finished["type"]) == ("action_started", "action_finished")
    place = f"/actions/{done['action_id']}?at="
    assert (await world.client.get(f"{place}{started['position'] - 1}")).status_code == 404
    under_way = (await world.client.get(f"{place}{started['position']}")).json()
    assert under_way == {**told, "changed": 0, "finished_at": None}
    assert (await world.client.get(f"{place}{finished['position']}")).json() == told


async def test_undo_brings_back_what_waited_to_where_it_was(world: World) -> None:
    ready = await many(world, 3)
    due = await many(world, 2, scheduled_for="2200-01-01T00:00:00Z")
    done = await act(world, "cancel", {"queue": "default"})
    [gone, *rest] = ready
    await world.client.post(f"/job/{gone}/retry", json={})
    await world.client.post(f"/job/{gone}/cancel", json={})  # by somebody else, for another reason
    answer = await world.client.post(f"/actions/{done['action_id']}/undo", json={"reason": "sorry"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["changed"], answer.json()["refused"]) == (4, 1)
    assert await statuses(world, rest) == {"queued"}
    assert (await world.job(gone))["status"] == "cancelled"
    for job in due:
        found = await world.job(job)
        assert found["status"] == "pending"
        assert found["metadata"]["scheduled_for"] == "2200-01-01T00:00:00.000Z"
    await world.services.projections.wait_for(await world.head(), timeout=5)
    listed = (await world.client.get("/jobs", params={"status": "pending"})).json()["jobs"]
    assert {job["id"] for job in listed} == set(due)
    again = await world.client.post(f"/actions/{done['action_id']}/undo", json={})
    assert again.json()["changed"] == 0
    other = await world.client.post(f"/actions/{answer.json()['action_id']}/undo", json={})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


async def test_failed_jobs_are_retried_but_not_those_that_failed_since(world: World) -> None:
    first = await many(world, 3, max_retries=0)
    await fail(world, 3)
    counted = await act(world, "retry", {"queue": "default"}, dry_run=True)
    assert counted["matched"] == 3
    await world.client.post(f"/job/{first[0]}/retry", json={})
    await fail(world, 1)
    done = await act(world, "retry", {"queue": "default"}, position=counted["position"])
    assert done["changed"] == 2
    assert (await world.job(first[0]))["status"] == "failed"
    assert await statuses(world, first[1:]) == {"queued"}


async def test_erase_by_ids_and_by_what_they_carry(world: World, database: str) -> None:
    jobs = await many(world, 3)
    await act(world, "cancel", {"q": "user_id:secret7"})
    with psycopg.connect(database) as connection:
        rows = connection.execute("select data::text from hivelog.events where type = 'action_started'")
        assert not any("secret7" in row[0] for row in rows)  # it is in the vault
    done = await act(world, "erase", {"ids": jobs[:2]})
    assert done["changed"] == 2
    assert (await world.job(jobs[0]))["payload"] is None
    assert (await world.job(jobs[2]))["payload"] is not None


async def test_an_action_whose_process_died_is_taken_up_by_another(
    world: World, database: str, clock: Clock
) -> None:
    await many(world, 1000)
    services = world.services
    finder = FoundJobs(services.pool, services.names, services.vault)
    args = (services.appender, services.names, services.pool, services.vault, finder)
    dying = Actions(*args, at_once=100, chunk=20)
    result = await dying.run("cancel", {"queue": "default"}, actor="user:test")
    assert (result.changed, result.matched) == (None, 1000)
    query = "select exists (select from hivelog.events where type = 'cancelled')"
    with psycopg.connect(database, autocommit=True) as probe:
        await until(lambda: probe.execute(query).fetchone() == (True,))
    for task in list(dying._tasks.values()):  # as kill -9 would: nothing is released, nothing is said
        task.cancel()
    await asyncio.sleep(0)
    other = Actions(*args)
    clock.advance(10)
    assert await other.resume_unfinished() + await services.actions.resume_unfinished() >= 0

    async def finished() -> bool:
        found = await other.read(str(result.action_id))
        return found is not None and found.finished_at is not None

    await until(finished, 30)
    found = await other.read(str(result.action_id))
    assert found is not None
    assert found.changed == 1000
    with psycopg.connect(database) as connection:
        count = connection.execute(
            "select count(*) from hivelog.events where type = 'cancelled'"
        ).fetchone()
        left = connection.execute("select count(*) from hivelog.ready").fetchone()
    assert (count, left) == ((1000,), (0,))
    undone = await other.undo(str(result.action_id), actor="user:test")
    assert undone.changed == 1000


async def test_an_action_that_has_lost_its_search_is_left_alone(
    world: World, database: str, clock: Clock
) -> None:
    """Without its q the same filter would mean every job there is."""
    await many(world, 200)
    services = world.services
    finder = FoundJobs(services.pool, services.names, services.vault)
    args = (services.appender, services.names, services.pool, services.vault, finder)
    dying = Actions(*args, at_once=1, chunk=20)
    result = await dying.run("cancel", {}, actor="user:test", q="user_id:secret7")
    for task in list(dying._tasks.values()):
        task.cancel()
    await asyncio.sleep(0)
    with psycopg.connect(database, autocommit=True) as connection:
        cancelled = "select count(*) from hivelog.events where type = 'cancelled'"
        before = connection.execute(cancelled).fetchone()
        assert before is not None
        assert before[0] < 200
        connection.execute("delete from hivelog.vault where job = %s", (result.action_id,))
        clock.advance(10)
        assert await Actions(*args).resume_unfinished() == 0
        assert connection.execute(cancelled).fetchone() == before


async def test_an_erasure_that_is_taken_up_forgets_what_the_dead_one_erased(
    world: World, database: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died between the event and what the event leaves to do."""
    body = {"type": "mail", "payload": {"user_id": "secret7"}}
    key = {"Idempotency-Key": "once"}
    made = await world.client.post("/queue/default/jobs", json=body, headers=key)
    jobs = [made.json()["job"]["id"]]
    await act(world, "cancel", {"ids": jobs})
    services = world.services
    finder = FoundJobs(services.pool, services.names, services.vault)
    args = (services.appender, services.names, services.pool, services.vault, finder)

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr("hivelog.broker.action_steps.forget", dies)
        dying = Actions(*args)
        with pytest.raises(asyncio.CancelledError):
            await dying.run("erase", {"ids": jobs}, actor="user:test")
    with psycopg.connect(database, autocommit=True) as connection:
        kept = "select fingerprint from hivelog.idempotency"
        before = connection.execute(kept).fetchone()
        clock.advance(10)
        assert await Actions(*args).resume_unfinished() + await services.actions.resume_unfinished() <= 1

        async def forgotten() -> bool:
            return connection.execute(kept).fetchone() != before

        await until(forgotten, 30)


async def test_what_is_refused_and_who_may(world: World, database: str) -> None:
    await many(world, 1)
    for filter_, status in (
        ({}, 422), ({"nope": "x"}, 422), ({"ids": []}, 422), ({"ids": ["x"]}, 422), ({"queue": "none"}, 404),
        ({"status": "done"}, 422), ({"status": "completed"}, 422), ({"since": "today"}, 422), ({"q": ":"}, 422),
    ):  # fmt: skip
        await act(world, "cancel", filter_, status)
    await act(world, "cancel", {"queue": "default"}, 422, position=10**9)
    await act(world, "explode", {"queue": "default"}, 422)
    body = {"action": "cancel", "filter": {"type": "mail"}}
    reader = token(database, ["read"])
    assert (await world.client.post("/jobs/actions", json=body, headers=reader)).status_code == 403
    limited = token(database, ["read", "operate"], ["reports"])
    answer = await world.client.post("/jobs/actions", json=body, headers=limited)
    assert (answer.status_code, answer.json()["matched"]) == (200, 0)
    erase = {"action": "erase", "filter": {"type": "mail"}}
    assert (await world.client.post("/jobs/actions", json=erase, headers=limited)).status_code == 403
    done = await act(world, "cancel", {"queue": "default"})
    hidden = await world.client.get(f"/actions/{done['action_id']}", headers=limited)
    assert hidden.status_code == 404
    hidden = await world.client.post(f"/actions/{done['action_id']}/undo", json={}, headers=limited)
    assert hidden.status_code == 404
