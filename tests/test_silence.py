"""A connection over which nothing comes any more costs seconds, not for ever, and no session its life."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
import uvloop
from hivelog.events import log as log_module
from hivelog.events import pool
from hivelog.events.appender import Appender
from hivelog.events.log import Log

from .batches import Desk, part
from .intact import assert_intact
from .proxy import proxied
from .test_worker import opened


async def test_a_silent_answer_is_a_lost_connection(database: str, tmp_path: Path) -> None:
    async with proxied(database, tmp_path) as proxy:
        connection = await pool.connect(proxy.url, "test", silence=0.3)
        proxy.links[0].stall()
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("select 1")
        assert time.monotonic() - began < 3, "without asking the silent server to cancel"
        assert connection.closed


async def test_pools_give_up_silent_connections(database: str, tmp_path: Path) -> None:
    async with proxied(database, tmp_path) as proxy, pool.make_pool(proxy.url, size=1) as reads:
        async with reads.connection() as connection:
            connection.silence = 0.3
            await connection.execute("select 1")
        proxy.links[0].stall()
        with pytest.raises(psycopg.OperationalError):
            async with reads.connection() as connection:
                await connection.execute("select 1")
        async with reads.connection() as connection:
            await connection.execute("select 1")


async def test_a_heartbeat_outlives_its_connection(database: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        proxied(database, tmp_path) as proxy,
        opened(proxy.url, redis_url, probe=database) as bench,
    ):
        sessions = bench.engine.sessions
        session = await sessions.open("w", ["work"], ["note"], 1, host="here", pid=1)
        assert await sessions.beat(session, [], 0) is not None
        proxy.links[-1].stall()
        began = time.monotonic()
        held = await sessions.beat(session, [], 0)
        assert held is not None
        assert not held.gone
        assert time.monotonic() - began < session.heartbeat


@pytest.mark.parametrize("answered", [False, True])
async def test_an_append_outlives_its_connection(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setattr(log_module, "_SILENCE", 0.5)
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        await appender.submit(part(desk.enqueue()))
        posted = None
        if answered:  # the server gets it, and its answer gets no further
            posted = asyncio.ensure_future(appender.submit(part(desk.enqueue())))
            await asyncio.sleep(0)
        proxy.links[-1].stall()
        outcome = await (posted or appender.submit(part(desk.enqueue())))
        assert outcome.positions["n"] == [2]
        await appender.stop()
    assert_intact(database)


def test_a_server_that_dies_with_a_call_unread_is_noticed(database: str) -> None:
    """On uvloop, which does not report a socket on which an error is pending."""

    async def scenario() -> None:
        desk = Desk(database)
        appender = Appender(Log(database))
        await appender.start()
        for number in range(1, 11):
            connection = appender.log._connection
            assert connection is not None
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            posted = appender.post(part(desk.enqueue()))
            while not appender.log._append.waiting:
                await asyncio.sleep(0)
            os.kill(backend, signal.SIGTERM)
            os.kill(backend, signal.SIGCONT)
            outcome = await asyncio.wait_for(posted, 5)
            assert outcome.positions["n"] == [number]
        await appender.stop()

    uvloop.run(asyncio.wait_for(scenario(), 60))
    assert_intact(database)
