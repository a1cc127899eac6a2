"""`q`: payload fields and words of payloads and errors, in plain text and encrypted; and what must not be found."""

from __future__ import annotations

import asyncio
import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hivelog.broker.engine import Engine
from hivelog.broker.enqueue import Item
from hivelog.broker.jobs import move_of
from hivelog.events.batch import Part
from hivelog.events.job import Decision, Erase, decide
from hivelog.events.keyring import Keyring
from hivelog.events.pool import make_pool
from hivelog.events.vault import Vault
from hivelog.projections import jobs, search, search_terms
from hivelog.projections.search import Indexer
from hivelog.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

from .log_writer import LogWriter
from .web_world import World, served, until

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


QUESTIONS = {
    "user_id:U1-quokka": True,
    "USER_ID:u1-QUOKKA": True,
    "user_id:quokka": False,
    "user_id:u1": False,
    "order.id:77": True,
    "order.paid:true": True,
    "order.lines.sku:a-1 order.lines.sku:b2": True,
    "order.lines.sku:a-1 order.lines.sku:b3": False,
    "sku:b2": False,
    'subject:"Your invoice\'s \\ here"': True,
    "invoice": True,
    '"invoice your"': True,
    "U1-quokka": True,
    "77 invoice": True,
    "77 voice": False,
    "'; drop": False,
    "a&b|c!(d):*x": False,
}


async def test_fields_and_words(world: World) -> None:
    job = await post(world, PAYLOAD)
    other = await post(world, {"user_id": "u2"})
    assert {q: await ids(world, q) == [job] for q in QUESTIONS} == QUESTIONS
    assert [q for q in QUESTIONS if await ids(world, q) not in ([job], [])] == []
    assert await ids(world, "user_id:u2", ONE, status="queued") == [other]
    assert await ids(world, "user_id:u2", ONE, status="failed") == []
    assert await ids(world, "user_id:u2", "/queue/reports/jobs") == []


async def test_words_of_errors(world: World) -> None:
    job = await post(world, {"user_id": "u1"}, max_retries=0)
    await run_once(world, job, "failed", error="OSError: no route to host-9 'zebra'")
    await post(world, {"user_id": "u1"})
    assert await ids(world, "zebra") == await ids(world, "host-9 OSERROR user_id:u1") == [job]
    assert await ids(world, "zebra", type="mail", status="failed") == [job]
    assert await ids(world, "zebra", type="other") == []


async def test_pages_go_on_where_they_end(world: World) -> None:
    made = [await post(world, {"n": n, "all": "x"}) for n in range(7)]
    assert await ids(world, "all:x") == made[::-1]
    got: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = (await world.client.get("/jobs", params={"q": "all:x", "limit": 3, **after})).json()
        got += [job["id"] for job in answer["jobs"]]
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    assert got == made[::-1]


@pytest.mark.parametrize("matches", [1, 3, 100])
async def test_rare_and_common_words_are_found_by_every_way(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, matches: int
) -> None:
    """Among the newest, by the index, or by looking on; with a filter that leaves few of them."""
    monkeypatch.setattr(jobs, "_NEWEST", 2)
    monkeypatch.setattr(jobs, "_MATCHES", matches)
    async with serve() as world:
        made = [
            await post(world, {"w": "common", "n": n, "x": "rare" if n in (1, 2, 9) else "no"}, source="ab"[n % 2])
            for n in range(14)
        ][::-1]
        wanted = {
            "common": made, "x:rare": [made[4], made[11], made[12]], "n:0": [made[13]], "n:13": [made[0]], "none": [],
        }  # fmt: skip
        for q, expected in wanted.items():
            for source in (None, "a", "b"):
                sought = [job for job in expected if source in (None, "ab"[(13 - made.index(job)) % 2])]
                assert await _all_pages(world, q, source) == sought, (q, source)


async def _all_pages(world: World, q: str, source: str | None) -> list[str]:
    head = (await world.client.get("/queue/status")).json()["position"]
    params = {"q": q, "after_position": head, "limit": 3} | ({} if source is None else {"source": source})
    found: list[str] = []
    while True:
        page = (await world.client.get("/jobs", params=params)).json()
        found += [job["id"] for job in page["jobs"]]
        if page.get("next") is None:
            return found
        params["after"] = page["next"]


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


async def test_a_question_that_cannot_be_answered_is_refused(world: World) -> None:
    for q in ("   ", "...", "user_id:", " ".join("abcdefghijk"), "x" * 501, "a:" + "x" * 201):
        answer = await world.client.get("/jobs", params={"q": q})
        assert answer.status_code == 400, q
        assert answer.json()["detail"]["field"] == "q"


async def test_beginnings_are_found_in_plain_text_only(serve: Serve) -> None:
    async with serve() as world:
        job = await post(world, PAYLOAD)
        assert await ids(world, "quok*") == await ids(world, "user_id:u1*") == [job]
    async with serve(KEY) as world:
        assert await ids(world, "quokka") == [job]  # it was plain, and stays so
        answer = await world.client.get("/jobs", params={"q": "quok*"})
        assert answer.status_code == 400


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


def test_terms_are_bounded_in_number_and_length() -> None:
    wide = {f"k{n}": f"w{n} " + "y" * 150 for n in range(10_000)}
    terms = search_terms.terms_of(_json(wide), ["e " * 5, " ".join(f"x{n}" for n in range(9999))])
    assert sum(1 for path, _ in terms if path) == search_terms.FIELDS
    assert len(terms) <= search_terms.FIELDS + search_terms.WORDS + search_terms.ERROR_WORDS
    assert max(len(value) for _, value in terms) <= 200
    (word,) = search_terms.terms_of(_json("z" * 5000))
    assert word == ("", "z" * 64)
    assert search_terms.terms_of(_json({"k" * 300: 1})) == [("", "1")]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=250),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=250), inner, max_size=4),
        max_leaves=12,
    )
)
def test_whatever_a_payload_holds_postgresql_takes_its_terms(connection_of_run: Any, payload: Any) -> None:
    terms = search_terms.terms_of(_json(payload))
    row = connection_of_run.execute("select %s::tsvector", (search_terms.vector(terms, None),)).fetchone()
    assert row is not None
    words = [value for path, value in terms if not path][:10]
    if words:
        asked = search_terms.ask(" ".join(words), None, exact=False)
        row = connection_of_run.execute(
            "select %s::tsvector @@ %s::tsquery", (search_terms.vector(terms, None), asked)
        ).fetchone()
        assert row == (True,)


@pytest.fixture(scope="module")
def connection_of_run(servers: Any) -> Any:
    with psycopg.connect(servers.admin_url, autocommit=True) as conn:
        yield conn


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


@pytest.mark.parametrize("body", [b"not json", b"", b"NULL", b'"\xff"', b'"\x00"', b'"\\u0000"', "\ufffe".encode()])
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
