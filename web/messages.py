"""The message as the API gives it, made from a job's folded state and its opened bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from ..events import ids, times, vault
from ..events.job import JobState
from ..events.read import Event
from ..events.types import JobSpec
from .bodies import NULL, Bodies, Unreadable

# Causes that no handler has told about: these words, whatever text an earlier attempt left.
TOLD_BY_NOBODY: Final = {
    "lost": "the worker died",
    "poison": "set aside as a poison pill: too often its worker died while it ran",
    "expires_at": "not started before expires_at",
}
# What a person reads where no error text was written.
_CAUSES: Final = {
    "timeout": "timed out",
    "grace": "did not stop in time after it was cancelled",
}


class Metadata(Struct, gc=False):
    created_at: str | None
    scheduled_for: str | None
    priority: int
    max_retries: int
    current_retry: int
    retry_delay: int
    retry_backoff: str
    timeout: int | None
    expires_at: str | None
    source: str | None
    correlation_id: str | None
    tags: Sequence[str]
    parent_id: str | None


class Message(Struct, gc=False, kw_only=True):
    """A job. Times RFC 3339; `progress` in percent; `position` and `version` of its last event."""

    id: str
    queue: str
    type: str
    payload: Any
    metadata: Metadata
    status: str
    worker_id: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    failed_at: str | None = None
    ended_at: str | None = None
    progress: float | None = None
    progress_message: str | None = None
    error: str | None = None
    result: Any = None
    cancelling: bool = False
    erased: bool = False  # what it carried was destroyed
    unreadable: Unreadable | None = None  # why something it carries is not shown
    attempt: int = 0
    version: int | None = None
    position: int | None = None


class Waiting(Message, kw_only=True):
    """A job that waits, alone: with its place in the queue."""

    queue_position: int | None = None
    queue_position_at_least: int | None = None
    estimated_completion: str | None = None


def metadata(
    spec: JobSpec,
    created_at: int | None,
    *,
    priority: int,
    retry: int,
    correlation: str | None,
    due_at: int | None,
) -> Metadata:
    return Metadata(
        created_at=_time(created_at),
        scheduled_for=_time(due_at) or spec.scheduled_for,
        priority=priority,
        max_retries=spec.max_retries,
        current_retry=retry,
        retry_delay=spec.retry_delay,
        retry_backoff=spec.retry_backoff,
        timeout=spec.timeout,
        expires_at=spec.expires_at,
        source=spec.source,
        correlation_id=correlation,
        tags=spec.tags,
        parent_id=spec.parent_id,
    )


def _time(instant: int | None) -> str | None:
    return None if instant is None else times.to_text(instant)


def message(
    state: JobState,
    events: Sequence[Event],
    bodies: Bodies,
    *,
    queue: str,
    worker: str | None,
    placed: bool = False,
) -> Message:
    """The whole job. `events` are those that were folded into `state`; `placed`: with room for its
    place in the queue, if it waits."""
    token, started_at, percent = _last_attempt(events)
    ended = state.ended_at
    made = Waiting if placed and state.status in ("pending", "queued") else Message
    return made(
        id=ids.to_text(state.id),
        queue=queue,
        type=state.spec.type,
        payload=bodies.json(vault.PAYLOAD),
        metadata=metadata(
            state.spec, state.created_at, priority=state.priority, retry=state.retry,
            correlation=state.correlation, due_at=state.due_at,
        ),
        status=state.status,
        worker_id=worker,
        started_at=_time(started_at),
        completed_at=_time(ended) if state.status == "completed" else None,
        failed_at=_time(ended) if state.status == "failed" else None,
        ended_at=_time(ended),
        progress=100 if state.status == "completed" else percent,
        progress_message=bodies.last(vault.PROGRESS) if state.status == "processing" else None,
        error=error_text(state, bodies),
        result=bodies.json(vault.RESULT, token) if state.status == "completed" else NULL,
        cancelling=state.cancelling,
        erased=state.erased,
        attempt=state.attempt,
        version=state.version,
        position=state.position,
        unreadable=bodies.unreadable,  # the last: known when all was opened
    )  # fmt: skip


def _last_attempt(events: Sequence[Event]) -> tuple[int, int | None, float | None]:
    """(token, start, percent) of the last attempt."""
    token, started_at, percent = 0, None, None
    for event in events:
        if event.type == "started":
            token, started_at, percent = event.position, event.recorded_at, None
        elif event.type == "progressed":
            percent = (event.data or {}).get("percent")
    return token, started_at, percent


def error_text(state: JobState, bodies: Bodies) -> str | None:
    """What went wrong last: the text of the last failed attempt, else the cause in words."""
    if state.cause is None or state.cause in ("requested", "drained"):
        return None
    if (said := TOLD_BY_NOBODY.get(state.cause)) is not None:
        return said
    if (text := bodies.last(vault.ERROR)) is not None:
        return text
    return _CAUSES.get(state.cause) or state.error_type or state.cause


def worker_label(actor: str | None) -> str | None:
    """`worker:<name>:<session>` -> `<name>`."""
    if actor is None or not actor.startswith("worker:"):
        return actor
    return actor.removeprefix("worker:").rpartition(":")[0]
