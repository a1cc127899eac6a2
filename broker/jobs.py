"""Jobs as the log tells them: their state folded from their streams, with the database's time.

What `decide` answers becomes a row of the append here: a Move, or the End of a lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from .. import sql
from ..events import ids, times
from ..events.batch import End, Move
from ..events.job import BrokenStream, Decision, JobState, fold
from ..events.log import milliseconds
from ..events.names import Names
from ..events.pool import Connection
from ..events.read import Event

_log = structlog.get_logger(__name__)


class Loaded(Struct, frozen=True):
    """Jobs at one moment; `now` is the database's time at it. Ids that name no job are missing; `broken`
    are those whose history cannot have happened: damage, which must not stop what is done to others."""

    jobs: dict[bytes, JobState]
    now: int
    broken: frozenset[bytes] = frozenset()


async def load(connection: Connection, jobs: Sequence[bytes]) -> Loaded:
    """Read and fold the streams of these jobs, in one statement."""
    return _folded(*await stories(connection, jobs))


async def stories(connection: Connection, jobs: Sequence[bytes]) -> tuple[dict[bytes, list[Event]], int]:
    """All events of these jobs, and the database's time."""
    parameters = {"streams": [UUID(bytes=job) for job in jobs]}
    cursor = await connection.execute(sql.load("read_streams"), parameters, binary=True)
    streams: dict[bytes, list[Event]] = {}
    now = 0
    for row in await cursor.fetchall():
        now = milliseconds(row[-1])
        if row[0] is not None:
            event = Event(row[0], milliseconds(row[1]), row[2].bytes, *row[3:-1])
            streams.setdefault(event.stream, []).append(event)
    return streams, now


def _folded(streams: dict[bytes, list[Event]], now: int) -> Loaded:
    jobs: dict[bytes, JobState] = {}
    broken = set()
    for job, events in streams.items():
        if events[0].type != "enqueued":
            continue  # no job's stream: a queue's, a session's, the system's
        try:
            jobs[job] = fold(events)
        except BrokenStream as error:
            _log.error("broken_stream", job=ids.to_text(job), error=str(error))
            broken.add(job)
    return Loaded(jobs, now, frozenset(broken))


def end_of(state: JobState, decision: Decision, actor: int) -> End:
    """The end of the job's lease, by somebody else than the session that holds it."""
    assert state.token is not None
    return End(
        state.id, state.token, decision.event, actor, decision.due_at, decision.retry, decision.encoded
    )  # fmt: skip


async def move_of(state: JobState, decision: Decision, actor: int, names: Names) -> Move:
    """Any other step. Carries the key of the live row, or, of an ended job, what its new row needs."""
    move = Move(
        job=ids.to_text(state.id), event=decision.event, source=decision.source,
        target=decision.target, version=state.version, actor=actor, queue=state.queue,
        type=await names.type_id(state.spec.type), priority=state.priority,
        new_priority=decision.priority, retry=decision.retry, data=_raw(decision.encoded),
    )  # fmt: skip
    if state.due_at is not None:
        move.due_at = times.to_text(state.due_at)
    if decision.due_at is not None:
        move.new_due_at = times.to_text(decision.due_at)
    if state.token is not None:
        move.token = state.token
    if decision.source == "ended":
        _bring_all(move, state, decision)
    return move


def _bring_all(move: Move, state: JobState, decision: Decision) -> None:
    move.attempt, move.enqueued, move.size = state.attempt, state.enqueued, state.size
    move.spec = msgspec.Raw(msgspec.json.encode(state.spec))
    data: Any = decision.data
    if state.expires_at is not None and not getattr(data, "unbound", False):
        move.expires_at = times.to_text(state.expires_at)
    if move.retry is None:
        move.retry = state.retry


def _raw(encoded: bytes | None) -> msgspec.Raw | None:
    return None if encoded is None else msgspec.Raw(encoded)
