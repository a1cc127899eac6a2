"""What people and programs do to a queue: configure, pause, resume, delete; and the queues out of the box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import fields, types, vault
from ..events.appender import Appender
from ..events.batch import Outcome, Part, Record
from ..events.names import Names
from ..events.pool import Pool
from ..events.queue import DEFAULT_QUEUES, QueueConfig, configured, queue_name
from ..events.vault import Vault
from .configuration import Configuration
from .errors import Rejected, checked, unknown_queue

_ATTEMPTS: Final = 3
_LONGEST_REASON: Final = 2000
OUT_OF_THE_BOX: Final = "system"  # the actor that makes the default queues


class QueueState(Struct, frozen=True):
    """A queue now. `version` counts the events of its stream: pass it back to change what you saw."""

    id: int
    name: str
    stream: bytes
    config: QueueConfig
    paused: bool
    deleted: bool
    version: int
    position: int


class QueueCommands:
    """Raises Rejected (unknown_queue, invalid_field, conflict), Overloaded, DatabaseUnavailable."""

    def __init__(
        self,
        appender: Appender,
        names: Names,
        pool: Pool,
        sealer: Vault,
        configuration: Configuration,
    ) -> None:
        self._appender = appender
        self._names = names
        self._pool = pool
        self._vault = sealer
        self._configuration = configuration

    async def state(self, name: str) -> QueueState:
        """The queue as the database has it now. Raises Rejected("unknown_queue")."""
        found = await self._find(name)
        if found is None or found.deleted:
            raise unknown_queue(name)
        return found

    async def create_default_queues(self) -> list[str]:
        """On first start; a queue that was ever configured is left alone, also a deleted one.

        Safe in several processes at once. Answers the names of those it made.
        """
        made = []
        for name, config in DEFAULT_QUEUES.items():
            found = await self._find(name)
            if found is None or found.version == 0:
                outcome = await self._configure_new(name, config, OUT_OF_THE_BOX)
                made += [] if outcome.refused else [name]
        self._names.forget_queues()
        return made

    async def configure(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        actor: str,
        expected_version: int | None = None,
    ) -> QueueState:
        """Create the queue, or change the named fields of its configuration; answers it as it is now."""
        with checked():
            queue_name(name)
        for _ in range(_ATTEMPTS):
            found = await self._find(name)
            version = 0 if found is None else found.version
            if expected_version is not None and version != expected_version:
                raise Rejected("conflict", "the queue has changed", {"version": version})
            wanted = await self._wanted(found, changes)
            if found is not None and not found.deleted and wanted == found.config:
                return found
            outcome = await self._write(name, found, wanted, actor)
            if not outcome.refused:
                self._names.forget_queues()
                return await self.state(name)
        raise Rejected("conflict", "the queue changed at the same time; try again")

    async def _wanted(
        self, found: QueueState | None, changes: Mapping[str, object]
    ) -> QueueConfig:
        if found is None or found.deleted:
            base = (await self._configuration.current()).new_queue()
        else:
            base = found.config
        with checked():
            return configured(base, changes)

    async def _write(
        self, name: str, found: QueueState | None, config: QueueConfig, actor: str
    ) -> Outcome:
        if found is None:
            return await self._configure_new(name, config, actor)
        return await self._append(found, "queue_configured", actor, config, found.version)

    async def _configure_new(self, name: str, config: QueueConfig, actor: str) -> Outcome:
        number, stream = await self._names.new_queue(name)
        blank = QueueState(number, name, stream, config, False, True, 0, 0)
        return await self._append(blank, "queue_configured", actor, config, 0)

    async def pause(self, name: str, *, actor: str, reason: str | None = None) -> int:
        """Nothing of the queue starts any more; answers the position of the (last) pause."""
        return await self._switch(name, "paused", actor, reason)

    async def resume(self, name: str, *, actor: str, reason: str | None = None) -> int:
        """The queue's jobs start again; answers the position of the (last) resume."""
        return await self._switch(name, "resumed", actor, reason)

    async def _switch(self, name: str, event: str, actor: str, reason: str | None) -> int:
        body = None
        if reason:
            with checked():
                body = fields.text("reason", reason, _LONGEST_REASON).encode()
        found = await self.state(name)
        outcome = await self._append(found, event, actor, types.Switched(body is not None))
        self._names.forget_queues()
        if outcome.refused:
            return found.position  # unchanged: it was so already
        position = outcome.positions["r"][0]
        if body is not None:
            await self._keep_reason(found.stream, position, body)
        return position

    async def _keep_reason(self, stream: bytes, position: int, body: bytes) -> None:
        """In the vault under the queue's stream, as a job's reason is kept under the job."""
        job = UUID(bytes=stream)
        blank = self._vault.seal_new(stream, b"")
        async with self._pool.connection() as connection:
            own = {"job": job, "salt": blank.salt, "kek": blank.kek, "wrapped": blank.wrapped}
            await connection.execute(sql.load("vault_key_insert"), {**own, "body": blank.body})
            row = await (await connection.execute(sql.load("vault_key"), {"job": job})).fetchone()
            assert row is not None
            key = self._vault.key_of(stream, row[0], row[1], row[2])
            sealed = key.seal(vault.REASON, body)
            parameters = {"job": job, "slot": vault.REASON, "token": position, "body": sealed.body}
            await connection.execute(sql.load("vault_insert"), parameters)

    async def delete(self, name: str, *, actor: str) -> int:
        """Take an empty queue away; answers the position. Its history stays."""
        found = await self.state(name)
        gone = msgspec.structs.replace(found.config, deleted=True)
        outcome = await self._append(found, "queue_configured", actor, gone)
        self._names.forget_queues()
        if outcome.refused:
            raise Rejected("conflict", "the queue is not empty: drain it first", {"queue": name})
        return outcome.positions["r"][0]

    async def _append(
        self, found: QueueState, event: str, actor: str, data: Struct, expected: int | None = None
    ) -> Outcome:
        encoded = types.encode(data)
        record = Record(
            stream=str(UUID(bytes=found.stream)), event=event, queue=found.id, expected=expected,
            actor=await self._names.actor_id(actor),
            data=None if encoded is None else msgspec.Raw(encoded),
        )  # fmt: skip
        return await self._appender.submit(Part(records=[record]))

    async def _find(self, name: str) -> QueueState | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("queue_state"), {"name": name})
            row = await cursor.fetchone()
        if row is None:
            return None
        stored: dict[str, Any] = row[3]
        return QueueState(
            row[0], row[1], row[2].bytes, msgspec.convert(stored, QueueConfig), *row[4:]
        )
