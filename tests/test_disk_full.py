"""PostgreSQL has no room: who can repeat is told within seconds, results are held, and it goes on by itself."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest
from hivelog.events.appender import Appender
from hivelog.events.errors import DatabaseUnavailable
from hivelog.events.log import Log

from .batches import Desk, complete, part
from .intact import assert_intact
from .web_world import until

# What the server says when it cannot extend a table; nobody here may fill the disk of this machine. A sequence
# counts what is tried, since it takes part in no rollback.
FULL = """
create sequence public.tries;
create function no_room() returns trigger language plpgsql as $$
begin
    perform nextval('public.tries');
    raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
end $$;
create trigger no_room before insert on hivelog.batches for each row execute function no_room()
"""


def tries(conn: psycopg.Connection[tuple[int]]) -> int:
    row = conn.execute("select last_value from public.tries").fetchone()
    assert row is not None
    return row[0]


async def test_a_full_disk_is_an_outage(database: str) -> None:
    desk = Desk(database)
    appender = Appender(Log(database))
    await appender.start()
    job = desk.enqueue()
    await appender.submit(part(job))
    started = (await appender.submit(part(desk.start(job)))).started[0]
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(FULL)
        held = asyncio.ensure_future(appender.submit(part(complete(started), patient=True)))
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(appender.submit(part(desk.enqueue())), 5)
        assert time.monotonic() - began < 2
        began, before = time.monotonic(), tries(conn)
        await until(lambda: tries(conn) >= before + 3)
        assert time.monotonic() - began > 0.5, "it rests before each try"
        assert not held.done()
        conn.execute("drop trigger no_room on hivelog.batches")
        assert not (await asyncio.wait_for(held, 5)).refused
        await asyncio.wait_for(appender.submit(part(desk.enqueue())), 5)
    await appender.stop()
    assert_intact(database)
