"""Worker sessions: registered at the start of a worker, kept alive by heartbeats, stopped at its end.

Heartbeats have a connection of their own and never wait behind appends: a busy log must not look like a
dead worker.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import psycopg
import structlog
from msgspec import Struct

from .. import sql
from ..events import pool, types
from ..events.appender import Appender
from ..events.batch import End, Part, Record
from ..events.errors import DatabaseUnavailable, EpochChanged
from ..events.names import Names
from .errors import Rejected
from .registry import Handler

_log = structlog.get_logger(__name__)

_HEARTBEAT: Final = sql.load("heartbeat")


class Session(Struct, frozen=True):
    """A registered session. `id` is its number in leases and its actor in events."""

    id: int
    session: bytes
    name: str
    heartbeat: int  # seconds
    dead_after: int  # seconds


class Held(Struct, frozen=True):
    """The answer to a heartbeat, tokens in all of it. `gone`: the session is over, every lease is lost.

    `unlisted`: (job, token) of leases that the session should know of and does not: their start was lost
    on the way, and they are to be released.
    """

    cancel: list[int]
    lost: list[int]
    unlisted: list[tuple[bytes, int]]
    gone: bool = False


class Sessions:
    """Registers and stops sessions through the log, and takes their heartbeats beside it."""

    def __init__(
        self,
        appender: Appender,
        names: Names,
        url: str,
        *,
        heartbeat: float = 5.0,
        dead_after: float = 20.0,
    ) -> None:
        self._appender = appender
        self._names = names
        self._url = url
        # Whole seconds in the database; rounding up is the patient side.
        self._heartbeat = max(1, math.ceil(heartbeat))
        self._dead_after = max(1, math.ceil(dead_after))
        self._connection: pool.Connection | None = None
        self._lock = asyncio.Lock()

    async def register(
        self, name: str, queues: Sequence[str], handlers: Sequence[Handler], slots: int
    ) -> Session:
        """A session of this process, which runs these handlers."""
        schemas = {h.type: schema for h in handlers if (schema := h.schema()) is not None}
        return await self.open(
            name, queues, [h.type for h in handlers], slots,
            host=socket.gethostname(), pid=os.getpid(), schemas=schemas,
        )  # fmt: skip

    async def open(
        self,
        name: str,
        queues: Sequence[str],
        types: Sequence[str],
        slots: int,
        *,
        host: str,
        pid: int,
        schemas: Mapping[str, Any] | None = None,
    ) -> Session:
        """A new session (`worker_started`), of any process in any language.

        The name is a label: every start is a session of its own.
        """
        stream = uuid4()
        data = {
            "name": name, "host": host, "pid": pid, "queues": queues, "types": types,
            "slots": slots, "heartbeat": self._heartbeat, "dead_after": self._dead_after,
        }  # fmt: skip
        if schemas:
            data["schemas"] = schemas
        raw = msgspec.Raw(msgspec.json.encode(data))
        try:
            number = await self._started(name, stream, raw)
        except EpochChanged:  # the number may be another's in the new one
            number = await self._started(name, stream, raw)
        return Session(number, stream.bytes, name, self._heartbeat, self._dead_after)

    async def _started(self, name: str, stream: UUID, data: msgspec.Raw) -> int:
        number = await self._names.actor_id(f"worker:{name}:{stream}")
        record = Record(stream=str(stream), event="worker_started", actor=number, data=data)
        outcome = await self._appender.submit(Part(records=[record]))
        if outcome.refused:
            raise Rejected("conflict", "the session could not be registered")
        return number

    async def beat(
        self, session: Session, tokens: Sequence[int], busy: int, blocked: int | None = None
    ) -> Held | None:
        """This process's heartbeat; None when the database does not answer."""
        try:
            return await self.heartbeat(
                session.session, tokens, busy=busy, memory_mib=_memory_mib(), blocked=blocked
            )
        except DatabaseUnavailable as error:
            _log.warning("heartbeat_failed", name=session.name, error=str(error))
            return None

    async def heartbeat(
        self,
        session: bytes,
        tokens: Sequence[int],
        *,
        busy: int = 0,
        memory_mib: int | None = None,
        blocked: int | None = None,
    ) -> Held:
        """One statement on a connection of its own. Raises DatabaseUnavailable."""
        parameters = {
            "session": UUID(bytes=session), "tokens": list(tokens), "busy": busy, "memory": memory_mib,
            "blocked": blocked,
        }  # fmt: skip
        async with self._lock:
            row = await self._ask(parameters)
        if row is None:
            return Held([], list(tokens), [], gone=True)
        unlisted = [(job.bytes, token) for job, token in zip(row[2], row[3], strict=True)]
        return Held(row[0], row[1], unlisted)

    async def _ask(self, parameters: dict[str, Any]) -> Any:
        """At once again if the old connection is dead or silent: a session must not die with a connection,
        and a second missed beat would be one too many."""
        known = self._connection is not None
        try:
            return await self._execute(parameters)
        except DatabaseUnavailable:
            if not known:
                raise
        return await self._execute(parameters)

    async def _execute(self, parameters: dict[str, Any]) -> Any:
        try:
            if self._connection is None or self._connection.closed:
                silence = self._heartbeat / 2
                self._connection = await pool.connect(self._url, "hivelog heartbeat", silence=silence)
            cursor = await self._connection.execute(_HEARTBEAT, parameters)
            return await cursor.fetchone()
        except psycopg.OperationalError as error:
            await self.close()
            raise DatabaseUnavailable(str(error)) from error

    async def release(self, session: Session, held: Held) -> int:
        """Give the unlisted leases back, their attempts not counted. Answers how many went."""
        data = types.encode(types.Released("unlisted"))
        ends = [End(job, token, "released", session.id, data=data) for job, token in held.unlisted]
        if not ends:
            return 0
        outcome = await self._appender.submit(Part(ends=ends))
        return len(ends) - len(outcome.refused)

    async def leave(self, session: Session, reason: str | None = None) -> None:
        """The session ends by itself (`worker_stopped`); a second time changes nothing."""
        encoded = types.encode(types.WorkerStopped(reason))
        record = Record(
            stream=str(UUID(bytes=session.session)), event="worker_stopped", actor=session.id,
            data=None if encoded is None else msgspec.Raw(encoded),
        )  # fmt: skip
        await self._appender.submit(Part(records=[record]))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _memory_mib() -> int | None:
    """Resident memory of this process; None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    except OSError:
        return None
