"""Writes histories into a real log with `hivelog.append`, synchronously, and says what was accepted."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from hivelog.events.batch import End, Enqueue, Move, Part, Record, Start
from hivelog.events.log import Log

_numbers = iter(range(1, 10**12))


def job_id(at_ms: int) -> uuid.UUID:
    """A UUIDv7 whose random part counts, so that histories are the same in every run."""
    return uuid.UUID(int=(at_ms << 80) | (7 << 76) | (2 << 62) | next(_numbers))


def text(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat()


@dataclass
class Answer:
    """What an append said. `started`: (job, token, attempt, session) of the jobs that were leased."""

    head: int
    at: int
    refused: list[tuple[str, int, str]]
    started: list[tuple[uuid.UUID, int, int, int]]


@dataclass
class LogWriter:
    """One connection that appends. Queues, types and sessions are made on first use."""

    url: str
    conn: psycopg.Connection[Any] = field(init=False)
    queues: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.conn = psycopg.connect(self.url, autocommit=True)
        self.conn.execute("set timezone = 'UTC'")
        # The log is asynchronous; histories are plain loops, also inside of asynchronous tests.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._log = Log(self.url)
        asyncio.run_coroutine_threadsafe(self._log.open(), self._loop).result(30)
        self.actor = self.one("select hivelog.actor_id('test')")

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._log.close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.conn.close()

    def one(self, query: str, *values: object) -> Any:
        row = self.conn.execute(query, values).fetchone()
        assert row is not None
        return row[0]

    def queue(self, name: str, **config: object) -> int:
        if name not in self.queues:
            stream = uuid.uuid5(uuid.NAMESPACE_URL, f"hivelog:queue:{name}")
            self.queues[name] = self.one("select hivelog.queue_id(%s, %s)", name, stream)
            self.configure(name, **config)
        return self.queues[name]

    def configure(self, name: str, **config: object) -> None:
        stream = str(self.one("select stream from hivelog.queues where name = %s", name))
        data = msgspec.Raw(msgspec.json.encode({"priority": 100, "max_workers": None, **config}))
        self.record(Record(stream, "queue_configured", self.actor, queue=self.queues[name], data=data))

    def type(self, name: str) -> int:
        if name not in self.types:
            self.types[name] = self.one("select id from hivelog.type_ids(%s)", [name])
        return self.types[name]

    def session(self, name: str, queues: list[str], slots: int = 10) -> int:
        if name not in self.sessions:
            stream = uuid.uuid4()
            actor = self.one("select hivelog.actor_id(%s)", f"worker:{name}:{stream}")
            data = {
                "name": name, "host": "h", "pid": 1, "queues": queues, "types": ["t"], "slots": slots,
                "heartbeat": 5, "dead_after": 20,
            }  # fmt: skip
            raw = msgspec.Raw(msgspec.json.encode(data))
            self.record(Record(str(stream), "worker_started", actor, data=raw))
            self.sessions[name] = actor
        return self.sessions[name]

    def stop_session(self, name: str, reason: str | None = None) -> None:
        number = self.sessions[name]
        stream = str(self.one("select session from hivelog.sessions where id = %s", number))
        data = None if reason is None else msgspec.Raw(msgspec.json.encode({"reason": reason}))
        self.record(Record(stream, "worker_stopped", number, data=data))

    def record(self, record: Record) -> Answer:
        return self.append(Part(records=[record]))

    def append(self, part: Part) -> Answer:
        waiting = asyncio.run_coroutine_threadsafe(self._log.append([part]), self._loop)
        outcome = waiting.result(30).outcomes[0]
        return Answer(
            outcome.head,
            outcome.recorded_at,
            [(section, n, refused.code) for (section, n), refused in outcome.refused.items()],
            [(uuid.UUID(bytes=s.job), s.token, s.attempt, s.session) for s in outcome.started],
        )

    def now(self) -> int:
        return round(self.one("select hivelog.now()").timestamp() * 1000)

    def enqueue(
        self, queue: str, type_: str = "t", *, priority: int = 100, due: int | None = None,
        correlation: str | None = None, at: int | None = None, **spec: object,
    ) -> Enqueue:  # fmt: skip
        body = b'{"n":1}'
        data: dict[str, object] = {
            "type": type_, "priority": priority, "max_retries": 3, "retry_delay": 60, **spec
        }  # fmt: skip
        if due is not None:
            data["scheduled_for"] = text(due)
        return Enqueue(
            job=job_id(self.now() if at is None else at).bytes, queue=self.queue(queue),
            type=self.type(type_), priority=priority, actor=self.actor, spec=msgspec.json.encode(data),
            size=len(body), digest=hashlib.sha256(b"s" + body).digest(), salt=b"s", body=body, due=due,
            correlation=correlation,
        )  # fmt: skip

    def start(self, session: int, queue: str, job: bytes, type_: str = "t", priority: int = 100) -> Start:
        return Start(session, self.queue(queue), self.type(type_), priority, job)


def end(job: uuid.UUID, token: int, event: str, body: bytes | None = None, **data: Any) -> End:
    """The end of a lease; `due` (ms) and `retry` go into columns and, for retries, into the data too."""
    due, retry = data.pop("due", None), data.get("retry")
    if due is not None:
        data["due_at"] = text(due)
    slot = None if body is None else 1 if event == "completed" else 2
    return End(
        job.bytes, token, event, due=due, retry=retry,
        data=msgspec.json.encode(data) if data else None,
        size=None if body is None else len(body), digest=None if body is None else b"d" * 32,
        slot=slot, body=body,
    )  # fmt: skip


__all__ = ["Answer", "LogWriter", "Move", "Part", "end", "job_id", "text"]
