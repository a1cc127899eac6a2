"""A supervisor process: an engine, the supervisor on it, and signals.

SIGTERM or SIGINT: its workers finish what they run within the grace time and give the rest back, then it
ends. A second one: they give it back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import structlog

from ..settings import Settings
from ..stopping import stop_tasks
from .starting import Prepare, on_stop_signals, open_engine
from .supervisor import Options, Supervising
from .supervisor_workers import Command, WorkerProcesses

_log = structlog.get_logger(__name__)

# Beyond the grace time: a worker writes the ends of what it ran, and leaves.
_PATIENCE: Final = 12.0
_OWN: Final = 8.0  # seconds after that, for what the supervisor itself has to close


async def run_supervisor(
    settings: Settings,
    options: Options,
    command: Command,
    environment: Mapping[str, str],
    prepare: Prepare = lambda: None,
) -> None:
    """Supervise until told to stop; a PostgreSQL that is away is waited for. `prepare` looks at the schema.
    Raises what opening the engine raises."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    patience = settings.grace_seconds + _PATIENCE
    on_stop_signals(lambda: (hurry if stop.is_set() else stop).set(), within=patience + _OWN)
    workers = WorkerProcesses(command, environment, options.name, patience)
    async with contextlib.AsyncExitStack() as stack:
        engine = await open_engine(stack, settings, name="supervise", prepare=prepare, stop=stop)
        if engine is not None:
            supervising = Supervising(engine.appender, engine.names, engine.pool, workers, options)
            await _supervise(supervising, workers, stop, hurry)


async def _supervise(
    supervising: Supervising, workers: WorkerProcesses, stop: asyncio.Event, hurry: asyncio.Event
) -> None:
    running = asyncio.create_task(supervising.run(), name="supervise")
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await stop_tasks(running, stopped)
    _log.info("supervisor_stopping", workers=len(workers.all))
    await workers.stop_all(hurry)
    await supervising.leave()
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error
