"""Events of jobs as `job_update` frames: encoded once a process, whoever listens.

A frame says what the event set, never payload or result. Error texts and progress messages come from
the vault, in one query a page, and only where the page has any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import ids, times, types, vault
from ..events.job import data_of, fold
from ..events.pool import Connection
from ..events.read import Event, read_stream
from .bodies import Bodies, bodies_of
from .messages import TOLD_BY_NOBODY, metadata, worker_label
from .services import Services

_STATUS: Final = {
    "queued": "queued", "started": "processing", "progressed": "processing", "completed": "completed",
    "retry_scheduled": "pending", "failed": "failed", "cancel_requested": "processing",
    "cancelled": "cancelled", "expired": "expired", "released": "queued", "requeued": "queued",
}  # fmt: skip
_WITH_TEXT: Final = frozenset({"failed", "retry_scheduled", "expired", "progressed"})
# Of streams that are no jobs.
_OTHERS: Final = frozenset(
    {
        "queue_configured", "paused", "resumed", "drained", "scaled", "worker_started", "worker_stopped",
        "worker_lost", "config_changed", "session_opened", "refused", "token_created", "token_revoked",
        "epoch_started", "keys_rotated", "action_started", "action_finished",
    }
)  # fmt: skip
_LONGEST_ERROR: Final = 4000  # characters; the whole text is the job's
_KNOWN_JOBS: Final = 50_000

_encode = msgspec.json.Encoder().encode


class Frame(Struct, gc=False, frozen=True):
    """One event of one job. `json` for WebSockets, `sse` with its id for event streams."""

    position: int
    queue: str
    job: bytes
    type: str
    json: bytes
    sse: bytes


class Encoder:
    """Makes frames; remembers the types of jobs, since only their first event names it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._types: dict[bytes, str] = {}

    async def frames(self, events: Sequence[Event], epoch: int) -> list[Frame]:
        """Frames of the job events among these, in order."""
        of_jobs = [event for event in events if event.type not in _OTHERS]
        if not of_jobs:
            return []
        async with self._services.pool.connection() as connection:
            await self._learn_types(connection, of_jobs)
            texts = await self._texts(connection, of_jobs)
            return [await self._frame(connection, event, epoch, texts) for event in of_jobs]

    async def _learn_types(self, connection: Connection, events: Sequence[Event]) -> None:
        if len(self._types) > _KNOWN_JOBS:
            self._types.clear()
        for event in events:
            if event.type == "enqueued" and event.data is not None:
                self._types[event.stream] = event.data["type"]
        unknown = {event.stream for event in events if event.stream not in self._types}
        if unknown:
            cursor = await connection.execute(
                sql.load("types_of_jobs"), {"jobs": [UUID(bytes=job) for job in unknown]}
            )
            self._types.update({row[0].bytes: row[1] for row in await cursor.fetchall()})

    async def _texts(self, connection: Connection, events: Sequence[Event]) -> dict[bytes, Bodies]:
        jobs = {event.stream for event in events if event.type in _WITH_TEXT and event.body_size}
        if not jobs:
            return {}
        cursor = await connection.execute(
            sql.load("feed_texts"), {"jobs": [UUID(bytes=job) for job in jobs]}, binary=True
        )
        rows: dict[bytes, list[Any]] = {}
        for row in await cursor.fetchall():
            rows.setdefault(row[0].bytes, []).append(row[1:])
        return {job: bodies_of(self._services.vault, job, found) for job, found in rows.items()}

    async def _frame(
        self, connection: Connection, event: Event, epoch: int, texts: dict[bytes, Bodies]
    ) -> Frame:
        names = self._services.names
        name = "" if event.queue is None else await names.queue_name(event.queue)
        kind = self._types.get(event.stream, "")
        data: dict[str, Any] = {
            "id": ids.to_text(event.stream), "queue": name, "type": kind,
            "status": _status(event) or await _looked_up(connection, event),
            "version": event.version, "event": event.type,
        }  # fmt: skip
        data |= _set_by(event)
        if event.type == "started":
            data["worker_id"] = worker_label(await names.actor_name(event.actor))
        data |= _text_of(event, texts.get(event.stream))
        return framed(event, epoch, name, kind, data)


def framed(event: Event, epoch: int, queue: str, kind: str, data: dict[str, Any]) -> Frame:
    body = _encode(
        {
            "type": "job_update", "data": data, "timestamp": times.to_text(event.recorded_at),
            "position": event.position,
        }
    )  # fmt: skip
    sse = b"id: %d-%d\ndata: %s\n\n" % (epoch, event.position, body)
    return Frame(event.position, queue, event.stream, kind, body, sse)


def _status(event: Event) -> str | None:
    data = event.data or {}
    match event.type:
        case "enqueued":
            later = data.get("scheduled_for")
            return "pending" if later and times.from_text(later) > event.recorded_at else "queued"
        case "lost":
            return str(data.get("to"))
        case "rescheduled" if "to" in data:
            return "queued" if data["to"] == "ready" else "pending"
        case _:
            return _STATUS.get(event.type)


async def _looked_up(connection: Connection, event: Event) -> str:
    """What only the story tells: erased, routed, or given another priority."""
    story = await read_stream(connection, event.stream)
    return fold([past for past in story if past.version <= event.version]).status


def _set_by(event: Event) -> dict[str, Any]:
    """The message's fields that this event set."""
    step = _FIELDS.get(event.type)
    return {} if step is None else step(event, event.data or {}, times.to_text(event.recorded_at))


def _started(event: Event, data: dict[str, Any], at: str) -> dict[str, Any]:
    return {"started_at": at, "attempt": event.attempt, "progress": None, "ended_at": None}


def _lost(event: Event, data: dict[str, Any], at: str) -> dict[str, Any]:
    waits = {"metadata": _waits(data)} if data.get("to") == "pending" else {"ended_at": at}
    return {"error": TOLD_BY_NOBODY[data.get("cause") or "lost"], **waits}


def _expired(event: Event, data: dict[str, Any], at: str) -> dict[str, Any]:
    why = "timed out" if data.get("cause") == "timeout" else "not started before expires_at"
    return {"ended_at": at, "error": why}


def _rescheduled(event: Event, data: dict[str, Any], at: str) -> dict[str, Any]:
    kept = ("priority", "scheduled_for")
    return {"metadata": {name: data[name] for name in kept if data.get(name) is not None}}


_FIELDS: Final[Mapping[str, Callable[[Event, dict[str, Any], str], dict[str, Any]]]] = {
    "enqueued": lambda event, data, at: {"metadata": _metadata(event)},
    "started": _started,
    "progressed": lambda event, data, at: {"progress": data.get("percent")},
    "completed": lambda event, data, at: {
        "completed_at": at, "ended_at": at, "progress": 100, "error": None,
    },
    "failed": lambda event, data, at: {"failed_at": at, "ended_at": at, "error": _summary(data)},
    "retry_scheduled": lambda event, data, at: {"error": _summary(data), "metadata": _waits(data)},
    "lost": _lost,
    "cancel_requested": lambda event, data, at: {"cancelling": True},
    "cancelled": lambda event, data, at: {"ended_at": at, "cancelling": False},
    "expired": _expired,
    "requeued": lambda event, data, at: {
        "error": None, "ended_at": None, "progress": None, "metadata": {"current_retry": 0},
    },
    "rescheduled": _rescheduled,
}  # fmt: skip


def _metadata(event: Event) -> Any:
    spec = data_of(event)
    if not isinstance(spec, types.JobSpec):
        return {}
    return metadata(
        spec, event.recorded_at, priority=spec.priority, retry=0, correlation=event.correlation, due_at=None
    )


def _waits(data: dict[str, Any]) -> dict[str, Any]:
    return {"current_retry": data.get("retry"), "scheduled_for": data.get("due_at")}


def _summary(data: dict[str, Any]) -> str:
    """Where the text is gone or was never written."""
    said = ": ".join(part for part in (data.get("error_type"), data.get("template")) if part)
    return said or str(data.get("cause", "error"))


def _text_of(event: Event, bodies: Bodies | None) -> dict[str, Any]:
    if bodies is None:
        return {}
    if event.type == "progressed":
        said = bodies.text(vault.PROGRESS, event.position)
        return {} if said is None else {"progress_message": said}
    text = bodies.last(vault.ERROR, before=event.position)
    return {} if text is None else {"error": text[:_LONGEST_ERROR]}
