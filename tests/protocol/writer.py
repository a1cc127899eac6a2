"""What all sections of the twin of hivelog.append share: the log, refusals, live rows and depths."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
from hivelog.events.batch import Mark, Part, Refused, Section, Started
from hivelog.events.read import Event

from .tables import BatchRow, Depth, Row, Tables

# Which of the accepted (ordinal -> job) comes first.
Order = Callable[[Section, dict[int, bytes]], list[int]]


class Writer:
    """One batch under way. `off`: guards that are left out."""

    def __init__(
        self, tables: Tables, now: int, parts: list[Part], order: Order, off: Collection[str] = ()
    ) -> None:  # fmt: skip
        self._tables, self._parts, self._order, self._off = tables, parts, order, off
        last = tables.batches[-1]
        self._head = self._before = last.position
        self._at = max(last.recorded_at, now)
        self._epoch = last.epoch
        self._change: dict[int, Depth] = {}
        self._refused: dict[tuple[Section, int], Refused] = {}
        self._started: list[Started] = []


    def _write(
        self, stream: bytes, version: int, event: str, actor: int, queue: int | None, data: bytes | None,
        *, attempt: int | None = None, size: int | None = None, correlation: str | None = None,
    ) -> int:  # fmt: skip
        self._head += 1
        decoded = None if data is None else msgspec.json.decode(data)
        row = Event(
            self._head, self._at, stream, version, event, actor, queue, attempt, size, correlation, decoded
        )  # fmt: skip
        self._tables.events.append(row)
        self._tables.streams.setdefault(stream, []).append(row)
        return self._head

    def _refuse(self, section: Section, n: int, code: str, job: bytes | None = None) -> None:
        self._refused[section, n] = Refused(code, job)

    def _count(self, queue: int, *, pending: int = 0, ready: int = 0, running: int = 0) -> None:
        change = self._change.setdefault(queue, Depth())
        change.pending += pending
        change.ready += ready
        change.running += running

    def _close(self, batch: bytes) -> list[Mark]:
        if self._head == self._before:
            return []
        self._tables.batches.append(BatchRow(self._head, self._before + 1, self._at, self._epoch, batch))
        for queue, change in self._change.items():
            depth = self._tables.marks.setdefault(queue, Depth())
            depth.pending += change.pending
            depth.ready += change.ready
            depth.running += change.running
        marks = self._tables.marks
        return [Mark(q, marks[q].pending, marks[q].ready, marks[q].running) for q in self._change]

    def _to_pending(self, row: Row, due: int | None) -> None:
        row.due = due
        self._tables.pending[row.job] = row
        self._count(row.queue, pending=1)

    def _to_ready(self, row: Row) -> None:
        row.due = None
        self._tables.ready[row.job] = row
        self._count(row.queue, ready=1)
