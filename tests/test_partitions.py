"""Partitions of the log are there before they are needed, whoever makes them and whatever else runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from hivelog.events import partitions, pool
from hivelog.events.batch import Part, Record
from hivelog.events.log import Log
from hivelog.events.partitions import Partitions
from hivelog.events.pool import Connection

SIZE = 5_000_000
TABLES = (
    "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid "
    "where i.inhparent = 'hivelog.events'::regclass order by 1"
)


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    connection = await pool.connect(database, "test")
    yield connection
    await connection.close()


async def names(conn: Connection) -> list[str]:
    return [row[0] for row in await (await conn.execute(TABLES)).fetchall()]


async def move_head(conn: Connection, position: int) -> None:
    """As if this many events had been written."""
    await conn.execute(
        "insert into hivelog.batches (position, first, recorded_at, epoch, batch_id) "
        "values (%s, %s, hivelog.now(), 1, gen_random_uuid())",
        (position, position),
    )


async def write(conn: Connection, position: int) -> None:
    await conn.execute(
        "insert into hivelog.events (position, recorded_at, stream, version, type, actor) "
        "values (%s, hivelog.now(), gen_random_uuid(), 1, 'config_changed', 1)",
        (position,),
    )


def some_event() -> Part:
    return Part(records=[Record("00000000-0000-0000-0000-000000000001", "scaled", 1)])


async def test_the_migration_leaves_two_ahead(conn: Connection) -> None:
    assert await partitions.status(conn) == Partitions(ahead=2, default_rows=0, total=3)
    assert await partitions.ensure(conn) == 0


async def test_they_follow_the_head(conn: Connection) -> None:
    await move_head(conn, SIZE - 1)
    assert (await partitions.status(conn)).ahead == 2
    await move_head(conn, SIZE)
    assert (await partitions.status(conn)).ahead == 1
    assert await partitions.ensure(conn) == 1
    await move_head(conn, 5 * SIZE + 17)
    assert (await partitions.status(conn)).ahead == 0
    assert await partitions.ensure(conn) == 3
    assert (await partitions.status(conn)).ahead == 2
    assert (await names(conn))[-2:] == ["events_000006", "events_default"]


async def test_made_by_migration_or_by_function_they_are_the_same(conn: Connection) -> None:
    await partitions.ensure(conn, 3)
    shapes = []
    for name in ("events_000002", "events_000003"):
        cursor = await conn.execute(
            "select replace(pg_get_indexdef(i.indexrelid), %(name)s, '') as it from pg_index i "
            "where i.indrelid = %(table)s::regclass union all "
            "select replace(pg_get_triggerdef(t.oid), %(name)s, '') || t.tgenabled::text from pg_trigger t "
            "where t.tgrelid = %(table)s::regclass union all "
            "select replace(conname || pg_get_constraintdef(c.oid), %(name)s, '') from pg_constraint c "
            "where c.conrelid = %(table)s::regclass order by it",
            {"name": name, "table": f"hivelog.{name}"},
        )
        shapes.append(await cursor.fetchall())
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) >= 5


async def test_each_event_lands_in_its_range(conn: Connection) -> None:
    for position in (1, SIZE - 1, SIZE, 3 * SIZE - 1, 3 * SIZE):
        await write(conn, position)
    cursor = await conn.execute(
        "select position, tableoid::regclass::text from hivelog.events order by position"
    )
    places = [(position, table.removeprefix("hivelog.")) for position, table in await cursor.fetchall()]
    assert places == [
        (1, "events_000000"), (SIZE - 1, "events_000000"), (SIZE, "events_000001"),
        (3 * SIZE - 1, "events_000002"), (3 * SIZE, "events_default"),
    ]  # fmt: skip


async def test_a_range_that_strayed_into_the_default_partition_stays_there(conn: Connection) -> None:
    await move_head(conn, 3 * SIZE + 1)
    await write(conn, 3 * SIZE + 1)
    assert await partitions.status(conn) == Partitions(ahead=0, default_rows=1, total=3)
    assert await partitions.ensure(conn) == 2
    assert await partitions.status(conn) == Partitions(ahead=2, default_rows=1, total=5)
    cursor = await conn.execute("select min(low) from hivelog.events_partitions() where low > %s", (2 * SIZE,))
    assert await cursor.fetchone() == (4 * SIZE,)
    await write(conn, 3 * SIZE + 2)
    await write(conn, 4 * SIZE)


async def test_many_processes_make_each_once(database: str, conn: Connection) -> None:
    await move_head(conn, 9 * SIZE)
    others = [await pool.connect(database, f"test {number}") for number in range(6)]
    made = await asyncio.gather(*(partitions.ensure(other) for other in others))
    for other in others:
        await other.close()
    assert sum(made) == 3
    assert (await partitions.status(conn)).ahead == 2


async def test_appends_run_on_while_partitions_come(database: str, conn: Connection) -> None:
    log = Log(database)
    await log.open()
    running = True

    async def append() -> int:
        count = 0
        while running:
            await log.append([some_event()])
            count += 1
        return count

    appends = asyncio.create_task(append())
    for ahead in range(3, 12):
        assert await partitions.ensure(conn, ahead) == 1
    running = False
    count = await appends
    await log.close()
    assert count > 0
    cursor = await conn.execute("select count(*), max(position) from hivelog.events")
    assert await cursor.fetchone() == (count, count)


async def test_an_attach_gives_way_to_a_reader_that_holds_on(database: str, conn: Connection) -> None:
    reader = await psycopg.AsyncConnection.connect(database)
    await reader.execute("select * from hivelog.events")  # in a transaction: locks every partition
    waiting = asyncio.create_task(partitions.ensure(conn, 3))
    log = Log(database)
    await log.open()
    for _ in range(20):
        async with asyncio.timeout(5):
            await log.append([some_event()])
    assert not waiting.done()
    await reader.rollback()
    async with asyncio.timeout(20):
        assert await waiting == 1
    await log.close()
    await reader.close()


async def test_a_reader_that_never_lets_go_is_reported(
    database: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_ATTEMPTS", 2)
    reader = await psycopg.AsyncConnection.connect(database)
    await reader.execute("select * from hivelog.events")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        await partitions.ensure(conn, 3)
    await reader.close()
    assert "events_000003" not in await names(conn)
    assert await partitions.ensure(conn, 3) == 1
