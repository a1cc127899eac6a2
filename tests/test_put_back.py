"""A database is put back to a copy of its own disk: same server, same timeline, the log without its tail. The
processes that run meanwhile notice, begin a new epoch, and go on; nobody is asked to help."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
import structlog
from hivelog.broker.context import JobContext
from hivelog.broker.engine import Engine
from hivelog.broker.registry import Registry
from hivelog.settings import Settings
from hivelog.sql.migrate import migrate

from .chaos.servers import Postgres
from .intact import assert_intact
from .test_worker import working
from .web_world import World, served, until

AT = "{hivelog}:at"
BEAT = {"heartbeat_seconds": 1.0, "dead_after_seconds": 60.0, "grace_seconds": 1.0}


class Cluster(Postgres):
    """One whose disk can be copied and put back, cold."""

    def copy(self) -> None:
        self.stop("fast")
        self._duplicate(self.data.resolve(), self._kept)
        self.start()

    def put_back(self) -> None:
        self.stop("fast")
        shutil.rmtree(self.data.resolve())
        self._duplicate(self._kept, self.data.resolve())
        self.start()

    @property
    def _kept(self) -> Path:
        home = self.data.resolve()
        return home.with_name(home.name + ".copy")

    def _duplicate(self, source: Path, target: Path) -> None:
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    def one(self, query: str, *values: Any) -> Any:
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute(query, values).fetchone()
        return row and row[0]

    def events(self, job: str) -> list[str]:
        query = "select array_agg(type::text order by version) from hivelog.events where stream = %s::uuid"
        return self.one(query, job) or []

    def remove(self) -> None:
        super().remove()
        shutil.rmtree(self._kept, ignore_errors=True)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="hivelog-"))
    server = Cluster(folder / "pg", {"fsync": "off", "full_page_writes": "off"})
    try:
        migrate(server.url)
        yield server
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


class Story:
    """A serve process, a worker whose jobs end when they are let go, and their servers."""

    def __init__(self, cluster: Cluster, redis_url: str) -> None:
        self.cluster, self.cache = cluster, redis.Redis.from_url(redis_url)
        self.let_go: set[str] = set()
        self.runs: Counter[str] = Counter()
        self.world: World

    async def hold(self, ctx: JobContext, payload: dict[str, str]) -> None:
        self.runs[ctx.job.id] += 1
        await until(lambda: ctx.job.id in self.let_go, 60)

    async def put(self, queue: str, kind: str = "hold") -> str:
        """Asked again until the database is back, as callers do."""
        key, body = {"idempotency-key": uuid4().hex}, {"type": kind, "payload": {}}
        async with asyncio.timeout(20):
            while True:
                answer = await self.world.client.post(f"/queue/{queue}/jobs", json=body, headers=key)
                if answer.status_code < 300:
                    return str(answer.json()["job"]["id"])
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.1)

    async def has(self, job: str, *events: str) -> None:
        await until(lambda: self.cluster.events(job)[-len(events) :] == list(events), 20,
                    f"{job} has {self.cluster.events(job)}")  # fmt: skip

    async def do(self, path: str) -> None:
        async def done() -> bool:
            return (await self.world.client.post(path)).status_code == 200

        await until(done, 20)  # just after a restart of the database

    def epoch(self) -> int:
        return int(self.cluster.one("select epoch from hivelog.batches order by position desc limit 1"))

    def redis_has_it_all(self) -> bool:
        at = self.cache.hmget(AT, "epoch", "position")
        head = self.cluster.one("select max(position) from hivelog.batches")
        return [x and int(x) for x in at] == [self.epoch(), head]


@contextlib.asynccontextmanager
async def told(cluster: Cluster, redis_url: str, data: Path) -> AsyncIterator[Story]:
    story = Story(cluster, redis_url)
    handlers = Registry()
    handlers.handler("hold")(story.hold)
    settings = Settings.load({}, database_url=cluster.url, redis_url=redis_url, **BEAT)
    async with served(cluster.url, redis_url, data, **BEAT) as story.world:
        for queue in ("now", "later"):
            await story.world.client.put(f"/queue/{queue}", json={})
        async with (
            Engine(settings, name="worker") as engine,
            working(engine, handlers, queues=("now", "later"), slots=4),
        ):
            yield story
    story.cache.close()


async def test_everybody_goes_on_by_himself(cluster: Cluster, redis_url: str, tmp_path: Path) -> None:
    async with told(cluster, redis_url, tmp_path) as story:
        kept, waits = await story.put("now"), await story.put("later")
        await story.has(kept, "started")
        await story.has(waits, "started")
        await story.do("/queue/later/pause")
        again = await story.put("later")
        await asyncio.to_thread(cluster.copy)

        # The tail that will be lost: the start of `again`, an end, a job, and a type of its own.
        await story.do("/queue/later/resume")
        await story.has(again, "started")
        story.let_go.add(waits)
        await story.has(waits, "completed")
        lost = await story.put("background", "tail_only")
        await until(story.redis_has_it_all)
        heard: list[str] = []
        listening = asyncio.create_task(_listen(story.world, heard))
        await until(lambda: bool(heard))
        with structlog.testing.capture_logs() as logs:
            await asyncio.to_thread(cluster.put_back)
            await until(lambda: story.epoch() == 2, 20, "nobody noticed")
            await until(lambda: {"epoch_followed", "lease_lost"} <= {entry["event"] for entry in logs}, 20)
        assert cluster.events(lost) == []
        assert cluster.events(again) == ["enqueued"]

        # What ran all the time ends once. What began in the tail is not the worker's any more, and begins again.
        story.let_go |= {kept, again}
        await story.has(kept, "started", "completed")
        assert cluster.events(again) == ["enqueued"]
        await story.do("/queue/later/resume")
        await story.has(again, "enqueued", "started", "completed")
        assert (story.runs[kept], story.runs[again]) == (1, 2)
        await until(story.redis_has_it_all, 20)
        await until(lambda: "event: reset" in heard)
        listening.cancel()
        await _others_know(story, lost)
    assert_intact(cluster.url)


async def _listen(world: World, heard: list[str]) -> None:
    headers = {"accept": "text/event-stream"}
    async with world.client.stream("GET", "/queue/status", headers=headers, timeout=None) as answer:
        async for line in answer.aiter_lines():
            heard.append(line)


async def _others_know(story: Story, lost: str) -> None:
    """Numbers of the lost tail are forgotten, and the read models are those of this log."""
    world = story.world
    assert (await world.client.get(f"/job/{lost}")).status_code == 404
    for kind in ("another", "tail_only"):
        job = await story.put("background", kind)
        assert (await world.job(job))["type"] == kind
    head = story.cluster.one("select max(position) from hivelog.batches")
    assert await world.services.projections.wait_for(head, 20)
    listed = (await world.client.get("/jobs?limit=100")).json()["jobs"]
    jobs = "select count(distinct stream) from hivelog.events where type = 'enqueued'"
    assert len(listed) == story.cluster.one(jobs)
    assert lost not in {each["id"] for each in listed}


async def test_redis_alone_remembers(cluster: Cluster, redis_url: str, tmp_path: Path) -> None:
    """All processes were stopped meanwhile: what is left of the tail is the checkpoint in Redis."""
    async with told(cluster, redis_url, tmp_path) as story:
        await story.has(await story.put("now"), "started")
        await asyncio.to_thread(cluster.copy)
        job = await story.put("now")
        await story.has(job, "started")
        await until(story.redis_has_it_all)
        story.let_go.add(job)
        await story.has(job, "completed")
    await asyncio.to_thread(cluster.put_back)
    async with told(cluster, redis_url, tmp_path) as story:
        job = await story.put("now")
        assert story.epoch() == 2
        story.let_go.add(job)
        await story.has(job, "completed")
        await until(story.redis_has_it_all, 20)
    assert_intact(cluster.url)
