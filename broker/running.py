"""What a worker remembers of the jobs that it runs, and of those whose end is not written yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

import structlog
from msgspec import Struct

from ..events import ids
from ..events.batch import End, Started
from ..events.vault import JobKey
from .attempt import Ending
from .context import JobContext

_log = structlog.get_logger(__name__)


class Running(Struct, eq=False):
    """A lease that this worker holds."""

    job: Started
    key: JobKey
    ctx: JobContext
    task: asyncio.Task[None] | None = None
    dropped: bool = False  # lost: nothing of it is ours to tell any more, an end that waits neither
    given_back: bool = False  # by a worker that stops: that is its end, whatever the handler comes to


# An attempt that is over: its lease, the end to write, and what it came to (None: given back).
Ended: TypeAlias = tuple[Running, End, Ending | None]


class Leases:
    """A worker's, by token. `disowned`: given back unseen, though their start may yet be told to us."""

    def __init__(self) -> None:
        self.running: dict[int, Running] = {}
        self._settling: dict[int, Running] = {}  # their end is not answered yet: still ours to the database
        self.disowned: set[int] = set()

    def tokens(self) -> list[int]:
        """What the database takes for ours."""
        return [*self.running, *self._settling]

    def began(self, running: Running) -> None:
        self.drop([running.job.token])  # of another epoch, if it is there
        self.running[running.job.token] = running

    def over(self, running: Running) -> None:
        """The attempt is over; the lease goes with its end."""
        if self.running.get(running.job.token) is running:
            del self.running[running.job.token]

    def settling(self, running: Running) -> None:
        self._settling[running.job.token] = running

    def settled(self, ended: Iterable[Ended]) -> None:
        for running, _, _ in ended:
            if self._settling.get(running.job.token) is running:
                del self._settling[running.job.token]

    def drop(self, tokens: Iterable[int]) -> None:
        """These are not ours any more: their attempts are cancelled, and what comes of them is ignored."""
        for token in tokens:
            if (running := self.running.get(token)) is not None:
                self._drop(running)

    def drop_ends(self, tokens: Iterable[int]) -> None:
        """The same for attempts that are over, with their ends not written: in a new epoch such a token may
        name another's lease of the same job."""
        for token in tokens:
            if (running := self._settling.pop(token, None)) is not None:
                self._drop(running)

    def _drop(self, running: Running) -> None:
        running.dropped = True
        _log.warning("lease_lost", job=ids.to_text(running.job.job), token=running.job.token)
        if running.task is not None:
            running.task.cancel()
