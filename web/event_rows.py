"""An event of the log as the API gives it."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct

from ..events import ids, times
from ..events.names import Names
from ..events.read import Event


class EventRow(Struct, kw_only=True):
    """`job` is the event's stream: a job, or the queue's, session's or system's own id."""

    position: int
    job: str
    version: int
    type: str
    queue: str | None
    recorded_at: str
    actor: str
    data: dict[str, Any]
    attempt: int | None = None


Row = TypeVar("Row", bound=EventRow)


async def event_row(names: Names, event: Event, kind: type[Row]) -> Row:
    queue = None if event.queue is None else await names.queue_name(event.queue)
    return kind(
        position=event.position, job=_stream(event.stream), version=event.version, type=event.type,
        queue=queue, recorded_at=times.to_text(event.recorded_at),
        actor=await names.actor_name(event.actor), data=_data(event), attempt=event.attempt,
    )  # fmt: skip


def _stream(stream: bytes) -> str:
    return ids.to_text(stream)


def _data(event: Event) -> dict[str, Any]:
    data = dict(event.data or {})
    if event.body_size is not None:
        data["body_size"] = event.body_size
    if event.correlation is not None:
        data["correlation_id"] = event.correlation
    return data
