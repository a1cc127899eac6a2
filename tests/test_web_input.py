"""Bad input: 4xx in the one error shape, and nothing stored."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from .web_world import World, served, until

NOBODYS_JOB = "0190163d-8694-739b-aea5-966c26f8ad91"
DEEP = "[" * 70 + "]" * 70
VERY_DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


def job(payload: str = "1", **more: Any) -> str:
    rest = "".join(f", {msgspec.json.encode(k).decode()}: {msgspec.json.encode(v).decode()}" for k, v in more.items())
    return f'{{"type": "mail", "payload": {payload}{rest}}}'


ONE = "/queue/default/jobs"
BAD: list[tuple[str, str, str | bytes | None, int, str]] = [
    ("POST", ONE, "{", 400, "invalid_json"),
    ("POST", ONE, "", 400, "invalid_json"),
    ("POST", ONE, b"\xff\xfe", 400, "invalid_json"),
    ("POST", ONE, "[]", 422, "invalid_field"),
    ("POST", ONE, "{}", 422, "invalid_field"),
    ("POST", ONE, job(unknown=1), 422, "invalid_field"),
    ("POST", ONE, '{"type": 5, "payload": 1}', 422, "invalid_field"),
    ("POST", ONE, '{"type": "", "payload": 1}', 422, "invalid_field"),
    ("POST", ONE, '{"type": "a b", "payload": 1}', 422, "invalid_field"),
    ("POST", ONE, '{"type": "mail\\u0000", "payload": 1}', 422, "invalid_field"),
    ("POST", ONE, job('"a\\u0000b"'), 422, "invalid_field"),
    ("POST", ONE, job('{"a\\u0000b": 1}'), 422, "invalid_field"),
    ("POST", ONE, job(DEEP), 422, "invalid_field"),
    ("POST", ONE, job(VERY_DEEP), 422, "invalid_field"),
    ("POST", ONE, job('"' + "x" * 1_048_600 + '"'), 413, "too_large"),
    ("POST", ONE, job('"' + "x" * 3_000_000 + '"'), 413, "too_large"),
    ("POST", ONE, job(metadata={"priority": "high"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"priority": 1001}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"colour": "red"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"created_at": "2030-01-01T00:00:00Z"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"scheduled_for": "tomorrow"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"actor": "user:root"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"scope": "x", "path": "y"}), 422, "invalid_field"),
    ("POST", ONE, job(metadata={"tags": ["x"] * 21}), 422, "invalid_field"),
    ("POST", ONE, job(metadata=[1]), 422, "invalid_field"),
    ("POST", "/queue/nowhere/jobs", job(), 404, "unknown_queue"),
    ("POST", "/queue/No%20Such/jobs", job(), 404, "unknown_queue"),
    ("POST", "/queue/a%00b/jobs", job(), 404, "unknown_queue"),
    ("POST", "/jobs", "[]", 422, "invalid_field"),
    ("POST", "/jobs", '[{"queue": "default", "type": "a", "payload": 1}, {"queue": "default"}]', 422,
     "invalid_field"),
    ("POST", "/jobs", '[{"queue": "default", "type": "a", "payload": 1},'
     ' {"queue": "nowhere", "type": "a", "payload": 1}]', 404, "unknown_queue"),
    ("POST", "/jobs", '{"queue": "default", "type": "a", "payload": 1}\n{"queue": ', 400, "invalid_json"),
    ("GET", "/job/123", None, 404, "not_found"),
    ("GET", f"/job/{NOBODYS_JOB}", None, 404, "not_found"),
    ("GET", "/job/..%2Fconfig", None, 404, "not_found"),
    ("GET", f"/job/{NOBODYS_JOB}/history", None, 404, "not_found"),
    ("POST", f"/job/{NOBODYS_JOB}/cancel", None, 404, "not_found"),
    ("POST", f"/job/{NOBODYS_JOB}/retry", None, 404, "not_found"),
    ("PATCH", f"/job/{NOBODYS_JOB}", "{}", 422, "invalid_field"),
    ("PATCH", f"/job/{NOBODYS_JOB}", '{"priority": 1}', 404, "not_found"),
    ("PATCH", f"/job/{NOBODYS_JOB}", '{"status": "completed"}', 422, "invalid_field"),
    ("GET", f"{ONE}?limit=0", None, 400, "invalid_field"),
    ("GET", f"{ONE}?limit=-1", None, 400, "invalid_field"),
    ("GET", f"{ONE}?limit=99999", None, 400, "invalid_field"),
    ("GET", f"{ONE}?limit=ten", None, 400, "invalid_field"),
    ("GET", f"{ONE}?status=lost", None, 400, "invalid_field"),
    ("GET", f"{ONE}?after=xyz", None, 400, "invalid_field"),
    ("GET", f"{ONE}?since=yesterday", None, 400, "invalid_field"),
    ("GET", f"{ONE}?colour=red", None, 400, "invalid_field"),
    ("GET", f"{ONE}?type=a%00b", None, 400, "invalid_field"),
    ("GET", f"{ONE}?after_position=999999", None, 400, "invalid_field"),
    ("GET", f"{ONE}?after_position=-5", None, 400, "invalid_field"),
    ("GET", "/queue/nowhere/jobs", None, 404, "unknown_queue"),
    ("GET", "/queue/nowhere/stats", None, 404, "unknown_queue"),
    ("GET", "/queue/default/throughput?timeframe=week", None, 400, "invalid_field"),
    ("GET", "/queue/status?job=1", None, 400, "invalid_field"),
    ("GET", "/events?after=x", None, 400, "invalid_field"),
    ("GET", "/events?type=exploded", None, 400, "invalid_field"),
    ("GET", "/events?job=1", None, 400, "invalid_field"),
    ("GET", "/events?queue=nowhere", None, 404, "unknown_queue"),
    ("GET", "/failures?since=1", None, 400, "invalid_field"),
    ("POST", "/queue/nowhere/pause", None, 404, "unknown_queue"),
    ("POST", "/queue/nowhere/drain", None, 404, "unknown_queue"),
    ("POST", "/queue/default/drain", '{"position": 999999}', 422, "invalid_field"),
    ("POST", "/queue/default/drain", '{"position": "1"}', 422, "invalid_field"),
    ("POST", "/queue/default/pause", '{"why": "x"}', 422, "invalid_field"),
    ("PUT", "/queue/UPPER", "{}", 422, "invalid_field"),
    ("PUT", "/queue/default", '{"priority": -1}', 422, "invalid_field"),
    ("PUT", "/queue/default", '{"colour": 1}', 422, "invalid_field"),
    ("PUT", "/queue/default", "[]", 422, "invalid_field"),
    ("DELETE", "/queue/nowhere", None, 404, "unknown_queue"),
    ("PUT", "/config", '{"job_persistence": false}', 400, "invalid_field"),
    ("PUT", "/config", '{"retention_days": 0}', 422, "invalid_field"),
    ("PUT", "/config", '{"colour": 1}', 422, "invalid_field"),
    ("GET", "/actions/xyz", None, 404, "not_found"),
    ("POST", "/workers/register", '{"name": "w", "queues": [], "types": ["a"]}', 422, "invalid_field"),
    ("POST", "/workers/register", '{"name": "w", "queues": ["nowhere"], "types": ["a"]}', 404, "unknown_queue"),
    ("POST", "/workers/register", '{"name": "w\\u0000", "queues": ["default"], "types": ["a"]}', 422,
     "invalid_field"),
    ("POST", "/workers/claim", '{"session": "x", "claim_id": "c"}', 422, "invalid_field"),
    ("POST", "/workers/claim", f'{{"session": "{NOBODYS_JOB}", "claim_id": "c"}}', 404, "not_found"),
    ("POST", "/workers/settle", f'{{"session": "{NOBODYS_JOB}", "items": 1}}', 422, "invalid_field"),
    ("DELETE", "/health", None, 405, "method_not_allowed"),
    ("PUT", "/jobs", "{}", 405, "method_not_allowed"),
]  # fmt: skip


async def test_bad_input_is_refused_and_stores_nothing(world: World) -> None:
    before = (await world.client.get("/queue/status")).json()["position"]
    wrong = []
    for method, path, body, status, code in BAD:
        content = body.encode() if isinstance(body, str) else body
        answer = await world.client.request(method, path, content=content)
        said = answer.json()
        fits = (answer.status_code, said.get("code")) == (status, code)
        if not fits or said.keys() != {"error", "code", "detail"} or "Traceback" in answer.text:
            wrong.append(f"{method} {path} {str(body)[:80]} -> {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert (await world.client.get("/queue/status")).json()["position"] == before


async def test_an_endless_body_is_cut_off(world: World) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200_000_000:
            sent += 65_536
            yield b"x" * 65_536

    with contextlib.suppress(httpx.TransportError):  # the server may close in mid-sentence
        answer = await world.client.post(ONE, content=endless())
        assert answer.status_code == 413
    assert sent < 100_000_000


async def test_an_idempotency_key_answers_the_first_answer(world: World) -> None:
    body = {"type": "mail", "payload": {"to": "ann"}}
    key = {"idempotency-key": "order-1"}
    first = await world.client.post(ONE, json=body, headers=key)
    again = await world.client.post(ONE, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    await world.client.post(f"/job/{first.json()['job']['id']}/cancel")
    assert (await world.client.post(ONE, json=body, headers=key)).json() == first.json()
    other = await world.client.post(ONE, json={**body, "payload": 2}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    for bad in ("", "x" * 300):
        answer = await world.client.post(ONE, json=body, headers={"idempotency-key": bad})
        assert answer.status_code == 422


async def test_bulks_are_all_or_nothing_and_take_ndjson(world: World) -> None:
    items = [{"queue": "default", "type": "a", "payload": n} for n in range(3)]
    answer = await world.client.post("/jobs", json=items)
    assert answer.status_code == 201
    assert answer.json()["count"] == 3
    lines = b"\n".join(msgspec.json.encode(item) for item in items)
    answer = await world.client.post("/jobs", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.json()["count"] == 3
    assert [(await world.job(job))["payload"] for job in answer.json()["ids"]] == [0, 1, 2]


async def test_disabled_means_reads_only(database: str, redis_url: str, tmp_path: Path) -> None:
    async with served(database, redis_url, tmp_path, queue_enabled=False) as world:
        answer = await world.client.post(ONE, json={"type": "a", "payload": 1})
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert (await world.client.get("/queues")).status_code == 200


async def test_commands_say_what_they_did(world: World) -> None:
    job = await world.enqueue()
    assert (await world.client.get(f"/job/{job['id']}")).json()["job"]["queue_position"] == 1
    answer = await world.client.post(f"/job/{job['id']}/cancel", json={"reason": "not needed"})
    assert answer.json()["message"] == "Job cancelled successfully"
    again = await world.client.post(f"/job/{job['id']}/cancel")
    assert again.status_code == 400
    assert again.json()["error"] == "Failed to cancel job"
    story = (await world.client.get(f"/job/{job['id']}/history")).json()["events"]
    assert [event["type"] for event in story] == ["enqueued", "cancelled"]
    assert story[1]["reason"] == "not needed"
    retried = await world.client.post(f"/job/{job['id']}/retry", json={"payload": {"to": "bob"}})
    assert retried.json()["status"] == "queued"
    assert (await world.job(job["id"]))["payload"] == {"to": "bob"}
    assert (await world.client.post(f"/job/{job['id']}/retry")).status_code == 409
    moved = await world.client.patch(f"/job/{job['id']}", json={"priority": 7})
    assert moved.status_code == 200
    paused = await world.client.post("/queue/default/pause")
    assert paused.json()["message"] == "Queue default paused"
    dry = (await world.client.post("/queue/default/drain", json={"dry_run": True})).json()
    assert (dry["matched"], dry["cancelled"]) == (1, 0)
    later = await world.enqueue()
    done = (await world.client.post("/queue/default/drain", json={"position": dry["position"]})).json()
    assert done["cancelled"] == 1
    assert (await world.job(later["id"]))["status"] == "queued"
    config = await world.client.put("/config", json={"job_persistence": True, "backup_to_db": True})
    assert config.status_code == 200


async def test_lists_pages_and_metrics(world: World) -> None:
    jobs = [await world.enqueue(tags=[f"t{n % 2}"]) for n in range(5)]
    last = jobs[-1]["position"]
    page = (await world.client.get(f"{ONE}?limit=2&after_position={last}")).json()
    assert page["count"] == 2
    assert [job["id"] for job in page["jobs"]] == [jobs[4]["id"], jobs[3]["id"]]
    assert page["jobs"][0] == {**jobs[4]}
    rest = (await world.client.get(f"{ONE}?limit=9&after={page['next']}")).json()
    assert [job["id"] for job in rest["jobs"]] == [jobs[n]["id"] for n in (2, 1, 0)]
    assert rest.get("next") is None
    tagged = (await world.client.get(f"{ONE}?tag=t1")).json()
    assert tagged["count"] == 2
    stats = (await world.client.get("/queue/default/stats")).json()
    assert stats["stats"]["depth"] == 5
    text = (await world.client.get("/metrics")).text
    assert 'hivelog_queue_queued{queue="default"} 5.0' in text
    assert 'hivelog_jobs_enqueued_total{queue="default"} 5.0' in text
    events = (await world.client.get("/events?type=enqueued&limit=2")).json()
    assert [event["job"] for event in events["events"]] == [jobs[0]["id"], jobs[1]["id"]]
    more = (await world.client.get(f"/events?type=enqueued&after={events['next']}")).json()
    assert len(more["events"]) == 3
    assert more["next"] is None
    document = (await world.client.get("/openapi.json")).json()
    assert document["paths"]["/queue/{queue}/jobs"]["post"]["requestBody"]


async def test_redis_away_is_told_and_not_fatal(world: World) -> None:
    await until(lambda: world.services.engine.feeder.available)
    world.services.engine.feeder.available = False
    health = await world.client.get("/health")
    assert health.json()["components"]["redis"]["status"] == "warning"
    assert (await world.client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("number", [0, 12_767, 12_768, 32_767, 32_768, 2**31 - 1, 2**31, 10**17])
async def test_places_in_the_log_have_every_width(world: World, number: int) -> None:
    """Numbers travel as narrow as they are: what is counted with must not overflow."""
    answer = await world.client.get("/events", params={"after": number})
    assert (answer.status_code, answer.json()["next"]) == (200, None)
    reads = ("/events?kind=operator&before=", "/jobs?after_position=", "/jobs?at=", "/queues?at=", "/workers/status?at=", "/failures?at=")
    for path in reads:
        answer = await world.client.get(f"{path}{number}")
        assert answer.status_code < 500, answer.text
