"""Recorded jobs, and `hivelog replay` on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
from cli_world import Ran, World
from hivelog.broker.engine import Engine
from hivelog.broker.enqueue import Item
from hivelog.broker.registry import registry
from hivelog.broker.serving import WorkerOptions, make_worker
from hivelog.events import ids
from hivelog.settings import Settings

from . import replay_handlers

MODULE = replay_handlers.__name__


class Replayed:
    """`record` runs jobs as of version 1; `replay` is the command, with `--since 1h --json`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.probe = psycopg.connect(world.environment["DATABASE_URL"], autocommit=True)

    def record(self, *jobs: tuple[str, Any], **options: Any) -> list[str]:
        """Enqueue and run to the end; ids."""
        return asyncio.run(self._record(jobs, options))

    async def _record(self, jobs: Sequence[tuple[str, Any]], options: dict[str, Any]) -> list[str]:
        async with self.engine() as engine:
            await engine.queues.configure("work", {"retry_delay": 0, "retry_backoff": "fixed"}, actor="test")
            await engine.names.refresh()
            items = [Item("work", kind, payload, {"max_retries": 0, **options}) for kind, payload in jobs]
            made = await engine.enqueuer.enqueue_many(items, actor="test")
            await self._work(engine, made.jobs)
        return [ids.to_text(job) for job in made.jobs]

    def work(self, *jobs: str) -> None:
        """Run them to their ends."""

        async def run() -> None:
            async with self.engine() as engine:
                await self._work(engine, [ids.from_text(job) for job in jobs])

        asyncio.run(run())

    @contextlib.asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        async with Engine(Settings.load(), name="test") as engine:
            yield engine

    async def _work(self, engine: Engine, jobs: Sequence[bytes]) -> None:
        await engine.claims.start()
        worker = await make_worker(engine, registry, WorkerOptions(modules=(), slots=8))
        task = asyncio.create_task(worker.run(["work"]))
        async with asyncio.timeout(30):
            while not all(self.ended(ids.to_text(job)) for job in jobs):
                await asyncio.sleep(0.02)
        worker.stop()
        await task
        await engine.claims.stop()

    def ended(self, job: str) -> bool:
        return self.events(job)[-1][0] in ("completed", "failed", "cancelled", "expired")

    def events(self, job: str) -> list[tuple[str, dict[str, Any]]]:
        query = "select type::text, coalesce(data, '{}') from hivelog.events where stream = %s order by version"
        return list(self.probe.execute(query, (job,)).fetchall())

    def types(self, job: str) -> list[str]:
        return [kind for kind, _ in self.events(job)]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Data of all events of a type."""
        query = "select data from hivelog.events where type::text = %s order by position"
        return [row[0] for row in self.probe.execute(query, (kind,)).fetchall()]

    def copies(self) -> list[tuple[str, str]]:
        """(copy, what it is a copy of), in the order in which they were made."""
        query = "select stream::text, data ->> 'parent_id' from hivelog.events where type = 'enqueued' order by position"
        return [row for row in self.probe.execute(query).fetchall() if row[1] is not None]

    def one(self, query: str) -> Any:
        row = self.probe.execute(query).fetchone()
        return None if row is None else row[0]

    def job(self, job: str) -> dict[str, Any]:
        ran = self.world.run("job", job, "--json")
        assert ran.status == 0, ran.err
        return ran.json["job"]  # type: ignore[no-any-return]

    def replay(self, *arguments: str, since: str = "1h", status: int = 0) -> dict[str, Any]:
        ran = self.run(*arguments, since=since)
        assert ran.status == status, ran.err
        return ran.json  # type: ignore[no-any-return]

    def run(self, *arguments: str, since: str = "1h") -> Ran:
        return self.world.run("replay", "--since", since, "--json", *arguments)
