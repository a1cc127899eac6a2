"""PostgreSQL as the processes of the simulation meet it: the append, and every query that they ask.

Queries are known by their text in sql/queries; what they answer is the twin of what is written there. Each is
one atomic step, as a statement's snapshot is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from hivelog import sql
from hivelog.events.batch import Appended, Part, Section
from hivelog.events.job import JobState, fold

from .append import Append
from .tables import Depth, Row, Tables

Answer = list[tuple[Any, ...]]

_EDGE: Final = 0  # of retention, which the simulation does not have
Watcher = Callable[[Appended, Tables, Any], None]


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


def _ids(rows: list[Row]) -> bytes:
    return b"".join(row.job for row in rows)


class Postgres:
    """The server. `off`: guards left out. `watch` sees every batch that was written, and who sent it."""

    def __init__(self, clock: Callable[[], int], rng: random.Random, off: Collection[str] = ()) -> None:
        self.tables = Tables()
        self.clock, self.off = clock, off
        self.up = True
        self.life = 1  # another number after a restart: connections are gone
        self.timeline = 1
        self.watch: Watcher | None = None
        self._rng = rng
        self._actors: dict[str, int] = {}
        self._answers = self._by_text()

    def _by_text(self) -> dict[str, Callable[[Any], Answer]]:
        named = {
            name[1:]: getattr(self, name) for name in dir(self)
            if name.startswith("_") and name[1:] in _QUERIES
        }  # fmt: skip
        found = {sql.load(name): method for name, method in named.items()}
        found["select hivelog.now()"] = lambda _: [(moment(self.clock()),)]
        found["select hivelog.first_epoch()"] = self._first_epoch
        return found

    def execute(self, text: str, parameters: Any) -> Answer:
        return self._answers[text](parameters)

    # -- the append --------------------------------------------------------------------------------------

    def append(self, batch: bytes, epoch: int, parts: list[Part], sender: Any = None) -> Appended:
        answer = self._append(batch, epoch, parts)
        if answer.head >= answer.first and self.watch is not None:
            self.watch(answer, self.tables, sender)
        return answer

    def _append(self, batch: bytes, epoch: int, parts: list[Part]) -> Appended:
        return Append(self.tables, self.clock(), parts, self._any_order, self.off).run(batch, epoch)

    def _any_order(self, section: Section, accepted: dict[int, bytes]) -> list[int]:
        return self._rng.sample(list(accepted), len(accepted))

    def find_batch(self, batch: bytes, after: int) -> tuple[Any, ...] | None:
        if "recover" in self.off:
            return None
        for row in reversed(self.tables.batches):
            if row.position <= after:
                break
            if row.id == batch:
                return row.first, row.position, moment(row.recorded_at)
        self.tables.void.add(batch)
        return None

    def recovered_starts(self, first: int, last: int) -> Answer:
        rows = []
        for event in self.tables.events[first - 1 : last]:
            lease = self.tables.leases.get(event.stream)
            if event.type != "started" or lease is None or lease.token != event.position:
                more: tuple[Any, ...] = (None,) * 9
            else:
                kek, salt, wrapped, body = self.tables.vault[event.stream]
                spec = msgspec.json.decode(lease.spec)
                more = (lease.session, lease.attempt, lease.retry, lease.priority, spec, kek, salt, wrapped,
                        body)  # fmt: skip
            rows.append((event.position, event.type, UUID(bytes=event.stream), event.queue, *more))
        return rows

    # -- sessions ----------------------------------------------------------------------------------------

    def heartbeat(self, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
        session, tokens = parameters["session"], parameters["tokens"]
        found = [n for n, row in self.tables.sessions.items() if row.stream == session.bytes]
        if not found:
            return None
        row, now = self.tables.sessions[found[0]], self.clock()
        row.last_heartbeat = now
        held = {x.token: x for x in self.tables.leases.values() if x.session == found[0]}
        unlisted = sorted(
            (x.token, UUID(bytes=x.job)) for x in held.values()
            if x.token not in tokens and x.cancelling is None
            and x.started_at < now - 2000 * row.heartbeat
        )  # fmt: skip
        return (
            [t for t in tokens if t in held and held[t].cancelling is not None],
            [t for t in tokens if t not in held],
            [job for _, job in unlisted], [token for token, _ in unlisted],
        )  # fmt: skip

    def actor(self, name: str) -> int:
        return self._actors.setdefault(name, len(self._actors) + 1)

    def state_of(self, job: bytes) -> JobState:
        return fold(self.tables.streams[job])

    # -- queries, by the names of their files ------------------------------------------------------------

    def _head(self, _: Any) -> Answer:
        last = self.tables.batches[-1]
        return [(last.position, last.epoch, moment(last.recorded_at))]

    def _epoch_state(self, _: Any) -> Answer:
        epochs = self.tables.epochs
        last = (max(epochs), *epochs[max(epochs)]) if epochs else (None, None, None)
        return [(*last, "system", self.timeline)]

    def _epoch_evidence(self, parameters: dict[str, int]) -> Answer:
        tables, at = self.tables, parameters["at"]
        found = [row.id for row in tables.batches if row.position == at]
        batch = UUID(bytes=found[0]) if found else None
        return [(tables.head, tables.epoch, "simulated", tables.batches[0].position < at, batch)]

    def _first_epoch(self, _: Any) -> Answer:
        self.tables.epochs.setdefault(1, ("system", self.timeline))
        return []

    def _queues(self) -> Answer:
        marks = self.tables.marks
        return [
            (n, marks[n].running if n in marks else None, q.paused or q.deleted, q.max_workers)
            for n, q in self.tables.queues.items()
        ]  # fmt: skip

    def _feed_state(self, parameters: tuple[int, int]) -> Answer:
        after, far = parameters
        tables = self.tables
        if tables.head - after > far:
            return [(tables.head, tables.epoch, *[None] * 10, _EDGE)]
        touched = {(e.stream, e.queue) for e in tables.events[max(after, 0) :] if e.queue is not None}
        adds: dict[tuple[int, int, int], list[Row]] = {}
        gone: dict[int, list[bytes]] = {}
        for stream, queue in sorted(touched):
            row = tables.ready.get(stream)
            if row is not None and row.queue == queue:
                adds.setdefault((row.queue, row.type, row.priority), []).append(row)
            else:
                gone.setdefault(queue, []).append(stream)
        columns: list[Any] = [[key[n] for key in adds] for n in range(3)]
        columns += [[_ids(rows) for rows in adds.values()], list(gone), [b"".join(x) for x in gone.values()]]
        columns += [list(column) for column in zip(*self._queues(), strict=True)] or [[], [], [], []]
        return [(tables.head, tables.epoch, *columns, _EDGE)]

    def _rebuild_head(self, _: Any) -> Answer:
        rows = self._queues() or [(None,) * 4]
        return [(self.tables.head, self.tables.epoch, *row) for row in rows]

    def _rebuild_pages(self, _: Any) -> Answer:
        pages: dict[tuple[int, int, int], list[Row]] = {}
        for row in self.tables.ready.values():
            pages.setdefault((row.queue, row.type, row.priority), []).append(row)
        return [(*key, _ids(sorted(rows, key=lambda row: row.job))) for key, rows in pages.items()]

    def _claimed_ready(self, columns: Any) -> Answer:
        found: dict[tuple[int, int, int], list[Row]] = {}
        for queue, kind, priority, job in zip(*columns, strict=True):
            row = self.tables.ready.get(job.bytes)
            if row is not None and (row.queue, row.type, row.priority) == (queue, kind, priority):
                found.setdefault((queue, kind, priority), []).append(row)
        rows: Answer = [(*key, _ids(jobs)) for key, jobs in found.items()]
        return [(self.tables.head, self.tables.epoch, *row) for row in rows or [(None,) * 4]]

    def _audit_marks(self, parameters: dict[str, int]) -> Answer:
        """Exact only at the head here: past marks are not kept."""
        tables = self.tables
        if parameters["position"] != tables.head:
            return [(-1, 0, *[None] * 5)]
        return [
            (tables.head, tables.epoch, n, tables.marks.get(n, Depth()).ready,
             tables.marks.get(n, Depth()).running, q.paused or q.deleted, q.max_workers)
            for n, q in tables.queues.items()
        ]  # fmt: skip

    def _due_pending(self, parameters: dict[str, Any]) -> Answer:
        now = self.clock()
        after = (max(parameters["due"], moment(max(0, now - round(1000 * parameters["back"])))), parameters["job"])
        rows = sorted(
            (moment(row.due), UUID(bytes=row.job), row) for row in self.tables.pending.values()
            if row.due is not None and row.due <= now
        )  # fmt: skip
        return [
            (due, job, row.queue, row.type, row.priority, row.version, row.expires is not None and row.expires <= now)
            for due, job, row in rows if (due, job) > after
        ][: parameters["limit"]]  # fmt: skip

    def _expired_waiting(self, parameters: dict[str, int]) -> Answer:
        now, found = self.clock(), []
        since = now - 1000 * parameters["back"]
        for source in ("pending", "ready"):
            for row in getattr(self.tables, source).values():
                if row.expires is not None and since < row.expires <= now:
                    due = None if row.due is None else moment(row.due)
                    found.append((source, UUID(bytes=row.job), row.queue, row.type, row.priority, due,
                                  row.version))  # fmt: skip
        return found[: parameters["limit"]]

    def _next_due(self, parameters: dict[str, float]) -> Answer:
        tables, now = self.tables, self.clock()
        low, high = now - 1000 * parameters["back"], now + 1000 * parameters["ahead"]
        waits = [row.due for row in tables.pending.values()]
        waits += [row.expires for row in (*tables.pending.values(), *tables.ready.values())]
        known = [each for each in waits if each is not None and low < each <= high]
        return [((min(known) - now) / 1000 if known else None, now / 1000)]

    def _reaper_sessions(self, _: Any) -> Answer:
        now = moment(self.clock())
        rows: Answer = [
            (n, UUID(bytes=row.stream), row.name, moment(row.last_heartbeat), row.dead_after, now)
            for n, row in self.tables.sessions.items()
        ]
        return rows or [(None, None, None, None, None, now)]

    def _reaper_leases(self, parameters: dict[str, bool]) -> Answer:
        now, rows = self.clock(), []
        for x in self.tables.leases.values():
            late = x.deadline is not None and x.deadline <= now
            orphaned = x.session not in self.tables.sessions
            if (parameters["orphans"] if orphaned else late or x.cancelling is not None):
                rows.append((UUID(bytes=x.job), x.token, moment(x.deadline) if late and x.deadline else None,
                             None if x.cancelling is None else moment(x.cancelling), orphaned,
                             moment(now)))  # fmt: skip
        return rows

    def _leases_of_session(self, parameters: dict[str, int]) -> Answer:
        found = [x for x in self.tables.leases.values() if x.session == parameters["session"]]
        return [(UUID(bytes=x.job), x.token) for x in sorted(found, key=lambda x: x.token)]

    def _read_streams(self, parameters: dict[str, list[UUID]]) -> Answer:
        now = moment(self.clock())
        rows: Answer = [
            (e.position, moment(e.recorded_at), UUID(bytes=e.stream), e.version, e.type, e.actor, e.queue,
             e.attempt, e.body_size, e.correlation, e.data, now)
            for stream in sorted(parameters["streams"])
            for e in self.tables.streams.get(stream.bytes, ())
        ]  # fmt: skip
        return rows or [(*[None] * 11, now)]


_QUERIES = {
    "head", "epoch_state", "epoch_evidence", "feed_state", "rebuild_head", "rebuild_pages", "claimed_ready", "audit_marks",
    "due_pending", "expired_waiting", "next_due", "reaper_sessions", "reaper_leases", "leases_of_session",
    "read_streams",
}  # fmt: skip

__all__ = ["Answer", "Postgres", "moment"]
