"""How a long command stands in the log: `action_started`, `action_finished`, and its secrets in the vault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import fields, types
from ..events.appender import Appender
from ..events.batch import Part, Record
from ..events.names import SYSTEM_STREAM, Names
from ..events.pool import Pool
from ..events.vault import Vault
from .action_reads import Action
from .errors import checked

_LONGEST_REASON: Final = 2000


def record(event: str, data: Struct, actor: int, queue: int | None = None) -> Record:
    """`action_started` or `action_finished`."""
    raw = msgspec.Raw(msgspec.json.encode(data))
    return Record(stream=str(UUID(bytes=SYSTEM_STREAM)), event=event, actor=actor, queue=queue, data=raw)


def duty(action_id: str) -> str:
    """Whoever holds it works on the action; it may be taken over when its holder dies."""
    return f"action:{action_id}"


class ActionLog:
    """Raises Rejected (invalid_field), Overloaded, DatabaseUnavailable."""

    def __init__(self, appender: Appender, names: Names, pool: Pool, sealer: Vault) -> None:
        self._appender, self._names, self._pool, self._vault = appender, names, pool, sealer

    async def started(
        self, action_id: str, kind: str, told: Mapping[str, Any], until: int, matched: int, actor: str,
        secret: Mapping[str, Any],
    ) -> Action:  # fmt: skip
        """`until`: the last position that counts; `told`: the filter; `secret`: q and reason, which quote."""
        await self._keep(action_id, {name: value for name, value in secret.items() if value is not None})
        shown = {name: value for name, value in told.items() if value is not None}
        data = types.ActionStarted(action_id, kind, until, matched, shown)
        number = await self._names.actor_id(actor)
        outcome = await self._appender.submit(Part(records=[record("action_started", data, number)]))
        return Action(
            action_id, kind, None, until, matched, shown, number, outcome.recorded_at, None, 0, 0,
            outcome.positions["r"][0], None, secret.get("q"), secret.get("reason"),
        )  # fmt: skip

    async def _keep(self, action_id: str, secret: dict[str, Any]) -> None:
        """What may quote payloads goes into the vault, not into the log."""
        if not secret:
            return
        if "reason" in secret:
            with checked():
                fields.text("reason", secret["reason"], _LONGEST_REASON)
        job = UUID(action_id)
        sealed = self._vault.seal_new(job.bytes, msgspec.json.encode(secret))
        async with self._pool.connection() as connection:
            await connection.execute(
                sql.load("vault_key_insert"),
                {"job": job, "salt": sealed.salt, "kek": sealed.kek, "wrapped": sealed.wrapped,
                 "body": sealed.body},
            )  # fmt: skip

    async def finished(
        self, action: Action, changed: int, refused: int, counts: dict[str, int] | None = None
    ) -> None:
        """Patient: what was done must be said, also after an outage."""
        data = types.ActionFinished(action.action_id, changed, refused, counts=counts)
        told = record("action_finished", data, action.actor)
        await self._appender.submit(Part(records=[told], patient=True))
