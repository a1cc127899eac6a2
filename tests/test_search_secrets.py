"""What search must not find, and where nothing of it may be: what was erased or replaced, plain text beside encryption,
and hashes by a key that is to go."""

from __future__ import annotations

from uuid import UUID

import psycopg
from hivelog.broker.jobs import move_of
from hivelog.events.batch import Part
from hivelog.events.job import Decision, Erase, decide
from hivelog.events.keyring import Keyring
from hivelog.projections import search, search_terms

from .search_world import KEY, NEWER, PAYLOAD, Serve, ids, post, run_once, serve, world
from .web_world import World, until

__all__ = ["serve", "world"]  # fixtures


async def test_a_new_payload_and_an_erased_one(world: World) -> None:
    job = await post(world, {"user_id": "u1"})
    await world.client.post(f"/job/{job}/cancel")
    assert await ids(world, "user_id:u1") == [job]
    await world.client.post(f"/job/{job}/retry", json={"payload": {"user_id": "u3"}})
    assert await ids(world, "user_id:u1") == []
    assert await ids(world, "user_id:u3") == [job]
    await world.client.post(f"/job/{job}/cancel")
    await erase(world, job)
    assert await ids(world, "user_id:u3") == []
    async with world.services.pool.connection() as connection:
        query = "select tsvector_to_array(terms) from hivelog.search where job = %s"
        left = await (await connection.execute(query, (job,))).fetchone()
    assert left == (["#~" + job[-8:]],), "the end of its id, by which it is still found"


async def erase(world: World, job: str) -> None:
    """What the command for it will write."""
    engine = world.services.engine
    state, now, _ = await engine.jobs._load(UUID(job).bytes, sealing=False)
    decision = decide(state, Erase(), now)
    assert isinstance(decision, Decision)
    move = await move_of(state, decision, await engine.names.actor_id("test"), engine.names)
    assert not (await engine.appender.submit(Part(moves=[move]))).refused


async def test_no_table_holds_plain_text_with_encryption_on(serve: Serve, database: str) -> None:
    async with serve(KEY) as world:
        job = await post(world, {"user_id": "quokka4711", "note": "wombat4712 text"}, max_retries=0)
        await run_once(world, job, "failed", error="ValueError: numbat4713 is 'bilby4714'")
        assert await ids(world, "user_id:quokka4711 wombat4712 numbat4713 bilby4714") == [job]
    assert not _places(database, "quokka4711", "wombat4712", "numbat4713", "bilby4714")


async def test_that_test_finds_what_is_plain(serve: Serve, database: str) -> None:
    async with serve() as world:
        job = await post(world, {"user_id": "quokka4711"})
        assert await ids(world, "quokka4711") == [job]
    assert {"vault", "search"} <= _places(database, "quokka4711")


def _places(database: str, *words: str) -> set[str]:
    """Tables of any schema of ours in which a row has one of the words, as text or as bytes."""
    found = set()
    with psycopg.connect(database) as conn:
        tables = conn.execute(
            "select c.oid::regclass::text, c.relname from pg_class c"
            " where c.relnamespace = 'hivelog'::regnamespace and c.relkind = 'r'"
        ).fetchall()
        assert len(tables) > 15
        for table, name in tables:
            for word in words:
                hidden = word.encode().hex()
                query = f"select from {table} t where t::text ~* %s limit 1"
                if conn.execute(query, (f"{word}|{hidden}",)).fetchone() is not None:
                    found.add(name)
    return found


async def test_a_new_key_hashes_all_again_so_that_the_old_one_may_go(serve: Serve) -> None:
    async with serve(KEY) as world:
        job = await post(world, PAYLOAD)
        assert await ids(world, "quokka") == [job]
    async with serve(NEWER, KEY) as world:
        assert await ids(world, "quokka") == [job]
        number = world.services.vault.keys.first.number  # type: ignore[union-attr]
        await until(lambda: _stands(world, number))
        newest = await post(world, {"user_id": "quokka"})
        assert await ids(world, "quokka") == [newest, job]
        vector = await _vector(world, job)
    old, new = Keyring.from_settings([KEY]).first, Keyring.from_settings([NEWER]).first
    assert search_terms.vector([("", "quokka")], new) in vector
    assert search_terms.vector([("", "quokka")], old) not in vector


async def _stands(world: World, kek: int) -> bool:
    async with world.services.pool.connection() as connection:
        at = await search.state(connection)
        return at.kek == kek and at.position == at.head


async def _vector(world: World, job: str) -> str:
    async with world.services.pool.connection() as connection:
        cursor = await connection.execute("select terms::text from hivelog.search where job = %s", (job,))
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
