"""A restored or failed-over database begins a new epoch: once, and loudly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from hivelog.events import epoch, pool
from hivelog.events.batch import Part, Record
from hivelog.events.epoch import Identity, New, Same
from hivelog.events.errors import EpochChanged
from hivelog.events.log import Log
from hivelog.events.pool import Connection


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    connection = await pool.connect(database, "test")
    yield connection
    await connection.close()


async def opened(database: str) -> Log:
    log = Log(database)
    await log.open()
    return log


async def value(conn: Connection, query: str) -> Any:
    return await (await conn.execute(query)).fetchone()


async def pretend(conn: Connection, change: str) -> None:
    """As if the log had been written on another server."""
    await epoch.check(conn)
    await conn.execute(f"update hivelog.identity set {change}")


def some_event() -> Part:
    return Part(records=[Record("00000000-0000-0000-0000-000000000001", "scaled", 1)])


async def test_the_first_start_writes_down_where_it_was(conn: Connection) -> None:
    here = await epoch.identity(conn)
    control = await value(conn, "select system_identifier::text from pg_control_system()")
    assert (here.system_identifier, here.timeline) == (*control, 1)
    assert await value(conn, "select count(*) from hivelog.identity") == (0,)
    assert await epoch.check(conn) == Same(1, here)
    assert await epoch.check(conn) == Same(1, here)
    row = await value(conn, "select epoch, system_identifier, timeline from hivelog.identity")
    assert row == (1, here.system_identifier, here.timeline)


@pytest.mark.parametrize(
    ("change", "reason"),
    [("system_identifier = 'another'", "system_identifier"), ("timeline = 7", "timeline")],
)
async def test_another_server_opens_a_new_epoch(
    database: str, conn: Connection, change: str, reason: str
) -> None:
    old = await opened(database)
    before = await old.append([some_event()])
    await pretend(conn, change)
    here = await epoch.identity(conn)
    assert await epoch.check(conn) == New(1, here, reason)

    log = await opened(database)
    with structlog.testing.capture_logs() as logs:
        assert await epoch.ensure(log, conn, 1) == 2
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert "restored or failed over" in logs[0]["event"]
    assert (before.epoch, log.epoch) == (1, 2)
    assert await epoch.check(conn) == Same(2, here)
    row = await value(conn, "select data, position from hivelog.events where type = 'epoch_started'")
    assert row[0] == {
        "epoch": 2,
        "system_identifier": here.system_identifier,
        "timeline": here.timeline,
        "reason": reason,
    }
    assert await value(conn, f"select epoch from hivelog.batches where position = {row[1]}") == (2,)

    with pytest.raises(EpochChanged):
        await old.append([some_event()])
    after = await log.append([some_event()])
    assert (after.epoch, after.first) == (2, row[1] + 1)
    await old.close()
    await log.close()


async def test_an_epoch_that_was_lost_with_the_tail_has_its_number_for_ever(
    database: str, conn: Connection
) -> None:
    await pretend(conn, "timeline = 7")
    log = await opened(database)
    log.memory.saw(3, 5232)  # of the log that was put back to where it is now
    assert await epoch.ensure(log, conn, 1) == 4
    query = "select data ->> 'epoch', data ->> 'reason' from hivelog.events where type = 'epoch_started'"
    assert await value(conn, query) == ("4", "timeline")
    assert isinstance(await epoch.check(conn, log.memory), Same)
    await log.close()


async def test_many_processes_open_one_epoch(database: str, conn: Connection) -> None:
    await pretend(conn, "system_identifier = 'another'")
    logs = [await opened(database) for _ in range(5)]
    conns = [await pool.connect(database, "test") for _ in range(5)]
    found = await asyncio.gather(*(epoch.ensure(log, each, 1) for log, each in zip(logs, conns, strict=True)))
    assert found == [2] * 5
    query = "select count(*) from hivelog.events where type = 'epoch_started'"
    assert await value(conn, query) == (1,)
    for each in (*logs, *conns):
        await each.close()


async def test_who_knows_more_than_the_log_opens_one_too(database: str, conn: Connection) -> None:
    found = await epoch.check(conn)
    log = await opened(database)
    assert await epoch.open_epoch(log, found.identity, found.epoch, 1, "ahead") == 2
    assert await epoch.open_epoch(log, found.identity, found.epoch, 1, "ahead") == 2
    assert await epoch.ensure(log, conn, 1) == 2
    await log.close()


async def test_a_timeline_that_is_not_told_ends_nothing(conn: Connection) -> None:
    await pretend(conn, "timeline = 0")
    assert isinstance(await epoch.check(conn), Same)
    here = await epoch.identity(conn)
    assert isinstance(here, Identity)
