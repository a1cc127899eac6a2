"""The twin's sections of moves and of records: sql/functions/append_moves.sql, append_record*.sql."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from hivelog.events import times
from hivelog.events.batch import Move, Record
from hivelog.events.read import Event

from .tables import Depth, QueueRow, Row, SessionRow
from .writer import Writer

_ENDS = frozenset({"completed", "failed", "cancelled", "expired", "payload_erased"})


def _is_end(event: Event) -> bool:
    if event.type == "lost":
        return (event.data or {}).get("to") in ("failed", "cancelled")
    return event.type in _ENDS


class Moves(Writer):
    def _move(self, moves: list[Move]) -> None:
        found = []
        taken: set[bytes] = set()
        for n, move in enumerate(moves):
            job = UUID(move.job).bytes
            row = None if job in taken else self._found(job, move)
            if row is None:
                self._refuse("m", n, "conflict")
                continue
            taken.add(job)
            found.append((move, row))
        for _, row in found:
            self._tables.pending.pop(row.job, None)
            self._tables.ready.pop(row.job, None)
        for move, row in found:
            self._move_one(move, row)

    def _found(self, job: bytes, move: Move) -> Row | None:
        """The row that the move may act on, if its guard holds."""
        if move.source == "ended":
            return self._ended(job, move)
        if move.source == "lease":
            lease = self._tables.leases.get(job)
            fits = lease is not None and (lease.token == move.token or "token" in self._off)
            asked = fits and lease is not None and move.event == "cancel_requested" and lease.cancelling
            return lease if fits and not asked else None
        row = (self._tables.pending if move.source == "pending" else self._tables.ready).get(job)
        if row is None or not self._same_key(row, move):
            return None
        early = move.event == "queued" and (row.due or 0) > self._at and "due" not in self._off
        fresh = move.event == "expired" and (row.expires is None or row.expires > self._at)
        return None if early or fresh else row

    def _same_key(self, row: Row, move: Move) -> bool:
        if row.version != move.version and "version" not in self._off:
            return False
        if move.source == "pending":
            return move.due_at is not None and row.due == times.from_text(move.due_at)
        return (row.queue, row.type, row.priority) == (move.queue, move.type, move.priority)

    def _ended(self, job: bytes, move: Move) -> Row | None:
        stream = self._tables.streams.get(job)
        if stream is None or (stream[-1].version != move.version and "version" not in self._off):
            return None
        if not _is_end(stream[-1]):
            return None
        assert move.queue is not None
        if move.target != "none" and self._tables.queues[move.queue].deleted:
            return None
        return Row(
            job, move.queue, move.type or 0, move.priority or 0, stream[-1].version, move.attempt or 0, 0,
            move.size or 0, move.enqueued or 0,
            None if move.expires_at is None else times.from_text(move.expires_at),
            b"" if move.spec is None else bytes(move.spec),
        )  # fmt: skip

    def _move_one(self, move: Move, row: Row) -> None:
        data = None if move.data is None else bytes(move.data)
        self._write(
            row.job, row.version + 1, move.event, move.actor, row.queue, data, attempt=row.attempt or None,
            size=move.body_size,
        )  # fmt: skip
        if move.source == "lease":
            row.version += 1
            if move.event == "cancel_requested":
                row.cancelling = self._at
            self._count(row.queue)
            return
        self._count(row.queue, pending=-(move.source == "pending"), ready=-(move.source == "ready"))
        if move.event == "payload_erased":
            self._tables.vault.pop(row.job, None)
        made = replace(
            row, version=row.version + 1, retry=row.retry if move.retry is None else move.retry,
            priority=row.priority if move.new_priority is None else move.new_priority,
        )  # fmt: skip
        if move.target == "pending":
            self._to_pending(made, None if move.new_due_at is None else times.from_text(move.new_due_at))
        elif move.target == "ready":
            self._to_ready(made)


class Records(Writer):
    def _record(self, record: Record) -> str | None:
        stream = UUID(record.stream).bytes
        version = len(self._tables.streams.get(stream, ()))
        if record.expected is not None and record.expected != version and "version" not in self._off:
            return "conflict"
        if (why := self._effect(record, stream)) is None:
            data = None if record.data is None else bytes(record.data)
            self._write(stream, version + 1, record.event, record.actor, record.queue, data)
        return why

    def _effect(self, record: Record, stream: bytes) -> str | None:
        data: dict[str, Any] = {} if record.data is None else msgspec.json.decode(bytes(record.data))
        match record.event:
            case "queue_configured" | "paused" | "resumed":
                return self._queue_record(record, data)
            case "worker_started":
                self._tables.sessions[record.actor] = SessionRow(
                    stream, data["name"], data["heartbeat"], data["dead_after"], self._at
                )
            case "worker_stopped" | "worker_lost":
                return self._session_over(record, stream)
            case "epoch_started":
                if data["epoch"] in self._tables.epochs:
                    return "unchanged"
                self._epoch = data["epoch"]
                self._tables.epochs[self._epoch] = (data["system_identifier"], data["timeline"])
        return None

    def _queue_record(self, record: Record, data: dict[str, Any]) -> str | None:
        assert record.queue is not None
        queue = self._tables.queues.setdefault(record.queue, QueueRow(b""))
        if record.event != "queue_configured":
            if queue.paused == (record.event == "paused"):
                return "unchanged"
            queue.paused = record.event == "paused"
            return None
        depth = self._tables.marks.get(record.queue, Depth())
        if data.get("deleted") and depth.pending + depth.ready + depth.running > 0:
            return "not_empty"
        queue.max_workers, queue.deleted = data.get("max_workers"), bool(data.get("deleted"))
        return None

    def _session_over(self, record: Record, stream: bytes) -> str | None:
        for number, row in self._tables.sessions.items():
            if row.stream == stream:
                cutoff = None if record.cutoff is None else times.from_text(record.cutoff)
                beaten = cutoff is None or row.last_heartbeat > cutoff
                if record.event == "worker_lost" and beaten and "cutoff" not in self._off:
                    return "session_alive"
                del self._tables.sessions[number]
                return None
        return "not_found"
