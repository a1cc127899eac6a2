"""A superuser alters sealed history in every way, and each is found where it was done."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hivelog.events import anchors, canonical, seals, signing
from hivelog.events.anchors import Anchor
from hivelog.events.findings import Report
from hivelog.events.signing import SigningRing
from hivelog.events.verify import Verifier

from .conftest import new_database
from .sealed_log import opened, ring, seal, superuser, write_history

SEED = bytes(range(32))
JOBS = 12  # 38 events, in seals of eight
LARGEST = 8


@pytest.fixture(scope="module", params=canonical.FORMATS)
def sealed_template(servers: Any, template: str, request: Any) -> Iterator[str]:
    """Written and sealed once in each format, since every test wants the same."""
    with new_database(servers, template) as url:
        write_history(url, JOBS)
        asyncio.run(seal(url, ring(SEED), largest=LARGEST, layout=request.param))
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database(servers: Any, sealed_template: str) -> Iterator[str]:
    """A sealed log of one's own; position 20 lies in the seal 17..24."""
    with new_database(servers, sealed_template) as url:
        yield url


@pytest.fixture
def head(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("select max(position) from hivelog.events").fetchone()
    assert row is not None
    return int(row[0])


async def verified(
    database: str, keys: SigningRing | None = None, known: list[Anchor] | None = None, **window: Any
) -> Report:
    async with opened(database) as pool:
        trusted = (keys or ring(SEED)).public
        return await Verifier(pool, trusted, known or []).verify(**window)


async def anchors_of(database: str) -> list[Anchor]:
    async with opened(database) as pool, pool.connection() as connection:
        found = await seals.page(connection, 1, 1000, await signing.known_keys(connection))
    return [anchors.anchor_of(one) for one in found]


def told(report: Report) -> list[tuple[str, int, int]]:
    return [(found.kind, found.first, found.last) for found in report.findings]


async def test_an_untouched_log_is_intact(database: str, head: int) -> None:
    report = await verified(database)
    assert (report.verdict, report.events, report.sealed_to, report.unsealed) == ("intact", head, head, 0)
    assert report.findings == []
    assert report.tail.provable_to is None
    assert "cut off" in report.tail.note
    write_history(database, 2)
    report = await verified(database, known=await anchors_of(database))
    assert (report.verdict, report.unsealed > 0, report.tail.provable_to) == ("intact", True, head)


EDITS = {
    "recorded_at": "recorded_at + interval '1 microsecond'", "stream": "gen_random_uuid()",
    "version": "version + 1", "type": "'cancelled'", "actor": "actor + 1", "body_size": "coalesce(body_size, 0) + 1",
    "queue": "coalesce(queue, 0) + 1", "attempt": "coalesce(attempt, 0) + 1", "schema": "schema + 1",
    "body_digest": "sha256('x')", "correlation": "coalesce(correlation, '') || 'x'",
    "data": "jsonb_set(coalesce(data, '{}'), '{x}', '1')",
}  # fmt: skip


async def test_an_edit_of_any_column_is_found(servers: Any, database: str, head: int) -> None:
    with superuser(servers, database) as root:
        for column, value in EDITS.items():
            with kept(root, "events"):
                root.execute(f"update hivelog.events set {column} = {value} where position = 20")
                report = await verified(database)
            assert told(report) == [("altered", 20, 20)], column
            assert report.verdict == "altered"
    assert (await verified(database)).verdict == "intact"


@contextlib.contextmanager
def kept(root: psycopg.Connection, table: str) -> Iterator[None]:
    """As it was, afterwards."""
    root.execute(f"create temporary table kept as table hivelog.{table}")
    yield
    root.execute(f"delete from hivelog.{table}")
    root.execute(f"insert into hivelog.{table} overriding system value table kept")
    root.execute("drop table kept")


async def test_every_column_was_tried(database: str) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute("select * from hivelog.events limit 0").description or []
    assert {column.name for column in rows} == {*EDITS, "position"}


SWAP = """update hivelog.events e set (recorded_at, stream, version, type, actor, body_size, queue, attempt, schema,
    body_digest, correlation, data) = (select o.recorded_at, o.stream, o.version, o.type, o.actor, o.body_size,
    o.queue, o.attempt, o.schema, o.body_digest, o.correlation, o.data from hivelog.events o
    where o.position = 41 - e.position) where e.position in (20, 21)"""
COPY = """insert into hivelog.events select {at}, recorded_at, gen_random_uuid(), version, type, actor, body_size,
    queue, attempt, schema, body_digest, correlation, data from hivelog.events where position = 20"""
CASES = {
    "delete one": (["delete from hivelog.events where position = 20"], [("missing", 20, 20)]),
    "delete a run over two seals": (
        ["delete from hivelog.events where position between 22 and 27"], [("missing", 22, 24), ("missing", 25, 27)],
    ),
    "delete the first": (["delete from hivelog.events where position = 1"], [("missing", 1, 1)]),
    "swap two": (
        ["drop index hivelog.events_000000_stream_version_idx", SWAP], [("altered", 20, 20), ("altered", 21, 21)],
    ),
    "move one": (
        ["delete from hivelog.events where position = 21", "update hivelog.events set position = 21 where position = 20"],
        [("missing", 20, 20), ("altered", 21, 21)],
    ),
    "insert before the first": ([COPY.format(at=0)], [("inserted", 0, 0)]),
    "insert at a taken position, where a column may not be null": (
        [
            "alter table hivelog.events drop constraint events_pkey", "alter table hivelog.events alter actor drop not null",
            COPY.format(at=24).replace("actor", "null"),
        ],
        [("inserted", 24, 24)],
    ),
    "insert at a taken position": (
        ["alter table hivelog.events drop constraint events_pkey", COPY.format(at=20)], [("inserted", 20, 20)],
    ),
    "rename an actor": (
        ["update hivelog.actors set name = 'user:mallory' where name = 'test'"], [("renamed", 1, 8)],
    ),
    "rename a queue": (["update hivelog.queues set name = 'other' where name = 'q'"], [("renamed", 1, 8)]),
    "truncate the tail": (["delete from hivelog.events where position > 30"], None),
    "truncate the tail with its batches": (
        ["delete from hivelog.events where position > 30", "delete from hivelog.batches where position > 30"], None,
    ),
    "delete a seal": (["delete from hivelog.seals where position = 24"], [("seal_missing", 17, 24)]),
    "delete the first seal": (["delete from hivelog.seals where position = 8"], [("seal_missing", 1, 8)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_what_was_altered_is_found_and_located(
    servers: Any, database: str, head: int, case: str
) -> None:
    statements, expected = CASES[case]
    with superuser(servers, database) as root:
        for statement in statements:
            root.execute(statement)
    report = await verified(database)
    assert report.verdict == "altered"
    if expected is None:
        assert {(kind, first) for kind, first, _ in told(report)} >= {("missing", 31)}
    else:
        assert told(report) == expected


async def test_what_was_put_behind_the_head_is_found(servers: Any, database: str, head: int) -> None:
    with superuser(servers, database) as root:
        root.execute(COPY.format(at=head + 1))
    assert told(await verified(database)) == [("inserted", head + 1, head + 1)]


SEAL_EDITS = {
    "epoch": "epoch + 1", "format": "3 - format", "sealed_at": "sealed_at - interval '1 day'", "root": "sha256('x')",
    "previous": "sha256('x')", "signature": "sha256('x') || sha256('y')", "names": "'{\"actor\":{},\"queue\":{}}'",
    "prints": "prints || '\\x00'", "key": "7", "first": "first + 1",
}  # fmt: skip


@pytest.mark.parametrize("place", ["middle", "last"])
async def test_an_edit_of_a_seal_is_found(servers: Any, database: str, head: int, place: str) -> None:
    at = 24 if place == "middle" else head
    with superuser(servers, database) as root:
        for column, value in SEAL_EDITS.items():
            with kept(root, "seals"):
                root.execute(f"update hivelog.seals set {column} = {value} where position = %s", (at,))
                report = await verified(database)
            assert report.verdict == "altered", column
            assert any(first <= at <= last + 8 for _, first, last in told(report)), (column, told(report))
            assert {kind for kind, _, _ in told(report)} <= {
                "seal_altered", "unknown_key", "seal_missing", "renamed"
            }, (column, told(report))
    assert (await verified(database)).verdict == "intact"


async def reseal(servers: Any, database: str, keys: SigningRing, change: str) -> None:
    """History changed, all seals made anew by a key of the attacker's own."""
    with superuser(servers, database) as root:
        root.execute(change)
        root.execute("delete from hivelog.seals")
        root.execute("delete from hivelog.seal_keys")
    await seal(database, keys, largest=LARGEST)


async def test_a_log_sealed_anew_with_another_key_is_found(servers: Any, database: str, head: int) -> None:
    before = await anchors_of(database)
    await reseal(servers, database, ring(os.urandom(32)), "update hivelog.events set actor = 1 where position = 20")
    assert told(await verified(database)) == [("unknown_key", 1, head)]
    # With the key itself it would pass; an anchor outside shows that, too.
    await reseal(servers, database, ring(SEED), "update hivelog.events set actor = 2 where position = 20")
    assert (await verified(database)).verdict == "intact"
    report = await verified(database, known=before)
    assert report.verdict == "altered"
    assert {kind for kind, _, _ in told(report)} == {"anchor_differs"}


async def test_a_part_sealed_anew_is_found(servers: Any, database: str, head: int) -> None:
    """The tail replaced and sealed by another key, which the thief writes down as endorsed."""
    with superuser(servers, database) as root:
        root.execute("update hivelog.events set attempt = 9 where position = 20")
        root.execute("delete from hivelog.seals where position > 16")
        root.execute("update hivelog.seal_keys set public_key = sha256('x')")
        root.execute("select hivelog.add_seal_key(sha256('y'), 1::smallint, sha256('a') || sha256('b'))")
    report = await verified(database)
    assert report.verdict == "altered"
    thief = os.urandom(32)
    with superuser(servers, database) as root:
        root.execute("delete from hivelog.seal_keys")
    async with opened(database) as pool, pool.connection() as connection:
        await connection.execute("select hivelog.add_seal_key(%s, null, null)", (ring(SEED).first.public,))
    with pytest.raises(signing.SigningError):
        await seal(database, ring(thief), largest=LARGEST)


async def test_a_cut_tail_shows_only_by_an_anchor(servers: Any, database: str, head: int) -> None:
    known = await anchors_of(database)
    with superuser(servers, database) as root:
        for table in ("events", "seals", "batches"):
            root.execute(f"delete from hivelog.{table} where position > 24")
    report = await verified(database)
    assert report.verdict == "intact"
    assert report.tail.provable_to is None
    report = await verified(database, known=known)
    assert told(report)[-1] == ("tail_cut", 25, head)
    assert report.tail.provable_to == 24


async def test_a_restore_is_told_as_a_restore(servers: Any, database: str, head: int) -> None:
    """The database of an older backup opens a new epoch, and the anchors of the old one do not cry wolf."""
    known = await anchors_of(database)
    with superuser(servers, database) as root:
        for table in ("events", "seals", "batches"):
            root.execute(f"delete from hivelog.{table} where position > 24")
        root.execute(
            """select hivelog.append(gen_random_uuid(), 1, records => '[{"stream":
            "00000000-0000-0000-0000-0000000000ff", "event": "epoch_started", "actor": 1,
            "data": {"epoch": 2, "system_identifier": "x", "timeline": 1}}]')"""
        )
    await seal(database, ring(SEED), largest=LARGEST)
    report = await verified(database, known=known)
    assert report.verdict == "rewound"
    assert [(one.epoch, one.kept, one.known) for one in report.rewinds] == [(1, 24, head)]
    assert [(one.epoch, one.first) for one in report.epochs] == [(1, 1), (2, 25)]
    assert report.findings == []


async def test_keys_are_rotated_and_old_seals_stay_valid(database: str, head: int) -> None:
    new = os.urandom(32)
    write_history(database, 3)
    await seal(database, ring(new, SEED), largest=LARGEST)
    write_history(database, 3)
    await seal(database, ring(new), largest=LARGEST)
    for keys in (ring(SEED), ring(new), ring(new, SEED)):
        report = await verified(database, keys)
        assert (report.verdict, report.events) == ("intact", report.head)
        for window in ({"first": 1, "last": 10}, {"first": 20, "most": 8}, {"first": head + 1}):
            assert (await verified(database, keys, **window)).verdict == "intact", window
    assert (await verified(database, ring(os.urandom(32)))).verdict == "altered"


async def test_a_log_goes_on_in_a_newer_format(servers: Any, database: str, head: int) -> None:
    """The template is of either; what follows is of the newest."""
    end = write_history(database, 4)
    await seal(database, ring(SEED), largest=LARGEST)
    report = await verified(database)
    assert (report.verdict, report.events) == ("intact", end)
    with superuser(servers, database) as root:
        for at in (20, end):
            root.execute("update hivelog.events set version = version + 1 where position = %s", (at,))
    assert told(await verified(database)) == [("altered", 20, 20), ("altered", end, end)]


async def test_windows_together_are_the_whole(servers: Any, database: str, head: int) -> None:
    with superuser(servers, database) as root:
        root.execute("delete from hivelog.seals where position = 16")
        root.execute("update hivelog.events set version = 7 where position = 30")
    first: int | None = 1
    seen, events, calls = set(), 0, 0
    while first is not None:
        report = await verified(database, first=first, most=10)
        seen |= set(told(report))
        events, calls, first = events + report.events, calls + 1, report.next
        assert calls < 10
    assert seen >= {("seal_missing", 9, 16), ("altered", 30, 30)}
    assert events == head - 8
