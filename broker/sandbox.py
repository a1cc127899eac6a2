"""Shadow runs: handlers of today on what was recorded, while nothing of it reaches the log.

`active` is the process's recorder while one goes on. What a handler would enqueue is counted there instead;
what it logs goes nowhere. What it does outside of Hivelog (mail, files, its own database) nobody can
hold back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self


class Recorder:
    """What handlers would have enqueued, by queue and type. `tell` hears of each: a child passes it on."""

    def __init__(self, tell: Callable[[str, str], None] = lambda queue, kind: None) -> None:
        self.enqueued: Counter[tuple[str, str]] = Counter()
        self._tell = tell

    def enqueue(self, queue: str, kind: str) -> None:
        self.enqueued[queue, kind] += 1
        self._tell(queue, kind)


active: Recorder | None = None


@contextmanager
def sandboxed() -> Iterator[Recorder]:
    """Everything that this process's handlers do is a shadow, until the end of the block."""
    global active
    active = recorder = Recorder()
    try:
        yield recorder
    finally:
        active = None


class SilentLog:
    """Takes what a logger takes, and drops it."""

    def bind(self, **_: Any) -> Self:
        return self

    unbind = try_unbind = new = bind

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
