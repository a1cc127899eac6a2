"""A worker process: an engine, a worker on it, and signals.

SIGTERM or SIGINT: no new jobs, the running ones get the grace time, the rest goes back. A second one: now.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct

from ..settings import Settings
from ..stopping import CLOSING
from . import child
from .engine import Engine
from .registry import HandlerError, Registry, registry
from .source import Source
from .starting import Prepare, on_stop_signals, open_engine
from .worker import Worker

_log = structlog.get_logger(__name__)


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """What `hivelog worker` is told. No queues: those of its handlers, else every queue. `why` answers at the
    end why the worker stopped, for the log."""

    modules: tuple[str, ...]
    queues: tuple[str, ...] = ()
    slots: int = 10
    name: str | None = None
    why: Callable[[], str] = lambda: "stopped"


async def run_worker(settings: Settings, options: WorkerOptions, prepare: Prepare = lambda: None) -> bool:
    """Work until told to stop; False if it stopped because every slot is held by a handler that does not
    return, so that another process should take its place. `prepare` looks at the schema.

    Raises HandlerError before anything is claimed, KeyError for a queue that does not exist, and what
    opening the engine raises. A PostgreSQL that is away is waited for.
    """
    registry.load(list(options.modules))
    if not registry.handlers:
        raise HandlerError(f"no handler in {', '.join(options.modules) or 'no module at all'}")
    child.preload(list(options.modules))
    # A turn makes thousands of short-lived objects; the collector's default would run ten times in each.
    gc.set_threshold(50_000, 20, 20)
    stop = asyncio.Event()
    on_stop_signals(stop.set, within=settings.grace_seconds + CLOSING)
    async with contextlib.AsyncExitStack() as stack:
        engine = await open_engine(stack, settings, name="worker", prepare=prepare, stop=stop)
        return engine is None or await _work(engine, options, stop)


async def _work(engine: Engine, options: WorkerOptions, stop: asyncio.Event) -> bool:
    await engine.claims.start()
    try:
        worker = await make_worker(engine, registry, options)
        on_stop_signals(worker.stop, within=engine.settings.grace_seconds + CLOSING)
        if stop.is_set():
            worker.stop()
        await worker.run(await _queues(engine, registry, options.queues))
    finally:
        await engine.claims.stop()
    return not worker.exhausted


async def make_worker(engine: Engine, handlers: Registry, options: WorkerOptions) -> Worker:
    """A worker on an open engine."""
    settings = engine.settings
    config = await engine.configuration.current()
    return Worker(
        appender=engine.appender,
        vault=engine.vault,
        sessions=engine.sessions,
        source=Source(engine.claims, engine.feeder, engine.names),
        registry=handlers,
        name=options.name or f"{socket.gethostname()}-{os.getpid()}",
        slots=options.slots,
        grace=settings.grace_seconds,
        why=options.why,
        result_limit=config.max_message_size,
        child_memory_mib=settings.child_memory_mib,
    )


async def _queues(engine: Engine, handlers: Registry, wanted: Sequence[str]) -> list[str]:
    named = list(wanted) or queues_of(handlers)
    return [queue.name for queue in await engine.names.queues()] if named is None else named


def queues_of(handlers: Registry) -> list[str] | None:
    """The queues that the handlers name; None: all, because one of them names none."""
    named = {handler.queue for handler in handlers.handlers.values()}
    return None if None in named else sorted(name for name in named if name is not None)
