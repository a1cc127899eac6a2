"""Commands for tests that speak to the log directly."""

from __future__ import annotations

import hashlib
import os
import uuid

import msgspec
import psycopg
from hivelog.events import ids
from hivelog.events.batch import End, Enqueue, Move, Part, Pick, Record, Start, Started


class Desk:
    """A queue, a job type and a living session in a test database, and commands for them."""

    def __init__(self, url: str, *, queue: str = "bench", max_workers: int | None = None) -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            self.queue = _one(conn, "select hivelog.queue_id(%s, gen_random_uuid())", queue)
            conn.execute(
                "update hivelog.queues set deleted = false, max_workers = %s where id = %s",
                (max_workers, self.queue),
            )
            self.type = _one(conn, "select id from hivelog.type_ids(array['noop'])")
            self.actor = _one(conn, "select hivelog.actor_id('test')")
            self.session = self.new_session(conn)

    def new_session(self, conn: psycopg.Connection[tuple[int, ...]]) -> int:
        stream = uuid.uuid4()
        session = _one(conn, "select hivelog.actor_id(%s)", f"worker:test:{stream}")
        conn.execute(
            "insert into hivelog.sessions (id, session, name, host, pid, queues, types, slots,"
            " started_at, last_heartbeat)"
            " values (%s, %s, 'test', 'here', 1, '{}', '{}', 1, hivelog.now(), hivelog.now())",
            (session, stream),
        )
        return session

    def enqueue(self, *, priority: int = 100, body: bytes = b"{}", due: int | None = None) -> Enqueue:
        spec = {"type": "noop", "priority": priority, "max_retries": 3, "retry_delay": 60}
        salt = os.urandom(16)
        return Enqueue(
            ids.mint(), self.queue, self.type, priority, self.actor, msgspec.json.encode(spec), len(body),
            hashlib.sha256(salt + body).digest(), salt, body, due=due,
        )  # fmt: skip

    def start(self, job: Enqueue) -> Start:
        return Start(self.session, job.queue, job.type, job.priority, job.job)

    def pick(self, limit: int) -> Pick:
        return Pick(self.session, self.queue, [self.type], limit)

    def record(self, event: str) -> Record:
        return Record(str(uuid.uuid4()), event, self.actor, queue=self.queue)

    def reprioritize(self, job: Enqueue, priority: int, version: int = 1) -> Move:
        data = msgspec.Raw(msgspec.json.encode({"priority": priority}))
        return Move(
            ids.to_text(job.job), "rescheduled", "ready", "ready", version, self.actor, queue=job.queue, type=job.type,
            priority=job.priority, new_priority=priority, data=data,
        )  # fmt: skip

    def cancel(self, job: Enqueue) -> Move:
        return Move(
            ids.to_text(job.job), "cancelled", "ready", "none", 1, self.actor,
            queue=job.queue, type=job.type, priority=job.priority,
        )  # fmt: skip


def complete(job: Started, result: bytes | None = b'{"ok":true}') -> End:
    if result is None:
        return End(job.job, job.token, "completed")
    return End(
        job.job, job.token, "completed", size=len(result), digest=hashlib.sha256(result).digest(), slot=1,
        body=result,
    )  # fmt: skip


def part(*commands: object, patient: bool = False) -> Part:
    """A part of these commands, whatever their kinds."""
    made = Part(patient=patient)
    lists = {
        Enqueue: made.enqueues, End: made.ends, Move: made.moves, Record: made.records, Start: made.starts,
        Pick: made.picks,
    }  # fmt: skip
    for command in commands:
        lists[type(command)].append(command)  # type: ignore[attr-defined,index]
    return made


def _one(conn: psycopg.Connection[tuple[int, ...]], query: str, *parameters: object) -> int:
    row = conn.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]
