"""What people and programs do to one job: cancel, retry, reschedule.

Each reads the job's stream, lets the pure core decide and appends the step with its guard; when the job
moved meanwhile it decides again, at most three times.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec import Struct

from .. import sql
from ..events import fields, vault
from ..events.appender import Appender
from ..events.batch import Move, Part
from ..events.job import (
    Cancel,
    Command,
    Decision,
    Erase,
    JobState,
    Refusal,
    Reschedule,
    Retry,
    Unchanged,
    decide,
)
from ..events.names import Names
from ..events.pool import Pool
from ..events.queue import JOB_DEFAULTS
from ..events.vault import JobKey, Sealed, Vault
from . import erasing
from . import payload as payloads
from .configuration import Configuration
from .errors import Rejected, checked, invalid
from .jobs import Loaded, load, move_of

ATTEMPTS: Final = 3
_LONGEST_REASON: Final = 2000


class Done(Struct, frozen=True):
    """A command that was carried out. `event` None: it was so already. `status` as the API says it:
    one of the seven, or `cancelling`."""

    job: bytes
    status: str
    event: str | None
    position: int
    version: int


class JobCommands:
    """Raises Rejected (not_found, already_finished, not_finished, conflict, invalid_field, too_large),
    Overloaded, DatabaseUnavailable."""

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

    async def cancel(self, job: bytes, *, actor: str, reason: str | None = None) -> Done:
        """A waiting job ends at once, a running one is asked to stop (status `cancelling`)."""
        body = _reason(reason)
        return await self._carry_out(job, Cancel(), actor, vault.REASON, body)

    async def retry(self, job: bytes, *, actor: str, payload: object = None) -> Done:
        """Run an ended job again, with another payload unless it is None."""
        if payload is None:
            return await self._carry_out(job, Retry(actor), actor)
        limit = (await self._configuration.current()).max_message_size
        body = payloads.encode(payload, limit)
        return await self._carry_out(job, Retry(actor), actor, vault.PAYLOAD, body)

    async def erase(self, job: bytes, *, actor: str) -> Done:
        """Destroy what an ended job carried: payload, result, and every text about it."""
        done = await self._carry_out(job, Erase(), actor)
        await erasing.forget(self._pool, [job])
        return done

    async def reschedule(
        self,
        job: bytes,
        *,
        actor: str,
        priority: object = None,
        scheduled_for: object = None,
    ) -> Done:
        """Another priority, another time (RFC 3339 or aware datetime), or both, of a waiting job."""
        if priority is None and scheduled_for is None:
            raise invalid("priority", "or scheduled_for must be given")
        with checked():
            number = None if priority is None else JOB_DEFAULTS["priority"]("priority", priority)
            at = None if scheduled_for is None else fields.instant("scheduled_for", scheduled_for)
        return await self._carry_out(job, Reschedule(number, at), actor)

    async def _carry_out(
        self, job: bytes, command: Command, actor: str, slot: int = 0, body: bytes | None = None
    ) -> Done:
        actor_id = await self._names.actor_id(actor)
        for _ in range(ATTEMPTS):
            state, now, key = await self._load(job, sealing=body is not None)
            if isinstance(command, Retry):
                await self._require_queue(state.queue)
            decision = decide(state, command, now)
            if isinstance(decision, Refusal):
                raise Rejected(decision.code, decision.reason, {"status": state.status})
            if isinstance(decision, Unchanged):
                return Done(job, _status(state), None, state.position, state.version)
            move = await move_of(state, decision, actor_id, self._names)
            if body is not None and key is not None:
                _carry(move, slot, key.seal(slot, body))
            outcome = await self._appender.submit(Part(moves=[move]))
            if not outcome.refused:
                position = outcome.positions["m"][0]
                return Done(job, _after(decision, state), decision.event, position, state.version + 1)
            if isinstance(command, Retry):
                await self._names.refresh()  # its queue may be deleted, which what is remembered may not know
        raise Rejected("conflict", "the job changed at the same time; try again")

    async def _require_queue(self, queue: int) -> None:
        """A job that waits in a deleted queue would be seen by nobody."""
        name = await self._names.queue_name(queue)
        if await self._names.queue(name) is None:
            await self._names.refresh()
            if await self._names.queue(name) is None:
                why = f"its queue {name!r} was deleted: make it again first"
                raise Rejected("conflict", why, {"queue": name})

    async def _load(self, job: bytes, *, sealing: bool) -> tuple[JobState, int, JobKey | None]:
        async with self._pool.connection() as connection:
            loaded: Loaded = await load(connection, [job])
            if job in loaded.broken:
                raise Rejected("conflict", "the job's history is damaged; see hivelog doctor")
            if job not in loaded.jobs:
                raise Rejected("not_found", "Job not found")
            key = None
            if sealing:
                parameters = {"job": UUID(bytes=job)}
                cursor = await connection.execute(sql.load("vault_key"), parameters)
                row = await cursor.fetchone()
                key = row and self._vault.key_of(job, row[0] or b"", row[1], row[2])
        return loaded.jobs[job], loaded.now, key or None


def _status(state: JobState) -> str:
    return "cancelling" if state.cancelling else state.status


_STATUS_AFTER: Final = {"cancel_requested": "cancelling", "cancelled": "cancelled"}
_STATUS_IN: Final = {"pending": "pending", "ready": "queued"}


def _after(decision: Decision, state: JobState) -> str:
    """What erases leaves the job as ended as it was."""
    return (
        _STATUS_AFTER.get(decision.event) or _STATUS_IN.get(decision.target) or _status(state)
    )


def _carry(move: Move, slot: int, sealed: Sealed) -> None:
    move.slot, move.body, move.digest, move.body_size = slot, sealed.body, sealed.digest, sealed.size
    if slot == vault.PAYLOAD:
        move.size = sealed.size


def _reason(reason: object) -> bytes | None:
    if reason is None or reason == "":
        return None
    with checked():
        return fields.text("reason", reason, _LONGEST_REASON).encode()
