"""What this process knows of the log, by itself: the farthest place it has seen, and the last batch there.

A log that does not have it any more was put back to what it was before, without its tail: from a copy of
itself, with the same system identifier and on the same timeline, nothing else tells. Only what was read from
the database, answered by it, or left in Redis beside the log's own name counts; never what a client says.

Others learn while a question is under way. So what is compared with an answer is taken before the question.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

# (epoch, position). Of two places of one log the greater was later: a new epoch begins behind all that is
# left of the old one.
Place: TypeAlias = tuple[int, int]

# Epochs are counted one by one; a number beyond this is damage, not knowledge.
_MOST_EPOCHS: Final = 1_000_000


class Memory(Struct):
    """`log`: its name, which all its copies share. `batch`: the id of the batch that ended at `at`."""

    log: str = ""
    seen: Place = (0, 0)
    at: Place = (0, 0)
    batch: bytes | None = None

    def saw(self, epoch: int, position: int) -> None:
        """The log was at least there."""
        if epoch <= _MOST_EPOCHS:
            self.seen = max(self.seen, (epoch, position))

    def wrote(self, epoch: int, position: int, batch: bytes) -> None:
        """A batch that ends there is in the log."""
        self.saw(epoch, position)
        self.at, self.batch = (epoch, position), batch
