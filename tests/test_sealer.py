"""The sealer follows the log, makes one chain of it, and never vouches for what it cannot trust."""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path

import msgspec
import psycopg
import pytest
from hivelog import sql
from hivelog.events import canonical, merkle, seals, signfile, signing
from hivelog.events.digests import digests, numbers
from hivelog.events.pool import connect
from hivelog.events.sealer import Sealer
from hivelog.events.signing import SigningError
from hypothesis import given, settings
from hypothesis import strategies as st

from .sealed_log import opened, ring, seal, write_history

leaf = st.binary(min_size=32, max_size=32)


@given(st.lists(leaf, min_size=1, max_size=100), st.data())
def test_a_path_leads_to_the_root_and_no_other_event_fits(leaves: list[bytes], data: st.DataObject) -> None:
    joined = b"".join(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.proof(joined, index)
    assert merkle.climb(leaves[index], index, len(leaves), path) == merkle.root(joined)
    other = data.draw(leaf)
    if other != leaves[index]:
        assert len(leaves) == 1 or merkle.climb(other, index, len(leaves), path) != merkle.root(joined)
    assert sum(map(len, path)) <= 7 * len(path)


@given(st.lists(leaf, min_size=1, max_size=60), st.lists(leaf, min_size=1, max_size=60))
def test_other_events_have_another_root(one: list[bytes], other: list[bytes]) -> None:
    assert (merkle.root(b"".join(one)) == merkle.root(b"".join(other))) == (one == other)


def test_a_path_of_another_shape_is_refused() -> None:
    joined = os.urandom(32 * 20)
    path = merkle.proof(joined, 3)
    for bad in (path[:-1], [*path, [bytes(32)]], [path[0][:-1], *path[1:]]):
        with pytest.raises(merkle.BadProof):
            merkle.climb(joined[96:128], 3, 20, bad)
    with pytest.raises(merkle.BadProof):
        merkle.climb(joined[:32], 20, 20, path)


async def test_the_log_is_sealed_in_one_chain(database: str) -> None:
    head = write_history(database)
    keys = ring()
    assert await seal(database, keys) == head
    assert await seal(database, keys) == 0
    async with opened(database) as pool, pool.connection() as connection:
        known = await signing.known_keys(connection)
        found = await seals.page(connection, 1, 1000, known)
    assert [one.first for one in found] == [1, *(one.position + 1 for one in found[:-1])]
    assert found[-1].position == head
    assert all(one.is_signed() for one in found)
    assert [one.previous for one in found] == [seals.GENESIS, *(one.hash for one in found[:-1])]
    assert {one.epoch for one in found} == {1}


async def test_python_and_the_database_agree_on_every_column(database: str) -> None:
    head = write_history(database)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(
            "insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size, queue,"
            " attempt, schema, body_digest, correlation, data) values (%s, '2026-01-02 03:04:05.678901+00',"
            " gen_random_uuid(), 2147483647, 'lost', -7, 0, -1, 32767, 3, '', %s, %s)",
            (head + 1, 'größe "\n', '{"z": [1.50, "\\u00e9\\ud83d\\ude00", null], "a": {"b": 1e-7}}'),
        )
    connection = await connect(database, "test")
    try:
        cursor = await connection.execute(sql.load("seal_events"), {"first": 1, "last": head + 1})
        events = [canonical.from_row(row) for row in await cursor.fetchall()]
        assert {canonical.encoded(event, 2)[50] for event in events} == {0, 1, 2, 3}  # every form was tried
        for layout in canonical.FORMATS:
            found = await digests(connection, 1, head + 1, layout)
            assert found.count == len(events) == head + 1
            assert b"".join(canonical.digest(event, layout) for event in events) == found.joined
            values = {"first": 1, "last": head + 1, "format": layout}
            located = await (await connection.execute(sql.load("verify_locate"), values, binary=True)).fetchall()
            assert b"".join(row[1] for row in located) == found.joined
    finally:
        await connection.close()
    again = msgspec.json.decode(msgspec.json.encode(events), type=list[canonical.SealedEvent])
    assert again == events


@pytest.mark.parametrize("layout", canonical.FORMATS)
@pytest.mark.parametrize("kind", ["lost", "started", "completed", "enqueued"])
def test_an_event_hides_in_no_other_column(layout: int, kind: str) -> None:
    """NULL, empty and a shifted border are different events."""
    base = canonical.SealedEvent(1, 0, "00000000-0000-0000-0000-000000000001", 1, kind, 1)
    variants = [
        {}, {"queue": 0}, {"attempt": 0}, {"body_size": 0}, {"body_digest": ""}, {"correlation": ""},
        {"correlation": "a", "data": "{}"}, {"correlation": "a{}"}, {"data": '{"a": 1}'}, {"data": "null"},
        {"body_size": 0, "body_digest": ""}, {"body_size": 0, "body_digest": "00"}, {"type": "failed"},
        {"body_size": 0, "body_digest": "", "type": "failed"}, {"body_size": 0, "body_digest": "00" * 32},
        {"body_size": 0, "body_digest": "00" * 32, "data": "{}"}, {"body_size": 0, "body_digest": "00" * 31, "data": "{}"},
        {"body_size": 0, "body_digest": "00" * 32, "data": "{}", "correlation": ""}, {"body_digest": "00" * 32, "data": "{}"}, {"queue": -32768}, {"attempt": -32768},
    ]  # fmt: skip
    made = {canonical.digest(msgspec.structs.replace(base, **changes), layout) for changes in variants}
    assert len(made) == len(variants)


def test_no_number_passes_for_a_queue_that_is_not_there() -> None:
    event = canonical.SealedEvent(1, 0, "00000000-0000-0000-0000-000000000001", 1, "lost", 1, queue=-32769)
    for layout in canonical.FORMATS:
        with pytest.raises((ValueError, struct.error)):
            canonical.digest(event, layout)


async def test_a_seal_names_whom_its_events_name(database: str) -> None:
    """By bits for small numbers, by reading again for others."""
    head = write_history(database, 3)
    connection = await connect(database, "test")
    try:
        query = "select distinct actor, queue from hivelog.events where position <= %s"
        for last, actor in ((head, 64), (head + 1, 1)):
            rows = await (await connection.execute(query, (last,))).fetchall()
            found = await numbers(connection, 1, last, await digests(connection, 1, last, 2))
            assert [set(each) for each in found] == [{a for a, _ in rows}, {q for _, q in rows if q is not None}]
            await connection.execute(
                "insert into hivelog.events (position, recorded_at, stream, version, type, actor)"
                " values (%s, now(), gen_random_uuid(), 1, 'lost', %s)", (last + 1, actor)
            )  # fmt: skip
    finally:
        await connection.close()


async def test_a_seal_never_spans_two_epochs(database: str) -> None:
    head = write_history(database, 3)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(
            "select hivelog.append(gen_random_uuid(), 1, records => %s)",
            (msgspec.json.encode([{
                "stream": "00000000-0000-0000-0000-0000000000ff", "event": "epoch_started", "actor": 1,
                "data": {"epoch": 2, "system_identifier": "x", "timeline": 1},
            }]).decode(),),
        )  # fmt: skip
    await seal(database, ring(), largest=1000)
    async with opened(database) as pool, pool.connection() as connection:
        found = await seals.page(connection, 1, 10, await signing.known_keys(connection))
    assert [(one.first, one.position, one.epoch) for one in found] == [(1, head, 1), (head + 1, head + 1, 2)]


async def test_two_sealers_make_one_chain(database: str) -> None:
    head = write_history(database)
    keys = ring()
    async with opened(database) as pool:
        both = [Sealer(pool, keys, largest=5) for _ in range(3)]
        await asyncio.gather(*(one.catch_up() for one in both))
        for one in both:
            await one.catch_up()
        async with pool.connection() as connection:
            found = await seals.page(connection, 1, 1000, await signing.known_keys(connection))
    assert [one.previous for one in found] == [seals.GENESIS, *(one.hash for one in found[:-1])]
    assert found[-1].position == head


async def test_a_new_key_needs_the_word_of_the_old_one(database: str) -> None:
    write_history(database, 3)
    old, new = os.urandom(32), os.urandom(32)
    await seal(database, ring(old))
    write_history(database, 3)
    with pytest.raises(SigningError, match="nobody endorses it"):
        await seal(database, ring(new))
    assert await seal(database, ring(new, old)) > 0
    async with opened(database) as pool, pool.connection() as connection:
        known = await signing.known_keys(connection)
    assert signing.trusted_keys(ring(old).public, known) == ring(new, old).public
    assert signing.trusted_keys(ring(new).public, known) == ring(new, old).public
    assert signing.trusted_keys(ring().public, known) & ring(new, old).public == frozenset()


async def test_the_first_key_is_made_once_and_kept_from_others(database: str, tmp_path: Path) -> None:
    connection = await connect(database, "test")
    try:
        made = await signfile.open_ring(connection, (), data=tmp_path / "a")
        again = await signfile.open_ring(connection, (), data=tmp_path / "a")
        elsewhere = await signfile.open_ring(connection, (), data=tmp_path / "b")
    finally:
        await connection.close()
    assert made is not None
    assert again is not None
    assert made.public == again.public
    assert elsewhere is None
    path = signfile.key_path(tmp_path / "a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not signfile.key_path(tmp_path / "b").exists()


@settings(max_examples=5)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=50))
def test_a_signature_is_of_its_key_and_message(seed: bytes, message: bytes) -> None:
    key = signing.SigningKey(seed)
    assert signing.verify(key.public, key.sign(message), message)
    assert not signing.verify(key.public, key.sign(message), message + b"x")
    assert not signing.verify(b"", key.sign(message), message)
    assert signing.from_text(signing.to_text(key.public)) == key.public
