"""The twin's section of starts: sql/functions/append_start*.sql, append_picks.sql."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

import msgspec
from hivelog.events.batch import Start, Started

from .tables import Depth
from .writer import Writer

_BUDGET: Final = 16 * 1024 * 1024


class Starts(Writer):
    def _start(self) -> None:
        named = [start for part in self._parts for start in part.starts]
        wanted = named + self._picked({start.job for start in named})
        accepted = self._filter(wanted, len(named))
        for n in self._order("s", {n: wanted[n].job for n in accepted}):
            self._start_one(n if n < len(named) else -2 - n, wanted[n])
        for job in self._started:
            job.index = job.index if job.index >= 0 else -job.index - 2

    def _room(self, queue: int) -> int | None:
        limit = self._tables.queues[queue].max_workers
        if limit is None or "limit" in self._off:
            return None
        change = self._change.get(queue, Depth())
        return limit - self._tables.marks.get(queue, Depth()).running - change.running

    def _picked(self, named: set[bytes]) -> list[Start]:
        """In key order, at most what each queue has room for; a job is picked once."""
        found: list[Start] = []
        taken: set[bytes] = set()
        for pick in (pick for part in self._parts for pick in part.picks):
            queue = self._tables.queues.get(pick.queue)
            if queue is None or (queue.paused and "paused" not in self._off):
                continue
            room = self._room(pick.queue)
            able = sorted(
                (row for row in self._tables.ready.values()
                 if row.queue == pick.queue and row.type in pick.types and row.job not in taken
                 and (row.expires is None or row.expires > self._at)),
                key=lambda row: row.order,
            )  # fmt: skip
            for row in able[: max(pick.limit if room is None else min(pick.limit, room), 0)]:
                taken.add(row.job)
                found.append(Start(pick.session, row.queue, row.type, row.priority, row.job))
        return found

    def _filter(self, wanted: list[Start], named: int) -> list[int]:
        accepted = []
        rank: Counter[int] = Counter()
        weight = 0
        for n, start in enumerate(wanted):
            why = self._why_not(start)
            if why is None:
                rank[start.queue] += 1
                room = self._room(start.queue)
                size = self._tables.ready[start.job].size
                if room is not None and rank[start.queue] > room:
                    why = "limit"
                else:
                    weight += size
                    why = "budget" if weight > _BUDGET and weight > size else None
            if why is None:
                accepted.append(n)
            elif n < named:
                self._refuse("s", n, why)
        return accepted

    def _why_not(self, start: Start) -> str | None:
        row = self._tables.ready.get(start.job)
        queue = self._tables.queues.get(start.queue)
        key = (start.queue, start.type, start.priority)
        if queue is None or row is None or (row.queue, row.type, row.priority) != key:
            return "not_ready"
        if start.session not in self._tables.sessions and "session" not in self._off:
            return "session_lost"
        if row.expires is not None and row.expires <= self._at and "expired" not in self._off:
            return "expired"
        return "paused" if (queue.paused or queue.deleted) and "paused" not in self._off else None

    def _start_one(self, index: int, start: Start) -> None:
        row = self._tables.ready.pop(start.job, None)
        if row is None:
            return  # named twice in one batch
        token = self._write(
            row.job, row.version + 1, "started", start.session, row.queue, None, attempt=row.attempt + 1
        )  # fmt: skip
        timeout = msgspec.json.decode(row.spec).get("timeout")
        self._tables.leases[row.job] = replace(
            row, version=row.version + 1, attempt=row.attempt + 1, token=token, session=start.session,
            started_at=self._at, deadline=None if timeout is None else self._at + timeout * 1000,
        )  # fmt: skip
        self._count(row.queue, ready=-1, running=1)
        kek, salt, wrapped, body = self._tables.vault.get(row.job, (None, b"", None, b"null"))
        self._started.append(
            Started(
                index, row.job, token, row.queue, start.session, row.attempt + 1, row.retry, row.priority,
                row.spec, salt, kek, wrapped, body,
            )
        )  # fmt: skip
