"""Payloads against the schemas that living workers published: told at once, exactly, and only while they live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import hivelog
import pytest
from client_world import World as ClientWorld
from client_world import opened
from hivelog.broker import payload_schemas
from hivelog.broker.engine import Engine
from hivelog.broker.registry import Registry
from hivelog.broker.serving import WorkerOptions, make_worker
from msgspec import Meta, Struct
from web_world import World, served, until

ONE = "/queue/default/jobs"
MAIL = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "array", "items": {"type": "string"}}},
    "required": ["to"],
}


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
async def clients(database: str, redis_url: str) -> AsyncIterator[ClientWorld]:
    async with opened(database, redis_url) as world:
        yield world


async def published(world: World, schema: Any = MAIL, **more: Any) -> str:
    session = await world.session(schemas={"mail": schema}, **more)
    world.services.schemas._renewal.forget()  # as if 2 s had passed
    return session


async def post(world: World, payload: Any, queue: str = "default", **headers: str) -> Any:
    body = {"type": "mail", "payload": payload}
    return await world.client.post(f"/queue/{queue}/jobs", json=body, headers=headers)


async def test_without_a_schema_everything_goes(world: World) -> None:
    await world.session()
    assert (await post(world, [1])).status_code == 201


async def test_a_misfit_is_told_where_and_what(world: World) -> None:
    await published(world)
    assert (await post(world, {"to": "ann", "more": 1})).status_code == 201
    answer = await post(world, {"copies": ["bob", 2, ["s3cret"]]})
    assert answer.status_code == 422
    said = answer.json()
    assert (said["code"], said["detail"]["field"]) == ("invalid_field", "payload")
    assert said["detail"]["errors"] == [
        {"path": "", "reason": '"to" is a required property'},
        {"path": "/copies/1", "reason": 'the value is not of type "string"'},
        {"path": "/copies/2", "reason": 'the value is not of type "string"'},
    ]
    assert "s3cret" not in answer.text
    assert (await post(world, {"to": 7}, queue="reports")).status_code == 201  # nobody said so there


async def test_a_bulk_names_the_item_and_stores_nothing(world: World) -> None:
    await published(world)
    before = (await world.client.get("/queues")).json()
    items = [{"queue": "default", "type": "mail", "payload": {"to": "ann"}} for _ in range(5)]
    items[3]["payload"] = {"to": None}
    answer = await world.client.post("/jobs", json=items)
    assert answer.status_code == 422
    assert answer.json()["detail"]["index"] == 3
    assert answer.json()["detail"]["field"] == "payload.to"
    assert (await world.client.get("/queues")).json() == before
    items[3]["payload"] = {"to": "bob"}
    assert (await world.client.post("/jobs", json=items)).status_code == 201


async def test_a_schema_lives_as_long_as_its_worker(world: World) -> None:
    session = await world.session(schemas={"mail": MAIL})

    async def refused() -> bool:
        return (await post(world, 5)).status_code == 422

    await until(refused, 3)
    await world.client.post("/workers/leave", json={"session": session})
    await until(lambda: _not(refused), 3)


async def _not(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


async def test_of_two_releases_one_that_can_run_it_will_do(world: World) -> None:
    await published(world)
    await published(world, {"type": "integer"})
    assert (await post(world, 5)).status_code == 201
    assert (await post(world, {"to": "ann"})).status_code == 201
    assert (await post(world, "text")).json()["detail"]["errors"][0]["path"] == ""


async def test_a_repeated_call_gets_its_first_answer_whatever_was_published_since(world: World) -> None:
    first = await post(world, 5, **{"idempotency-key": "k1"})
    items = [{"queue": "default", "type": "mail", "payload": 5}]
    bulk = await world.client.post("/jobs", json=items, headers={"idempotency-key": "k2"})
    items[0]["idempotency_key"] = "k3"
    keyed = await world.client.post("/jobs", json=items)
    await published(world)
    again = await post(world, 5, **{"idempotency-key": "k1"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await world.client.post("/jobs", json=items)).json()["ids"] == keyed.json()["ids"]
    del items[0]["idempotency_key"]
    again = await world.client.post("/jobs", json=items, headers={"idempotency-key": "k2"})
    assert (again.status_code, again.json()["ids"]) == (200, bulk.json()["ids"])
    assert (await post(world, 5, **{"idempotency-key": "k4"})).status_code == 422


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        5,
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/hostname"},
        {"pattern": "("},
    ],
)
async def test_what_is_no_schema_cannot_be_published(world: World, schema: Any) -> None:
    body = {"name": "w", "queues": ["default"], "types": ["mail"], "schemas": {"mail": schema}}
    answer = await world.client.post("/workers/register", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]["field"] == "schemas.mail"


def test_no_pattern_takes_for_ever() -> None:
    validator = payload_schemas.compiled({"pattern": "^(a+)+$"})
    assert not validator.is_valid("a" * 100_000 + "!")


class Report(Struct):
    user_id: str
    pages: Annotated[int, Meta(ge=1)]


handlers = Registry()


@handlers.handler("report")
async def report(ctx: Any, payload: Report) -> None:
    pass


@contextlib.asynccontextmanager
async def working(world: ClientWorld) -> AsyncIterator[None]:
    async with Engine(world.settings, name="worker") as engine:
        await engine.claims.start()
        worker = await make_worker(engine, handlers, WorkerOptions(modules=(), slots=2, name="w"))
        task = asyncio.create_task(worker.run(["default"]))
        await until(lambda: _sessions(engine))
        try:
            yield
        finally:
            worker.stop()
            await task
            await engine.claims.stop()


async def _sessions(engine: Engine) -> bool:
    async with engine.pool.connection() as connection:
        cursor = await connection.execute("select from hivelog.sessions where schemas is not null")
        return await cursor.fetchone() is not None


async def test_the_direct_client_is_told_by_the_struct_of_a_python_handler(clients: ClientWorld) -> None:
    async with working(clients), hivelog.Client(settings=clients.settings) as client:
        job = await client.enqueue("default", "report", {"user_id": "u1", "pages": 2})
        assert (await client.wait(job.id)).status == "completed"
        assert await client.enqueue("default", "report", Report("u1", 1))
        with pytest.raises(hivelog.InvalidField) as caught:
            await client.enqueue("default", "report", {"user_id": "u1", "pages": 0})
        assert caught.value.detail["errors"][0]["path"] == "/pages"
        with pytest.raises(hivelog.InvalidField) as caught:
            await client.enqueue("default", "report", Report("u1", 0), priority=3)
        items = [
            {"queue": "default", "type": "report", "payload": {"user_id": "u1", "pages": n}}
            for n in (1, 2, 0)
        ]
        with pytest.raises(hivelog.InvalidField) as caught:
            await client.enqueue_many(items)
        assert caught.value.detail["index"] == 2
