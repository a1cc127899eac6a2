"""What the log and the vault tell about bulk actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import vault
from ..events.log import milliseconds
from ..events.names import SYSTEM_STREAM
from ..events.pool import Connection, Pool
from ..events.vault import Vault, VaultError


class Action(Struct, frozen=True):
    """Times in ms; `finished_at` None: still at it. `started` and `finished` are the positions of its events;
    `q` and `reason` are None when there were none or the vault cannot say."""

    action_id: str
    action: str
    queue: int | None
    position: int
    matched: int | None
    filter: dict[str, Any]
    actor: int
    started_at: int
    finished_at: int | None
    changed: int
    refused: int
    started: int
    finished: int | None
    q: str | None = None
    reason: str | None = None


class ActionReads:
    def __init__(self, pool: Pool, sealer: Vault) -> None:
        self._pool, self._vault = pool, sealer

    async def one(self, action_id: str) -> Action | None:
        found = await self._read(action_id, [])
        return found[0] if found else None

    async def open(self, kinds: Sequence[str]) -> list[Action]:
        """Those that have not finished."""
        return await self._read(None, kinds)

    async def _read(self, action_id: str | None, kinds: Sequence[str]) -> list[Action]:
        values = {"stream": UUID(bytes=SYSTEM_STREAM), "action": action_id, "kinds": list(kinds)}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(sql.load("action_read"), values)).fetchall()
            return [_action(row, await self._secret(connection, row[0])) for row in rows]

    async def _secret(self, connection: Connection, action_id: str) -> dict[str, Any]:
        try:
            job = UUID(action_id)
        except ValueError:
            return {}
        row = await (await connection.execute(sql.load("vault_bodies"), {"job": job})).fetchone()
        if row is None:
            return {}
        _, _, kek, salt, wrapped, body = row
        try:
            key = self._vault.key_of(job.bytes, bytes(salt), kek, None if wrapped is None else bytes(wrapped))
            plain = key.open(vault.PAYLOAD, bytes(body))
        except VaultError:
            return {}
        return msgspec.json.decode(plain, type=dict[str, Any])

    async def changed(self, action: Action, event: str, *, upto: int | None) -> int:
        """How many jobs it has changed, counted in the log."""
        values = {
            "started": action.started, "after": action.started, "upto": upto, "type": event,
            "actor": action.actor,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.load("action_count"), values)).fetchone()
        return int(row[0]) if row else 0

    async def jobs(
        self, action: Action, event: str, after: str | None, limit: int
    ) -> tuple[list[bytes], str | None]:
        """A page of the jobs that it has changed, in the order in which it did."""
        values = {
            "started": action.started, "after": int(after or action.started), "upto": action.finished,
            "type": event, "actor": action.actor, "limit": limit,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(sql.load("action_jobs"), values)).fetchall()
        following = str(rows[-1][0]) if len(rows) == limit else None
        return [row[1].bytes for row in rows], following


def _action(row: Any, secret: dict[str, Any]) -> Action:
    started_at, finished_at = (None if at is None else milliseconds(at) for at in row[7:9])
    told = (secret.get("q"), secret.get("reason"))
    columns: list[Any] = [*row[:5], row[5] or {}, row[6], started_at, finished_at, *row[9:], *told]
    return Action(*columns)
