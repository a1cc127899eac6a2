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
from .test_append import assert_intact

# What the server says when it cannot extend a table; nobody here may fill the disk of this machine.
FULL = """
create function no_room() returns trigger language plpgsql as $$
begin
    raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
end $$;
create trigger no_room before insert on hivelog.batches for each row execute function no_room()
"""


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
        began, used = time.monotonic(), time.process_time()
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(appender.submit(part(desk.enqueue())), 5)
        assert time.monotonic() - began < 2
        await asyncio.sleep(2)  # really: what is done meanwhile is measured
        assert time.process_time() - used < 1, "no busy loop"
        assert not held.done()
        conn.execute("drop trigger no_room on hivelog.batches")
        assert not (await asyncio.wait_for(held, 5)).refused
        await asyncio.wait_for(appender.submit(part(desk.enqueue())), 5)
    await appender.stop()
    assert_intact(database)
