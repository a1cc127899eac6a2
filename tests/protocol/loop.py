"""An event loop whose time passes only when nothing is left to do, so that a run follows from its seed alone."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

EPOCH_MS = 1_800_000_000_000
_STUBBORN = 10  # times that a coroutine may wait on after it was told to end


class _Selector(selectors.SelectSelector):
    """No file is ever ready; waiting is what makes time pass."""

    loop: SimLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing can ever happen again"
        self.loop.now += max(timeout, 0.0)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """`now`: seconds since the start; `steps`: callbacks that were run."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._over = False
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6
        self.set_exception_handler(lambda loop, context: None)  # tasks of processes that were killed

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        if self._over:
            return asyncio.Handle(callback, args, self)  # of a task that is being thrown away
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def abandon(self) -> None:
        """Throw away what still waits, without a word: a killed process cannot be ended in good order."""
        self._over = True
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        self._close_tasks()
        gc.collect()
        sys.unraisablehook = hook
        self.close()

    def _close_tasks(self) -> None:
        """A traceback may hold them for longer: they would complain when it goes, in the midst of another test."""
        closed = set[asyncio.Task[Any]]()
        while left := asyncio.all_tasks(self) - closed:  # what ends may begin others
            for task in left:
                _close(task.get_coro())
            closed |= left

    @property
    def ms(self) -> int:
        """The wall clock, in milliseconds since 1970."""
        return EPOCH_MS + int(self.now * 1000)


def _close(coroutine: Any) -> None:
    for _ in range(_STUBBORN):
        with suppress(BaseException):  # also that it goes on waiting, or that no loop runs
            coroutine.close()
        if coroutine.cr_frame is None:
            return


@contextmanager
def simulated(seed: int) -> Iterator[SimLoop]:
    """A loop of its own; time and chance of the whole process are its own too, while it lasts."""
    loop = SimLoop()
    drawn = random.Random(seed)
    kept = time.monotonic, time.time, time.time_ns, os.urandom
    state, logging = random.getstate(), structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    random.seed(seed)
    time.monotonic = loop.time
    time.time = lambda: loop.ms / 1000
    time.time_ns = lambda: loop.ms * 1_000_000
    os.urandom = drawn.randbytes
    try:
        yield loop
    finally:
        time.monotonic, time.time, time.time_ns, os.urandom = kept
        random.setstate(state)
        structlog.configure(**logging)
        loop.abandon()
