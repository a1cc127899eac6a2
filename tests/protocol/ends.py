"""The twin's sections of enqueues and of ends of leases: sql/functions/append.sql, append_enqueue*, append_end*."""

from __future__ import annotations

from hivelog.events.batch import End, Enqueue, Part

from .tables import Row
from .writer import Writer


class Enqueues(Writer):
    def _enqueue(self, items: list[Enqueue]) -> None:
        for n, item in enumerate(items):
            if self._queue_gone(item.queue):
                self._refuse("n", n, "unknown_queue")
        base = 0
        for part in self._parts:
            self._keys(part, base, items)
            base += len(part.enqueues)
        for n, item in enumerate(items):
            if ("n", n) not in self._refused:
                self._insert(item)

    def _queue_gone(self, queue: int) -> bool:
        row = self._tables.queues.get(queue)
        return row is None or row.deleted

    def _keys(self, part: Part, base: int, items: list[Enqueue]) -> None:
        """One call: a mismatch refuses all of it, a known key names the jobs it stands for."""
        if "idempotency" in self._off:
            return
        known = self._tables.idempotency
        if any(k.key in known and known[k.key][0] != k.fingerprint for k in part.keys):
            for n in range(base, base + len(part.enqueues)):
                self._refuse("n", n, "idempotency_mismatch")
            return
        for k in sorted(part.keys, key=lambda k: k.first):
            covered = range(base + k.first, base + k.last + 1)
            if any(self._queue_gone(items[n].queue) for n in covered):
                continue
            if k.key not in known:
                known[k.key] = (k.fingerprint, [items[n].job for n in covered])
                continue
            for n, job in zip(covered, known[k.key][1], strict=True):
                self._refuse("n", n, "replayed", job)

    def _insert(self, item: Enqueue) -> None:
        position = self._write(
            item.job, 1, "enqueued", item.actor, item.queue, item.spec, size=item.size,
            correlation=item.correlation,
        )  # fmt: skip
        row = Row(
            item.job, item.queue, item.type, item.priority, 1, 0, 0, item.size, position, item.expires,
            item.spec,
        )  # fmt: skip
        self._tables.vault[item.job] = (item.kek, item.salt, item.wrapped, item.body)
        if item.due is not None and item.due > self._at:
            self._to_pending(row, item.due)
        else:
            self._to_ready(row)


class Ends(Writer):
    def _end(self, ends: list[End]) -> None:
        alive = self._alive()
        accepted = []
        named: set[int] = set()
        for n, end in enumerate(ends):
            lease = self._tables.leases.get(end.job)
            again = end.token in named
            named.add(end.token)
            if lease is None or not self._fenced(lease, end) or again:
                self._refuse("e", n, "stale_token")
            elif self._stopping(lease, end):
                self._refuse("e", n, "cancelling")
            elif end.event == "lost" and lease.session in alive:
                self._refuse("e", n, "session_alive")
            else:
                accepted.append(n)
        for n in self._order("e", {n: ends[n].job for n in accepted}):
            self._end_one(ends[n])
        for (section, n), why in self._refused.items():
            # As it stands after the section: a lease that another end of this batch took is a stale one.
            if section == "e" and why.code != "stale_token" and ends[n].job not in self._tables.leases:
                why.code = "stale_token"

    def _fenced(self, lease: Row, end: End) -> bool:
        return lease.token == end.token or "token" in self._off

    def _stopping(self, lease: Row, end: End) -> bool:
        ends_so = lease.cancelling is None or end.event in ("completed", "cancelled")
        return not ends_so and "cancelling" not in self._off

    def _alive(self) -> set[int]:
        cutoffs = [part.cutoff for part in self._parts if part.cutoff is not None]
        if not cutoffs or "cutoff" in self._off:
            return set()
        return {n for n, row in self._tables.sessions.items() if row.last_heartbeat > min(cutoffs)}

    def _end_one(self, end: End) -> None:
        lease = self._tables.leases.pop(end.job, None)
        if lease is None:
            return
        self._write(
            end.job, lease.version + 1, end.event, end.actor if end.actor is not None else lease.session,
            lease.queue, end.data, attempt=lease.attempt, size=end.size,
        )  # fmt: skip
        self._count(lease.queue, running=-1)
        if end.due is not None:
            retry = lease.retry if end.retry is None else end.retry
            self._to_pending(lease.waiting(version=lease.version + 1, retry=retry), end.due)
        elif end.event == "released":
            self._to_ready(lease.waiting(version=lease.version + 1, attempt=lease.attempt - 1))
