"""A serve process for tests: the real application over a real socket, on the test's own servers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from hivelog.settings import Settings
from hivelog.web.app import Application
from hivelog.web.serve import make_server
from hivelog.web.services import Services

TOKEN = "test-admin-token-0123456789"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class World:
    """A running server and a client that is an admin."""

    def __init__(self, application: Application, port: int, client: httpx.AsyncClient) -> None:
        self.application, self.port, self.client = application, port, client

    @property
    def services(self) -> Services:
        return self.application._running()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def enqueue(self, queue: str = "default", kind: str = "mail", **metadata: Any) -> dict[str, Any]:
        body = {"type": kind, "payload": {"to": "ann"}, "metadata": metadata}
        answer = await self.client.post(f"/queue/{queue}/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["job"]

    async def job(self, job: str) -> dict[str, Any]:
        return (await self.client.get(f"/job/{job}")).json()["job"]

    async def head(self) -> int:
        return self.services.appender.last.head if self.services.appender.last else 0

    async def session(self, **changes: Any) -> str:
        body = {"name": "w", "queues": ["default"], "types": ["mail"], "slots": 10, **changes}
        answer = await self.client.post("/workers/register", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["session"]


@contextlib.asynccontextmanager
async def served(database: str, redis_url: str, data: Path, **options: Any) -> AsyncIterator[World]:
    """`hivelog serve` on a free port."""
    given = {"admin_token": TOKEN, "host": "127.0.0.1", "port": 0, "data": data, **options}
    settings = Settings.load({}, database_url=database, redis_url=redis_url, **given)
    application = Application(settings)
    server = make_server(settings, application)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    await until(lambda: (server.started and application.settled.is_set()) or task.done(), 30)
    if task.done():
        task.result()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=BEARER, timeout=20) as client:
            yield World(application, port, client)
    finally:
        server.should_exit = True
        await task


async def until(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0, why: str = "it did not happen"
) -> None:
    """Poll a condition."""
    deadline = time.monotonic() + seconds
    while True:
        met = condition()
        if isinstance(met, Awaitable):
            met = await met
        if met:
            return
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.02)
