"""PostgreSQL away: 503 with Retry-After, the process stays up and recovers by itself."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from .proxy import proxied
from .web_world import served, until


async def test_the_database_goes_and_comes_back(database: str, redis_url: str, tmp_path: Path) -> None:
    async with proxied(database, tmp_path) as proxy, served(proxy.url, redis_url, tmp_path / "d") as world:
        job = await world.enqueue()
        proxy.cut(refuse=True)
        for _ in range(2):
            answer = await world.client.post("/queue/default/jobs", json={"type": "a", "payload": 1})
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        for path in (f"/job/{job['id']}", "/queues", "/jobs", "/events", "/queue/default/stats"):
            answer = await world.client.get(path)
            assert answer.status_code in (200, 503), path
            assert answer.status_code == 200 or answer.json()["code"] == "database_unavailable"
        health = await world.client.get("/health")
        assert health.status_code == 503
        assert health.json()["components"]["database"]["status"] == "unhealthy"
        assert (await world.client.get("/health/ready")).status_code == 503
        assert (await world.client.get("/health/live")).status_code == 200
        proxy.restore()

        async def back() -> bool:
            answer = await world.client.post("/queue/default/jobs", json={"type": "a", "payload": 1})
            return answer.status_code == 201

        await until(back, 20)
        assert (await world.job(job["id"]))["status"] == "queued"
        await until(lambda: world.client.get("/health/ready"), 10)


async def test_a_lost_answer_does_not_make_two_jobs(database: str, redis_url: str, tmp_path: Path) -> None:
    async with proxied(database, tmp_path) as proxy, served(proxy.url, redis_url, tmp_path / "d") as world:
        await world.enqueue()
        proxy.lose_next_answer()
        body, key = {"type": "a", "payload": 1}, {"idempotency-key": "k"}
        seen: list[int] = []

        async def accepted() -> bool:
            answer = await world.client.post("/queue/default/jobs", json=body, headers=key)
            seen.append(answer.status_code)
            return answer.status_code in (200, 201)

        await until(accepted, 20)
        assert (await world.client.get("/queue/default/stats")).json()["stats"]["depth"] == 2


async def test_who_is_not_waited_for_at_the_stop_may_come_again(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    sent: list[dict[str, Any]] = []
    asked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        asked.set()
        await asyncio.Event().wait()  # a body that does not come
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async with served(database, redis_url, tmp_path / "d") as world:
        scope = {
            "type": "http", "method": "POST", "path": "/queue/default/jobs", "query_string": b"",
            "headers": [(b"authorization", world.client.headers["authorization"].encode())],
            "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        request = asyncio.create_task(world.application(scope, receive, send))
        await asyncio.wait_for(asked.wait(), 5)
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request
        assert request.cancelled()
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
