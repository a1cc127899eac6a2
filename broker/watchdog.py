"""Sees when the event loop stands still, and says whose code holds it.

One handler that blocks (`time.sleep`, a big computation, a synchronous client) stops every other job of the
worker, its heartbeats too, and nothing on the loop can tell. So a thread looks: once a second it asks the
loop for a sign of life, and when none comes it writes down what the loop's thread is doing just then.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from ..events import ids
from ..events.batch import Started
from .endings import spec_of

_log = structlog.get_logger(__name__)

_EVERY: Final = 1.0  # seconds
_STACK_BYTES: Final = 4096

# The attempts that run, each with its task; asked from another thread.
Running = Callable[[], Iterable[tuple["asyncio.Task[Any] | None", Started]]]


class Watchdog:
    """`start` on the loop that it watches; `blocked`: how often it stood still for `after` seconds."""

    def __init__(self, running: Running, *, after: float = 1.0) -> None:
        self._running, self._after = running, after
        self._over = threading.Event()
        self.blocked = 0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            sign = threading.Event()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(sign.set)
            except RuntimeError:
                return  # the loop is closed
            # Asked twice: after the whole process was frozen, the time is over before anybody could answer.
            if not sign.wait(self._after) and not sign.wait(0.1):
                self._tell(asked)
                while not sign.wait(_EVERY) and not self._over.is_set():
                    pass
                _log.warning("event_loop_goes_on", after_seconds=round(time.monotonic() - asked, 1))

    def _tell(self, asked: float) -> None:
        self.blocked += 1
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        _log.warning(
            "event_loop_blocked", seconds=round(time.monotonic() - asked, 1),
            hint="all jobs and heartbeats of this worker wait: await, or make it a def handler",
            **self._job(), stack=stack[-_STACK_BYTES:],
        )  # fmt: skip

    def _job(self) -> dict[str, str]:
        """Whose code the loop is in; nothing for a task that a handler made itself."""
        current = asyncio.current_task(self._loop)
        for task, job in self._running():
            if task is not None and task is current:
                return {"job": ids.to_text(job.job), "type": spec_of(job.spec).type}
        return {}
