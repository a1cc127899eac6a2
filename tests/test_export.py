"""Lists as files: the same rows as the list, whole or cut off, and never a formula."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hivelog.web import export

from .test_web_auth import token
from .web_world import World, served, until


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


async def file(world: World, path: str, kind: str, **query: Any) -> list[Any]:
    answer = await world.client.get(path, params={**query, "format": kind})
    assert answer.status_code == 200, answer.text
    name = path.strip("/").split("/")[-1].replace("status", "workers")
    assert answer.headers["content-disposition"] == f'attachment; filename="hivelog-{name}.{kind}"'
    if kind == "csv":
        return list(csv.DictReader(answer.text.splitlines()))
    return [json.loads(line) for line in answer.text.splitlines()]


async def enqueue(world: World, count: int, queue: str = "default") -> None:
    jobs = [
        {"queue": queue, "type": "mail", "payload": {"n": n}, "metadata": {"tags": ["a", "b"]}} for n in range(count)
    ]
    assert (await world.client.post("/jobs", json=jobs)).status_code == 201


async def test_a_file_has_the_rows_of_the_list(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 50)
    await enqueue(world, 123)  # three pages
    await enqueue(world, 2, "reports")
    head = await world.head()
    for path, query, count in (
        ("/jobs", {}, 125), ("/jobs", {"queue": "reports"}, 2), ("/queue/default/jobs", {}, 123),
        ("/queue/default/jobs", {"limit": 51}, 51), ("/jobs", {"q": "n:77"}, 1),
    ):  # fmt: skip
        lines = await file(world, path, "ndjson", after_position=head, **query)
        table = await file(world, path, "csv", after_position=head, **query)
        assert [line["id"] for line in lines] == [row["id"] for row in table]
        assert len({line["id"] for line in lines}) == count
        if "limit" not in query:
            listed = await world.client.get(path, params={"limit": 500, **query})
            assert lines[:500] == listed.json()["jobs"]
        assert json.loads(table[0]["payload"]) == lines[0]["payload"]
        assert table[0]["tags"] == "a b"


async def test_every_list_can_be_a_file(world: World) -> None:
    session = await world.session()
    await world.enqueue(max_retries=0)
    claim = {"session": session, "claim_id": "1", "wait": 5, "limit": 1}
    (taken,) = (await world.client.post("/workers/claim", json=claim)).json()["jobs"]
    items = [{"token": taken["token"], "outcome": "failed", "error": "ValueError: =1+1"}]
    await world.client.post("/workers/settle", json={"session": session, "items": items})
    head = await world.head()
    for path, of in (("/events", "events"), ("/failures", "failures"), ("/workers/status", "workers"), ("/queues", "queues")):
        listed = (await world.client.get(path, params={"after_position": head})).json()[of]
        lines, table = await file(world, path, "ndjson"), await file(world, path, "csv")
        assert len(lines) == len(table) == len(listed) > 0
        if of in ("events", "failures", "queues"):
            assert lines == listed


async def test_rights_and_filters_are_the_list_s(world: World) -> None:
    await enqueue(world, 2, "reports")
    database = world.services.settings.database_url
    assert database is not None
    limited = token(database, ["read"], ["default"])
    async with httpx.AsyncClient(base_url=world.base, headers=limited) as other:
        assert (await other.get("/jobs?format=ndjson")).text == ""
        assert (await other.get("/queue/reports/jobs?format=csv")).status_code == 404
        assert (await other.get("/events?format=ndjson&queue=reports")).status_code == 404
    async with httpx.AsyncClient(base_url=world.base) as nobody:
        assert (await nobody.get("/jobs?format=csv")).status_code == 401
    for asked in ("format=xml", "format=csv&status=odd", "format=csv&limit=100001", "format=csv&after=junk"):
        assert (await world.client.get(f"/jobs?{asked}")).status_code == 400, asked


async def test_what_cannot_be_whole_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE", 5)
    await enqueue(world, 11)
    await world.client.get("/jobs", params={"after_position": await world.head()})
    from hivelog.web import lists

    page, calls = lists._page, 0

    async def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError("the database went away")
        return await page(*given)

    monkeypatch.setattr(lists, "_page", failing)
    with pytest.raises(httpx.RemoteProtocolError):
        await world.client.get("/jobs?format=ndjson")
    assert world.services.exports.taken == 0


async def test_few_at_once_and_none_for_a_client_that_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_AT_ONCE", 1)
    await enqueue(world, 400)
    await world.client.get("/jobs", params={"after_position": await world.head()})
    monkeypatch.setattr(export, "_PAGE", 1)  # so that it takes long
    async with world.client.stream("GET", "/jobs?format=ndjson") as answer:
        await anext(answer.aiter_raw())
        second = await world.client.get("/jobs?format=ndjson")
        assert (second.status_code, second.json()["code"]) == (429, "too_many")
    await until(lambda: world.services.exports.taken == 0)
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("=1+1", "'=1+1"), ("@x", "'@x"), ("-5", "-5"), ("-5 apples", "'-5 apples"), (None, ""), (["a", "=b"], "a =b"),
        (["=a"], "'=a"), ({"a": 1}, '{"a":1}'), (True, "true"), (1.5, "1.5"),
    ],
)  # fmt: skip
def test_a_cell(value: Any, told: str) -> None:
    assert export.cell(value) == told
