"""The start of a worker or a supervisor: an engine as soon as PostgreSQL is there, unless told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

import structlog

from ..events.arrival import when_there
from ..settings import Settings
from ..stopping import end_within, stop_tasks
from .engine import Engine

_log = structlog.get_logger(__name__)

Prepare = Callable[[], object]  # looks at the schema; blocking


def on_stop_signals(call: Callable[[], object], *, within: float) -> None:
    """`call` for SIGTERM and SIGINT from now on; so many seconds after the first the process is over."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        end_within(within)
        call()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)


async def open_engine(
    stack: contextlib.AsyncExitStack, settings: Settings, *, name: str, prepare: Prepare, stop: asyncio.Event
) -> Engine | None:
    """An open engine, closed with `stack`; None when `stop` was set first.

    Raises Refused, what `prepare` raises, and what opening an engine raises with a database that is there.
    """

    async def attempt() -> Engine:
        await asyncio.to_thread(prepare)
        return await stack.enter_async_context(Engine(settings, name=name, pool_size=2))

    assert settings.database_url is not None
    opening = asyncio.create_task(when_there({"DATABASE_URL": settings.database_url}, attempt))
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, told}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            return opening.result()
        _log.info("stopped_before_the_start")
        return None
    finally:
        await stop_tasks(opening, told)
