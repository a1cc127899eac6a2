"""Recorded jobs with what they carried, as far as it can still be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from msgspec import Struct

from .. import sql
from ..broker.engine import Engine
from ..broker.jobs import stories
from ..events import ids, vault
from ..events.job import BrokenStream, JobState, fold
from ..events.pool import Connection
from ..events.read import Event
from ..events.vault import JobKey, KeyMissing, Tampered, Vault

_log = structlog.get_logger(__name__)

_ENDS: Final = frozenset(
    {"completed", "failed", "cancelled", "expired", "retry_scheduled", "lost", "released"}
)


class RecordedJob(Struct, frozen=True):
    """`result` is JSON, None where there was none; `run`: ms of its last attempt, None if it had none;
    `token`: that attempt's."""

    state: JobState
    payload: bytes
    result: bytes | None
    run: int | None
    token: int


async def read(
    engine: Engine, jobs: Sequence[bytes], skipped: Counter[str], *, bodies: bool = True
) -> list[RecordedJob]:
    """In the order given. What cannot be done again is counted in `skipped`, by reason: erased, no_key,
    damaged, gone (no longer in the log)."""
    async with engine.pool.connection() as connection:
        told, _ = await stories(connection, jobs)
        rows = await _bodies(connection, jobs, bodies=bodies)
    found = []
    for job in jobs:
        one = _job(engine.vault, job, told.get(job), rows.get(job, {}), skipped, bodies=bodies)
        if one is not None:
            found.append(one)
    return found


async def _bodies(
    connection: Connection, jobs: Sequence[bytes], *, bodies: bool
) -> dict[bytes, dict[int, Any]]:
    """Job -> slot -> row; of several results the last."""
    values = {"jobs": [UUID(bytes=job) for job in jobs], "bodies": bodies}
    cursor = await connection.execute(sql.load("replay_bodies"), values, binary=True)
    found: dict[bytes, dict[int, Any]] = {}
    for row in await cursor.fetchall():
        found.setdefault(row[0].bytes, {})[row[1]] = row[2:]
    return found


def _job(
    sealed: Vault, job: bytes, events: list[Event] | None, slots: dict[int, Any], skipped: Counter[str], *,
    bodies: bool,
) -> RecordedJob | None:  # fmt: skip
    if not events or events[0].type != "enqueued":
        skipped["gone"] += 1
        return None
    try:
        state = fold(events)
        if state.erased or vault.PAYLOAD not in slots:
            skipped["erased"] += 1
            return None
        kek, salt, wrapped, _ = slots[vault.PAYLOAD]
        key = sealed.key_of(job, salt, kek, wrapped)
        payload = _open(key, slots, vault.PAYLOAD) if bodies else None
        result = _open(key, slots, vault.RESULT) if state.status == "completed" else None
    except KeyMissing:
        skipped["no_key"] += 1
        return None
    except (BrokenStream, Tampered) as error:
        _log.error("not_replayable", job=ids.to_text(job), error=str(error))
        skipped["damaged"] += 1
        return None
    run, token = _last_run(events)
    return RecordedJob(state, payload or b"null", result, run, token)


def _open(key: JobKey, slots: dict[int, Any], slot: int) -> bytes | None:
    body = slots[slot][3] if slot in slots else None
    return None if body is None else key.open(slot, body)


def _last_run(events: Sequence[Event]) -> tuple[int | None, int]:
    """How long the last attempt took, and its token."""
    ended: int | None = None
    for event in reversed(events):
        if event.type in _ENDS:
            ended = event.recorded_at
        elif event.type == "started":
            return (None if ended is None else ended - event.recorded_at), event.position
    return None, 0
