"""The duty that indexes: it follows the log, beside others, after a restore, and past what it cannot read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hivelog.broker.engine import Engine
from hivelog.broker.enqueue import Item
from hivelog.events.batch import Part
from hivelog.events.pool import make_pool
from hivelog.events.vault import Vault
from hivelog.projections import search, search_terms
from hivelog.projections.search import Indexer
from hivelog.settings import Settings

from .log_writer import LogWriter
from .search_world import KEY, PAYLOAD, ids, post, serve, world
from .web_world import World

__all__ = ["serve", "world"]  # fixtures


async def test_rebuilt_it_is_the_same_and_a_stranger_changes_nothing(world: World) -> None:
    jobs = [await post(world, {"n": n, **PAYLOAD}) for n in range(5)]
    assert await ids(world, "quokka") == jobs[::-1]
    async with world.services.pool.connection() as connection:
        before = await (await connection.execute("select * from hivelog.search order by job")).fetchall()
        assert len(before) == 5
        await connection.execute("delete from hivelog.search")
        await search.restart(connection, await search.state(connection))
    await Indexer(world.services.pool, world.services.vault).catch_up()
    assert await ids(world, "quokka") == jobs[::-1]
    async with world.services.pool.connection() as connection:
        after = await (await connection.execute("select * from hivelog.search order by job")).fetchall()
    assert after == before


@pytest.fixture
async def engine(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Engine]:
    """Encrypts, and nobody indexes beside the test."""
    settings = Settings.load(
        {}, database_url=database, redis_url=redis_url, data=tmp_path, encryption_enabled=True,
        encryption_keys=(KEY,),
    )  # fmt: skip
    async with Engine(settings, name="test") as opened:
        await opened.queues.create_default_queues()
        yield opened


async def enqueued(engine: Engine, *payloads: Any) -> list[UUID]:
    items = [Item("default", "mail", payload) for payload in payloads]
    accepted = await engine.enqueuer.enqueue_many(items, actor="test")
    return [UUID(bytes=job) for job in accepted.jobs]


async def matching(engine: Engine, q: str) -> list[UUID]:
    query = search_terms.ask(q, engine.vault.keys, exact=True)
    async with engine.pool.connection() as connection:
        cursor = await connection.execute(
            "select job from hivelog.search where terms @@ %s::tsquery order by job", (query,)
        )
        return [row[0] for row in await cursor.fetchall()]


async def test_without_the_key_the_log_is_followed_and_nothing_found(engine: Engine) -> None:
    await enqueued(engine, PAYLOAD)
    await Indexer(engine.pool, Vault(None)).catch_up()
    async with engine.pool.connection() as connection:
        at = await search.state(connection)
    assert at.position == at.head > 0
    assert await matching(engine, "quokka") == []


async def test_two_at_once_and_a_sweep(engine: Engine, database: str) -> None:
    jobs = await enqueued(engine, *({"user_id": f"u{n % 3}"} for n in range(300)))
    one, two = (Indexer(engine.pool, engine.vault) for _ in range(2))
    await asyncio.gather(one.catch_up(), two.catch_up())
    assert await matching(engine, "user_id:u1") == jobs[1::3]
    with psycopg.connect(database) as conn:
        conn.execute("delete from hivelog.vault where job = any(%s)", (jobs[:100],))  # as retention will
    await one.sweep()
    assert await matching(engine, "user_id:u1") == [job for job in jobs[1::3] if job not in jobs[:100]]


async def test_a_log_restored_from_an_older_copy_is_looked_through_again(engine: Engine) -> None:
    jobs = await enqueued(engine, PAYLOAD)
    async with engine.pool.connection() as connection:
        await connection.execute("update hivelog.search_state set position = 10000, kek = 1")
    await Indexer(engine.pool, engine.vault).catch_up()
    assert await matching(engine, "quokka") == jobs


async def test_what_is_too_large_is_not_looked_into(engine: Engine) -> None:
    small, _ = await enqueued(engine, {"a": "emu"}, {"a": "emu", "b": "x" * search.LARGEST})
    await Indexer(engine.pool, engine.vault).catch_up()
    assert await matching(engine, "emu") == [small]


_ODD = {
    "words": b"not json", "empty": b"", "NULL": b"NULL", "null": b"null", "no UTF-8": b'"\xff"', "NUL": b'"\x00"',
    "NUL escaped": b'{"a\\u0000": "\\u0000"}', "a noncharacter": "\ufffe".encode(), "a number": b"-0.0", "true": b"true",
    "an empty text": b'""', "half a pair": b'{"a": "\\ud800", "\\udfff": "b"}', "a surrogate": b'"\xed\xa0\x80"', "NaN": b"NaN",
    "UTF-16": '{"a": "b"}'.encode("utf-16"), "a mark first": b'\xef\xbb\xbf{"a": "b"}', "cut off": b'{"a": "b',
    "too much": b'{"a": "b"} {', "a huge number": b"9" * 9999, "beyond floats": b"1e9999", "a huge word": b'"' + b"x" * 200_000 + b'"',
    "deep": b"[" * 700 + b'"emu"' + b"]" * 700, "deeper": b"[" * 100_000, "deep objects": b'{"a":' * 900 + b"1" + b"}" * 900,
    "quotes": rb"""{"'\\'": "\\ ' '' \" : & | ! * null"}""",
}  # fmt: skip


@pytest.mark.parametrize("body", _ODD.values(), ids=_ODD.keys())
async def test_a_body_that_is_no_json_stops_nobody(database: str, body: bytes) -> None:
    """SQL, or another program, wrote it: its job is found by its id, and those after it by what they carry."""
    log = LogWriter(database)
    log.queue("q")
    odd, sound = log.enqueue("q"), log.enqueue("q")
    log.append(Part(enqueues=[odd, sound]))
    for item, carried in ((odd, body), (sound, b'{"user": "quokka"}')):
        log.conn.execute(
            "insert into hivelog.vault (job, slot, token, salt, body) values (%s, 0, 0, '\\x00', %s)"
            " on conflict (job, slot, token) do update set body = excluded.body", (UUID(bytes=item.job), carried),
        )  # fmt: skip
    async with make_pool(database, size=1) as pool:
        await Indexer(pool, Vault(None)).catch_up()
    found = dict(log.conn.execute("select job, terms::text from hivelog.search").fetchall())
    assert search_terms.tail(str(UUID(bytes=odd.job))) in found[UUID(bytes=odd.job)]
    assert "quokka" in found[UUID(bytes=sound.job)]
    log.close()
