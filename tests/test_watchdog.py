"""The event loop of a worker stands still: seen, told with the code that does it, and counted."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from hivelog.broker import watchdog
from hivelog.events import ids

from .bad_handlers import block
from .intact import assert_intact
from .test_worker import opened, until, working


class Spy:
    """Stands where the logger does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **more: Any) -> None:
        self.lines.append((event, more))


async def test_a_handler_that_blocks_the_loop_is_named_with_its_stack_and_counted(
    database: str, redis_url: str, monkeypatch: Any
) -> None:
    spy = Spy()
    monkeypatch.setattr(watchdog, "_log", spy)
    async with opened(database, redis_url) as bench, working(bench.engine):
        job = await bench.put(block.__name__, {"seconds": 2.5})
        assert (await bench.ended(job))[0] == "completed"

        async def counted() -> bool:
            with psycopg.connect(database) as conn:
                return conn.execute("select loop_blocked from hivelog.sessions").fetchone() == (1,)

        await until(counted)
    (blocked, told), (over, after) = spy.lines
    assert (blocked, over) == ("event_loop_blocked", "event_loop_goes_on")
    assert (told["job"], told["type"]) == (ids.to_text(job), "block")
    assert 'time.sleep(payload["seconds"])' in told["stack"]
    assert 1 <= told["seconds"] <= after["after_seconds"]
    assert_intact(database)


async def test_a_loop_that_turns_is_not_complained_about(monkeypatch: Any) -> None:
    spy = Spy()
    monkeypatch.setattr(watchdog, "_log", spy)
    monkeypatch.setattr(watchdog, "_EVERY", 0.01)
    loop, asked = asyncio.get_running_loop(), 0
    ask = loop.call_soon_threadsafe

    def counted(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        return ask(*given)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)

    async def looked() -> bool:
        return asked > 20

    dog = watchdog.Watchdog(list, after=2.0)
    dog.start()
    await until(looked)
    dog.stop()
    assert (dog.blocked, spy.lines) == (0, [])
