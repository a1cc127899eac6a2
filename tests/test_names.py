"""Names and numbers, remembered: what is forgotten is not brought back by a question that was under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
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
