"""Names and numbers, remembered: what is forgotten is not brought back by a question that was under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hivelog.events import names as names_module
from hivelog.events import pool
from hivelog.events.names import Names

from .batches import Desk


async def test_what_is_forgotten_while_it_is_read_is_read_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Desk(database, queue="work")
    execute, asked = pool.Connection.execute, 0

    async with pool.make_pool(database, size=1) as reads:
        names = Names(reads)

        async def forgetting(self: pool.Connection, query: Any, *args: Any, **options: Any) -> Any:
            nonlocal asked
            answer = await execute(self, query, *args, **options)
            asked += 1
            if asked == 2:  # queues are read, and types and actors
                names.forget()
            return answer

        async with reads.connection():
            pass  # its settings are made
        monkeypatch.setattr(pool.Connection, "execute", forgetting)
        found = await asyncio.wait_for(names.queue("work"), 5)
    assert found is not None
    assert found.name == "work"
    assert asked == 4


async def test_an_actor_is_found_whose_number_is_below_one_that_was_minted_here(database: str) -> None:
    """As after a start: the process mints its own actors before it has read those of its life before."""
    async with pool.make_pool(database) as reads:
        others, names = Names(reads), Names(reads)
        numbers = [await others.actor_id(f"worker:w{n}:x") for n in range(3)]
        await names.actor_id("leader")
        found = [await names.actor_name(number) for number in numbers]
        assert found == ["worker:w0:x", "worker:w1:x", "worker:w2:x"]
        later = await others.actor_id("worker:later:x")
        await names.actor_id("user:somebody")
        assert await names.actor_name(later) == "worker:later:x"


async def test_an_actor_is_found_that_was_committed_after_a_higher_number(database: str) -> None:
    async with pool.make_pool(database) as reads, pool.make_pool(database) as slow:
        names = Names(reads)
        async with slow.connection() as connection, connection.transaction():
            row = await (await connection.execute("select hivelog.actor_id('slow')")).fetchone()
            assert row is not None
            quick = await Names(reads).actor_id("quick")
            assert await names.actor_name(quick) == "quick"
        assert quick > row[0]
        assert await names.actor_name(row[0]) == "slow"


async def test_a_name_that_is_known_is_not_read_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool.make_pool(database) as reads:
        number = await Names(reads).actor_id("worker:w:x")
        names = Names(reads)
        await names.actor_id("leader")
        assert await names.actor_name(number) == "worker:w:x"
        monkeypatch.setattr(reads, "connection", None)
        assert await names.actor_name(number) == "worker:w:x"


async def test_a_queue_that_was_made_elsewhere_just_now_is_named_at_once(database: str) -> None:
    async with pool.make_pool(database) as reads:
        names = Names(reads)
        await names.queues()
        number = Desk(database, queue="work").queue
        assert await names.queue_name(number) == "work"


async def test_a_number_that_no_queue_has_is_asked_for_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool.make_pool(database) as reads:
        names, clock = Names(reads), 0.0
        monkeypatch.setattr(names_module, "monotonic", lambda: clock)
        asked, read = 0, names._renewal.now

        async def now() -> None:
            nonlocal asked
            asked += 1
            await read()

        monkeypatch.setattr(names._renewal, "now", now)
        for _ in range(3):
            assert await names.queue_name(99) == "queue:99"
        assert asked == 1
        clock += 1.5
        await names.queue_name(99)
        names.forget_queues()
        await names.queue_name(99)
        assert asked == 3
