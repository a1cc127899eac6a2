"""Leases of workers that speak HTTP: found by token, shown as jobs, ended by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .. import sql
from ..broker.attempt import Failure, Success
from ..broker.endings import decided, end_of, key_of, payload_of, released, spec_of
from ..events import ids, times, vault
from ..events.batch import End, Started
from ..events.fingerprint import failure
from ..events.job import EndAttempt
from ..events.log import milliseconds
from .bodies import checked
from .messages import Metadata, metadata
from .services import Services

_LONGEST_ERROR: Final = 64 * 1024


class ClaimedJob(Struct):
    """A job to run. `token` names the lease; `deadline` is when it times out, None for never."""

    id: str
    queue: str
    type: str
    payload: Any
    metadata: Metadata
    token: str
    attempt: int
    started_at: str
    deadline: str | None


class ErrorInfo(Struct, forbid_unknown_fields=True):
    """What went wrong: `type` and `message` group failures; `traceback` is for people."""

    message: str
    type: str = "Error"
    traceback: str | None = None


class Item(Struct, forbid_unknown_fields=True):
    """The end of one lease. `delay` (seconds) only with outcome retry."""

    token: str
    outcome: Literal["completed", "failed", "released", "retry"]
    result: msgspec.Raw | UnsetType = UNSET
    error: str | ErrorInfo | None = None
    delay: float | None = None


class Held(Struct):
    """A lease with its job."""

    job: Started
    started_at: int
    cancelling: bool
    now: int


def write_token(epoch: int, token: int) -> str:
    return f"{epoch}-{token}"


def read_token(text: str, epoch: int) -> int:
    """The lease's token; 0, which no lease has, for a text that is none or of another epoch."""
    of, _, token = text.partition("-")
    good = of.isdigit() and token.isdigit() and len(text) < 40 and int(of) == epoch
    return int(token) if good else 0


async def held(services: Services, session: int, tokens: Sequence[int]) -> dict[int, Held]:
    """Those of the tokens that the session still holds."""
    async with services.pool.connection() as connection:
        parameters = {"session": session, "tokens": [token for token in tokens if 0 < token < 1 << 62]}
        cursor = await connection.execute(sql.load("held_leases"), parameters, binary=True)
        return {row[1]: _held(row) for row in await cursor.fetchall()}


def _held(row: Any) -> Held:
    job: UUID = row[0]
    spec = msgspec.json.encode(row[7])
    at: datetime = row[12]
    token, queue, session, attempt, retry, priority = row[1:7]
    salt, kek, wrapped, body = row[8:12]
    started = Started(
        0, job.bytes, token, queue, session, attempt, retry, priority, spec, salt, kek, wrapped, body
    )
    return Held(started, milliseconds(at), row[13], milliseconds(row[14]))


async def shown(services: Services, job: Started, started_at: int, epoch: int) -> ClaimedJob:
    """The job as its worker needs it. Raises VaultError when it cannot be opened."""
    spec = spec_of(job.spec)
    body = key_of(services.vault, job).open(vault.PAYLOAD, job.body or b"null")
    deadline = None if spec.timeout is None else times.to_text(started_at + spec.timeout * 1000)
    return ClaimedJob(
        ids.to_text(job.job), await services.names.queue_name(job.queue), spec.type,
        checked(job.job, vault.PAYLOAD, body),
        metadata(
            spec, ids.job_time(job.job), priority=job.priority, retry=job.retry, correlation=None, due_at=None
        ),
        write_token(epoch, job.token), job.attempt, times.to_text(started_at), deadline,
    )  # fmt: skip


def ending(services: Services, lease: Held, item: Item, *, cancelling: bool) -> End:
    """The end that this outcome means now."""
    job, now = lease.job, lease.now
    if item.outcome == "released":
        return released(job, "worker", cancelling=cancelling, now=now)
    key = key_of(services.vault, job)
    if item.outcome == "completed":
        result = None if item.result is UNSET or bytes(item.result) == b"null" else _compact(item.result)
        return end_of(job, key, Success(result), cancelling=cancelling, now=now)
    kind, message, text = _error(item.error)
    if item.outcome == "failed":
        return end_of(job, key, Failure("error", kind, message, text), cancelling=cancelling, now=now)
    delay = None if item.delay is None else round(item.delay * 1000)
    described = failure(spec_of(job.spec).type, kind, message, payload_of(job, key))
    command = EndAttempt(job.token, "retry", delay=delay, failure=described)
    end = decided(job, command, cancelling=cancelling, now=now)
    sealed = key.seal(vault.ERROR, text.encode())
    end.slot, end.body, end.size, end.digest = vault.ERROR, sealed.body, sealed.size, sealed.digest
    return end


def _compact(result: msgspec.Raw) -> bytes:
    return msgspec.json.format(bytes(result), indent=-1)


def _error(error: str | ErrorInfo | None) -> tuple[str, str, str]:
    """(type, message, whole text)."""
    if isinstance(error, ErrorInfo):
        text = error.traceback or f"{error.type}: {error.message}"
        return error.type[:200], error.message[:2000], text[:_LONGEST_ERROR]
    said = error or "the worker reported a failure"
    return "Error", said[:2000], said[:_LONGEST_ERROR]
