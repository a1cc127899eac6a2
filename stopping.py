"""Ends background tasks, also one that has lost its cancellation, and a process that comes to no end.

    await stop_tasks(self._task)
    end_within(15)

A task can lose it: a library waits with `asyncio.wait_for`, which on Python 3.11 may swallow it (psycopg's
pool does so), or answers it with an error of its own, which the task's loop takes for an outage. Then the
task goes on, and whoever cancelled it once would wait for ever.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)

# Three seconds in all: a leader that gives up one duty still renews the others in time.
_TRIES: Final = 3
_PATIENCE: Final = 1.0
_LAST_WORD: Final = 1.0  # seconds: whoever reads what we say may hang as well
_END: Final = "end of the process"
# Seconds beyond the grace time in which a process writes and closes what it has to.
CLOSING: Final = 15.0


async def stop_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel until all are done. One that will not end is left, with a complaint in the log."""
    left = {task for task in tasks if task is not None}
    ended: set[asyncio.Task[Any]] = set()
    for _ in range(_TRIES):
        if left:
            for task in left:
                task.cancel()
            done, left = await asyncio.wait(left, timeout=_PATIENCE)
            ended |= done
    for task in ended:
        task.cancelled() or task.exception()  # seen: no complaint about an error nobody asked for
    if left:
        _log.error("tasks_not_stopped", tasks=sorted(task.get_name() for task in left))


def end_within(seconds: float) -> None:
    """This process was told to stop: in so many seconds it is over, whatever it waits for then.

    A PostgreSQL that hangs answers nobody, and what closes in good order asks it several things, one after
    the other. Nothing is lost that the log has: leases of duties and of sessions run out. Told again, it has
    no longer.
    """
    if any(thread.name == _END for thread in threading.enumerate()):
        return
    threading.Thread(target=_end, args=(seconds,), name=_END, daemon=True).start()


def _end(seconds: float) -> None:
    time.sleep(seconds)
    last = threading.Thread(target=lambda: _log.error("stop_overdue", seconds=seconds), daemon=True)
    last.start()
    last.join(_LAST_WORD)
    os._exit(1)
