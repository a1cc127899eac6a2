"""The twin of hivelog.append, so that a simulation of millions of steps needs no server.

Rule by rule what sql/functions/append*.sql say; `test_protocol_twins.py` holds the two together. Where SQL promises
no order (ends and starts of one batch) the twin asks `order`. `off` names guards that are left out, to show that
the simulation would find the bug.
"""

from __future__ import annotations

from hivelog.events.answer import _share
from hivelog.events.batch import Appended
from hivelog.events.errors import EpochChanged

from .ends import Ends, Enqueues
from .moves import Moves, Records
from .starts import Starts


class Duplicate(Exception):
    """A unique index of the real tables refuses the whole batch."""


class TooLate(Exception):
    """The log said that it does not have this batch; so it never will."""


class Append(Enqueues, Ends, Moves, Records, Starts):
    """One batch. `run` answers as Log.append does."""

    def run(self, batch: bytes, epoch: int) -> Appended:
        """Raises EpochChanged, TooLate and Duplicate, with nothing written."""
        records = [record for part in self._parts for record in part.records]
        enqueues = [item for part in self._parts for item in part.enqueues]
        opens = any(record.event == "epoch_started" for record in records)
        # Bodies are written before anything is looked at.
        if any(item.job in self._tables.vault for item in enqueues):
            raise Duplicate("vault")
        if epoch != self._epoch and not opens and "epoch" not in self._off:
            raise EpochChanged(f"epoch {epoch} is over, the log is in epoch {self._epoch}")
        if batch in self._tables.void and "void" not in self._off:
            raise TooLate
        self._enqueue(enqueues)
        self._end([end for part in self._parts for end in part.ends])
        self._move([move for part in self._parts for move in part.moves])
        for n, record in enumerate(records):
            if (why := self._record(record)) is not None:
                self._refuse("r", n, why)
        self._start()
        marks = self._close(batch)
        outcomes = _share(
            self._parts, self._head, self._before + 1, self._at, self._refused, self._started
        )  # fmt: skip
        return Appended(
            batch, epoch, self._before + 1, self._head, self._at, self._parts, outcomes, marks
        )  # fmt: skip
