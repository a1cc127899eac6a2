"""A client and, when asked, a worker, on servers of the test run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from hivelog import Client
from hivelog.broker.engine import Engine
from hivelog.broker.registry import Registry
from hivelog.broker.serving import WorkerOptions, make_worker
from hivelog.events.outbox import Relay
from hivelog.settings import Settings

registry = Registry()


@registry.handler("echo")
async def echo(ctx: Any, payload: Any) -> Any:
    return payload


@registry.handler("fail")
async def fail(ctx: Any, payload: Any) -> None:
    raise ValueError("told to fail")


@dataclass
class World:
    """Queues out of the box; `working` runs the handlers above."""

    settings: Settings
    client: Client
    other: Client | None = None

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        async with Engine(self.settings, name="worker") as engine:
            await engine.claims.start()
            worker = await make_worker(engine, registry, WorkerOptions(modules=(), slots=4, name="w"))
            task = asyncio.create_task(worker.run(["default"]))
            try:
                yield
            finally:
                worker.stop()
                await task
                await engine.claims.stop()


@contextlib.asynccontextmanager
async def opened(database: str, redis_url: str) -> AsyncIterator[World]:
    settings = Settings.load({"DATABASE_URL": database, "REDIS_URL": redis_url})
    async with Engine(settings, name="setup") as engine:
        await engine.queues.create_default_queues()
    async with Client(settings=settings) as client:
        yield World(settings, client)


@contextlib.asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[None]:
    """What brings jobs of other people's transactions into the log; `serve` does it otherwise."""
    assert settings.database_url is not None
    async with Engine(settings, name="relay") as engine:
        relay = Relay(settings.database_url, engine.names, engine.vault, engine.appender.submit)
        task = asyncio.create_task(relay.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
