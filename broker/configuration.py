"""The system's configuration (`GET /config`, `PUT /config`): `config_changed` events, live within 2 s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, field

from .. import sql
from ..events import fields, queue, types
from ..events.appender import Appender
from ..events.batch import Part, Record
from ..events.names import SYSTEM_STREAM, Names
from ..events.pool import Pool
from ..events.renewal import Renewal
from .errors import Rejected, checked, invalid

_SOON, _LATEST = 1.0, 1.8  # seconds; live within two
_ATTEMPTS: Final = 3
SMALLEST_LIMIT: Final = 1024
LARGEST_LIMIT: Final = 64 * 1024 * 1024

ALWAYS_TRUE: Final = frozenset({"job_persistence", "backup_to_db"})
_WHY_ALWAYS: Final = (
    "cannot be switched off: every job is an event in PostgreSQL before it is acknowledged, and "
    "there is no other place where jobs live"
)


class SystemConfig(Struct, frozen=True, kw_only=True):
    """What the whole system is configured with; the environment gives what was never set.

    `queue_defaults` (fields of a queue's configuration) and `scaling` ({min, max, threshold}) are what
    a new queue begins with; queues that exist keep theirs. `encryption` says that a process has encrypted
    payloads here; `hivelog.enqueue` in SQL is refused then, unless `allow_plaintext_outbox` is set.
    """

    retention_days: int = 30
    max_message_size: int = 1_048_576  # bytes of an encoded payload
    queue_defaults: dict[str, Any] = {}
    scaling: dict[str, Any] = {}
    notifications: dict[str, Any] = field(default_factory=lambda: {"enabled": True})
    job_persistence: bool = True
    backup_to_db: bool = True
    encryption: bool = False
    allow_plaintext_outbox: bool = False
    poison_after: int = 3  # attempts whose worker died, until the job is set aside

    def new_queue(self) -> queue.QueueConfig:
        """The configuration of a queue of which nothing else is said."""
        changes = dict(self.queue_defaults)
        if self.scaling:
            changes["scaling"] = self.scaling
        return queue.configured(queue.QueueConfig(), changes)


class Configuration:
    """Reads and changes the one configuration. `initial` comes from the environment."""

    def __init__(
        self, pool: Pool, appender: Appender, names: Names, initial: SystemConfig | None = None
    ) -> None:
        self._pool = pool
        self._appender = appender
        self._names = names
        self._initial = initial or SystemConfig()
        self._current = self._initial
        self._set_here = 0  # how often this process has changed it
        self._renewal = Renewal(self._read, soon=_SOON, latest=_LATEST)

    async def current(self) -> SystemConfig:
        """At most two seconds old, and never older than what this process has set."""
        if not self._renewal.young:
            await self._renewal.ensure()
        return self._current

    async def _read(self) -> int:
        """Re-read; answers the version of the system's stream, for compare-and-set."""
        known = self._set_here
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.load("config"), {"stream": UUID(bytes=SYSTEM_STREAM)}
            )
            row = await cursor.fetchone()
        assert row is not None
        if known == self._set_here:  # else it may be of before that
            self._current = _over(self._initial, row[0])
        return int(row[1])

    async def change(self, changes: Mapping[str, object], *, actor: str) -> SystemConfig:
        """Set the named fields (those of SystemConfig). Raises Rejected; answers the whole."""
        return await self._set(lambda current: changed(current, changes), actor)

    async def encryption_is_on(self) -> None:
        """Said by each process that encrypts: from now on jobs may not wait for the relay in plain text."""
        await self._set(lambda current: msgspec.structs.replace(current, encryption=True), "system")

    async def _set(self, change: Callable[[SystemConfig], SystemConfig], actor: str) -> SystemConfig:
        actor_id = await self._names.actor_id(actor)
        for _ in range(_ATTEMPTS):
            version = await self._read()
            wanted = change(self._current)
            if wanted == self._current:
                return wanted
            outcome = await self._appender.submit(Part(records=[_record(wanted, version, actor_id)]))
            if not outcome.refused:
                self._set_here += 1
                self._current = wanted
                return wanted
        raise Rejected("conflict", "the configuration changed at the same time; try again")


def _record(config: SystemConfig, version: int, actor: int) -> Record:
    data = types.ConfigChanged(
        retention_days=config.retention_days,
        max_message_size=config.max_message_size,
        queue_defaults=config.queue_defaults,
        scaling=config.scaling,
        notifications=config.notifications,
        encryption=config.encryption,
        allow_plaintext_outbox=config.allow_plaintext_outbox,
        poison_after=config.poison_after,
    )
    return Record(
        stream=str(UUID(bytes=SYSTEM_STREAM)), event="config_changed", actor=actor,
        expected=version, data=msgspec.Raw(msgspec.json.encode(data)),
    )  # fmt: skip


def _over(initial: SystemConfig, stored: Mapping[str, Any]) -> SystemConfig:
    known = {k: v for k, v in stored.items() if k in SystemConfig.__struct_fields__ and v is not None}
    return msgspec.structs.replace(initial, **known)


def changed(current: SystemConfig, changes: Mapping[str, object]) -> SystemConfig:
    """`current` with checked changes. Raises Rejected."""
    with checked():
        fields.refuse_unknown(changes, _CHECKS)
        values = {name: _CHECKS[name](name, value) for name, value in changes.items()}
    if values.get("encryption", current.encryption) != current.encryption:
        raise invalid("encryption", "follows from MESSAGING_ENCRYPTION_ENABLED: set that, and restart")
    return msgspec.structs.replace(current, **values)


def _always(field: str, value: object) -> bool:
    if value is not True:
        raise invalid(field, _WHY_ALWAYS if value is False else "must be true")
    return True


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise invalid(field, "must be true or false")
    return value


def _queue_defaults(field: str, value: object) -> dict[str, Any]:
    given = dict(fields.mapping(field, value))
    with checked(within=field):
        queue.configured(queue.QueueConfig(), given)
    return given


def _scaling(field: str, value: object) -> dict[str, Any]:
    given = dict(fields.mapping(field, value))
    queue.configured(queue.QueueConfig(), {"scaling": given})
    return given


def _notifications(field: str, value: object) -> dict[str, Any]:
    given = dict(fields.mapping(field, value))
    fields.refuse_unknown(given, {"enabled": None}, within=f"{field}.")
    _flag(f"{field}.enabled", given.get("enabled", True))
    return given


_CHECKS: Final[Mapping[str, Any]] = {
    "retention_days": lambda name, value: fields.whole(name, value, 1, 36_500),
    "max_message_size": lambda name, value: fields.whole(name, value, SMALLEST_LIMIT, LARGEST_LIMIT),
    "queue_defaults": _queue_defaults,
    "scaling": _scaling,
    "notifications": _notifications,
    "encryption": _flag,
    "allow_plaintext_outbox": _flag,
    "poison_after": lambda name, value: fields.whole(name, value, 1, 1000),
    **dict.fromkeys(ALWAYS_TRUE, _always),
}
