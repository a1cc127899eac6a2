"""The relay: jobs that SQL enqueued in a transaction of its own, from the outbox into the log.

It keeps no checkpoint, because a row that is there is a job that is not in the log: the append deletes it
in the statement that writes its event. So a relay may die anywhere, and two may run at once: an
advisory lock lets one work, and should both, the vault's primary key refuses the second of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg
import structlog
from msgspec import Struct

from .. import sql
from . import pool, spec
from .batch import Enqueue, IdempotencyKey, Outcome, Part
from .errors import LogError
from .fields import InvalidField
from .names import Names
from .pool import Connection
from .queue import QueueConfig
from .vault import Vault

_log = structlog.get_logger(__name__)
_READ = sql.load("outbox_read")
_REFUSE = sql.load("outbox_refuse")

# Held by the relay that works.
_LOCK = 6_620_113_954_027_353
_KEY_KEPT = 24 * 3600 * 1000  # milliseconds
_POLL = 1.0  # seconds: a lost NOTIFY costs this much
# Right after work: for what enqueue did not announce because it saw other rows waiting.
_LINGER = 0.1
# What was enqueued longer ago than that has left, and beside an old snapshot lies dead before the rest: it is
# gone through only now and then, for a transaction that was long.
_BACK = 60.0  # seconds
_ALL = 1e9
_LOOK_FOR_ALL = 10.0  # seconds

Submit = Callable[[Part], Awaitable[Outcome]]


class Row(Struct, gc=False):
    """A job of the outbox, as `outbox_read` answers it."""

    id: UUID
    queue: str
    type: str
    payload: str
    options: str
    caller: str
    created_at: datetime
    key: bytes | None
    fingerprint: bytes | None


class Outbox(Struct, frozen=True):
    """Jobs that wait and that were refused, each counted up to 10,000; age of the oldest."""

    waiting: int
    oldest_seconds: float | None
    refused: int


async def status(conn: Connection) -> Outbox:
    """How the outbox does: health warns of refused jobs, and of an old one."""
    cursor = await conn.execute(sql.load("outbox_status"))
    row = await cursor.fetchone()
    assert row is not None
    return Outbox(*row)


class Relay:
    """One a process; `submit` is the appender's."""

    def __init__(self, url: str, names: Names, vault: Vault, submit: Submit) -> None:
        self._url, self._names, self._vault, self._submit = url, names, vault, submit
        self._all_at = self._looked_at = 0.0

    async def run(self) -> None:
        """Relay until cancelled; outlasts a database that is away."""
        while True:
            try:
                conn = await pool.connect(self._url, "hivelog outbox")
                try:
                    await self._work(conn)
                finally:
                    await conn.close()
            except (psycopg.Error, LogError) as error:
                _log.warning("outbox_waits", error=str(error).partition("\n")[0])
                await asyncio.sleep(_POLL)

    async def _work(self, conn: Connection) -> None:
        await conn.execute("listen hivelog_outbox")
        while not await _locked(conn):  # noqa: ASYNC110 - no event crosses processes
            await asyncio.sleep(_POLL)
        while True:
            moved = await self.relay(conn)
            async for _ in conn.notifies(timeout=_LINGER if moved else _POLL, stop_after=1):
                pass

    async def relay(self, conn: Connection) -> int:
        """Move what waits, the oldest first; answers how many jobs left the outbox.

        Raises DatabaseUnavailable or Overloaded from the appender: nothing is lost, come again.
        """
        total, now = 0, asyncio.get_running_loop().time()
        back = _ALL if now >= self._all_at else _BACK + now - self._looked_at
        while moved := await self._relay(conn, await _read(conn, back)):
            total += moved
        self._looked_at = now
        if back == _ALL:
            self._all_at = now + _LOOK_FOR_ALL
        return total

    async def _relay(self, conn: Connection, rows: list[Row]) -> int:
        jobs: list[tuple[Row, Enqueue]] = []
        refused: list[tuple[Row, str]] = []
        for row in rows:
            try:
                jobs.append((row, await self._enqueue(row)))
            except InvalidField as error:
                refused.append((row, error.field))
        # One mismatching key refuses its whole part, so each key has a part of its own.
        plain = [job for job in jobs if job[0].key is None]
        groups = [plain] * bool(plain) + [[job] for job in jobs if job[0].key is not None]
        moved = 0
        for done, codes in await asyncio.gather(*map(self._append, groups)):
            moved += done
            refused += codes
        if refused:
            await _refuse(conn, refused)
        return moved + len(refused)

    async def _enqueue(self, row: Row) -> Enqueue:
        """Raises InvalidField with the code of the refusal as its field."""
        queue = await self._names.queue(row.queue)
        if queue is None:
            raise InvalidField("unknown_queue", "was deleted")
        config = msgspec.convert(queue.config, QueueConfig)
        options = msgspec.json.decode(row.options)
        try:
            made = spec.prepare(row.type, config, options, idempotency=row.key is not None)
        except InvalidField as error:
            raise InvalidField("invalid_field", str(error)) from None
        # Only the white space goes: decoding could change a number.
        payload = msgspec.json.format(row.payload.encode(), indent=-1)
        sealed = self._vault.seal_new(row.id.bytes, payload)
        assert sealed.salt is not None
        return Enqueue(
            row.id.bytes, queue.id, await self._names.type_id(row.type), made.spec.priority,
            await self._names.actor_id(f"sql:{row.caller}"), made.encoded, sealed.size, sealed.digest,
            sealed.salt, sealed.body, made.due_at, made.expires_at, made.correlation, sealed.kek,
            sealed.wrapped,
        )  # fmt: skip

    async def _append(self, jobs: list[tuple[Row, Enqueue]]) -> tuple[int, list[tuple[Row, str]]]:
        """How many were accepted, and which were refused with which code."""
        try:
            outcome = await self._submit(_part(jobs))
        except psycopg.errors.UniqueViolation:
            return 0, []  # another relay was faster; the next read shows what is left
        except psycopg.Error as error:
            if len(jobs) == 1:
                _log.error("outbox_job_refused", job=str(jobs[0][0].id), error=error.diag.message_primary)
                return 0, [(jobs[0][0], "rejected")]
            halves = jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]
            (a, some), (b, more) = [await self._append(half) for half in halves]
            return a + b, some + more
        refused = [(jobs[n][0], why.code) for (section, n), why in outcome.refused.items() if section == "n"]
        return len(jobs) - len(refused), refused


async def _read(conn: Connection, back: float) -> list[Row]:
    cursor = await conn.execute(_READ, {"back": back})
    return [Row(*values) for values in await cursor.fetchall()]


def _part(jobs: Sequence[tuple[Row, Enqueue]]) -> Part:
    keys = [
        IdempotencyKey(row.key, row.fingerprint, n, n, _milliseconds(row.created_at) + _KEY_KEPT)
        for n, (row, _) in enumerate(jobs)
        if row.key is not None and row.fingerprint is not None
    ]
    return Part(enqueues=[job for _, job in jobs], keys=keys, outbox=True)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def _locked(conn: Connection) -> bool:
    cursor = await conn.execute("select pg_try_advisory_lock(%s)", (_LOCK,))
    return await cursor.fetchone() == (True,)


async def _refuse(conn: Connection, refused: Sequence[tuple[Row, str]]) -> None:
    rows = [row for row, _ in refused]
    _log.error("outbox_jobs_refused", count=len(rows), codes=sorted({code for _, code in refused}))
    await conn.execute(
        _REFUSE,
        {
            "ids": [row.id for row in rows],
            "queues": [row.queue for row in rows],
            "types": [row.type for row in rows],
            "payloads": [row.payload for row in rows],
            "options": [row.options for row in rows],
            "callers": [row.caller for row in rows],
            "created": [row.created_at for row in rows],
            "codes": [code for _, code in refused],
        },
    )
