"""How far Redis is known to trail the log. Pure: positions and a monotonic clock go in."""

from __future__ import annotations

import time
from collections.abc import Callable


class Lag:
    """Follows one target at a time: a head of the log that the checkpoint has not reached yet.

    Under load the checkpoint trails the head all the time, by a millisecond. What matters is whether a
    head known a second ago has still not been reached.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.checkpoint = -1
        self.head = 0
        self._target = 0
        self._since: float | None = None

    def saw_head(self, position: int) -> None:
        """The log is at least this long."""
        self.head = max(self.head, position)
        if self._since is None and position > self.checkpoint:
            self._target, self._since = position, self._clock()

    def saw_checkpoint(self, position: int) -> None:
        """Redis is there now; a rebuild may set it back."""
        self.checkpoint = position
        if self._since is not None and position >= self._target:
            self._since = None
            self.saw_head(self.head)

    @property
    def seconds(self) -> float:
        """For how long a known head has not been reached."""
        return 0.0 if self._since is None else self._clock() - self._since
