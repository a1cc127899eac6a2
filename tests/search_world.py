"""Search asked over HTTP, in plain text and encrypted."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from .web_world import World, served

KEY, NEWER = (urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2))
ONE = "/queue/default/jobs"
PAYLOAD = {
    "user_id": "U1-quokka",
    "order": {"id": 77, "paid": True, "lines": [{"sku": "a-1"}, {"sku": "b2"}]},
    "subject": "Your invoice's \\ here",
    "nothing": None,
}

Serve = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def serve(database: str, redis_url: str, tmp_path: Path) -> Serve:
    def run(*keys: str) -> AbstractAsyncContextManager[World]:
        options: dict[str, Any] = {"encryption_enabled": True, "encryption_keys": keys} if keys else {}
        return served(database, redis_url, tmp_path, **options)

    return run


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
async def world(serve: Serve, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with serve(KEY) if request.param else serve() as running:
        yield running


async def post(world: World, payload: Any, **metadata: Any) -> str:
    answer = await world.client.post(ONE, json={"type": "mail", "payload": payload, "metadata": metadata})
    assert answer.status_code == 201
    return answer.json()["job"]["id"]


async def ids(world: World, q: str, path: str = "/jobs", **more: Any) -> list[str]:
    """Found by `q`, once search has seen all there is."""
    head = (await world.client.get("/queue/status")).json()["position"]
    answer = await world.client.get(path, params={"q": q, "after_position": head, **more})
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


async def run_once(world: World, job: str, outcome: str, **more: Any) -> None:
    """A worker takes the job and ends the attempt."""
    session = await world.session()
    claim = {"session": session, "claim_id": os.urandom(4).hex(), "wait": 5, "limit": 1}
    (taken,) = (await world.client.post("/workers/claim", json=claim)).json()["jobs"]
    assert taken["id"] == job
    items = [{"token": taken["token"], "outcome": outcome, **more}]
    answer = await world.client.post("/workers/settle", json={"session": session, "items": items})
    assert answer.json()["items"][0]["accepted"], answer.text
    await world.client.post("/workers/leave", json={"session": session})
