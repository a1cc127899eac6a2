"""Queues: what there is, how they are configured, pause, resume, drain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..broker.queue_commands import QueueState
from ..events.names import Queue
from ..events.queue import QueueConfig
from .answers import Answer, json
from .endpoint import Endpoint
from .export import FORMAT, export, fields, format_of, whole
from .past import AT, QueueThen, moment_of, queue_then, queues_then
from .requests import Call, object_of


class QueueRow(Struct):
    """A queue with its settings; `position` is that of its last change."""

    name: str
    paused: bool
    config: dict[str, Any]
    position: int


class Queues(Struct):
    queues: list[QueueRow]


class Said(Struct):
    message: str
    position: int


class Drain(Struct, forbid_unknown_fields=True):
    """Ends what waits and was enqueued at or before `position`; a dry run only counts."""

    position: int | None = None
    dry_run: bool = False


class Drained(Struct):
    message: str
    cancelled: int
    position: int
    matched: int


class Started(Struct):
    """More than 10,000 jobs: it goes on; `GET /actions/{action_id}` tells how far it is."""

    action_id: str
    matched: int
    position: int


class Reason(Struct, forbid_unknown_fields=True):
    reason: str | None = None


_reason: Final = msgspec.json.Decoder(Reason)
_drain: Final = msgspec.json.Decoder(Drain)


async def list_all(call: Call) -> Answer:
    call.allow("at", "format")
    queues: Sequence[Queue | QueueThen]
    if (moment := await moment_of(call)) is None:
        queues = await call.services.names.queues()
    else:
        queues = await queues_then(call.services, moment)
    rows = [QueueRow(q.name, q.paused, q.config, q.position) for q in queues if call.caller.sees(q.name)]
    if (kind := format_of(call)) is not None:
        return await export(call, kind, "queues", COLUMNS, whole(rows))
    return json(Queues(rows))


async def read(call: Call) -> Answer:
    call.allow("at")
    if (moment := await moment_of(call)) is not None:
        then = await queue_then(call.services, moment, call.queue)
        config = msgspec.convert(then.config, QueueConfig)
        return json(QueueRow(then.name, then.paused, msgspec.to_builtins(config), then.position))
    return json(_row(await call.services.engine.queues.state(call.queue)))


def _row(state: QueueState) -> QueueRow:
    return QueueRow(state.name, state.paused, msgspec.to_builtins(state.config), state.position)


async def configure(call: Call) -> Answer:
    changes = object_of(await call.body())
    state = await call.services.engine.queues.configure(
        call.params["queue"], changes, actor=call.caller.actor
    )
    return json(_row(state))


async def delete(call: Call) -> Answer:
    position = await call.services.engine.queues.delete(call.queue, actor=call.caller.actor)
    return json(Said(f"Queue {call.queue} deleted", position))


async def pause(call: Call) -> Answer:
    asked = await call.read(_reason)
    position = await call.services.engine.queues.pause(
        call.queue, actor=call.caller.actor, reason=asked.reason
    )
    return json(Said(f"Queue {call.queue} paused", position))


async def resume(call: Call) -> Answer:
    asked = await call.read(_reason)
    position = await call.services.engine.queues.resume(
        call.queue, actor=call.caller.actor, reason=asked.reason
    )
    return json(Said(f"Queue {call.queue} resumed", position))


async def drain(call: Call) -> Answer:
    asked = await call.read(_drain)
    result = await call.services.drains.drain(
        call.queue, actor=call.caller.actor, position=asked.position, dry_run=asked.dry_run
    )
    if result.action_id is not None:
        return json(Started(result.action_id, result.matched, result.position), 202)
    done = result.cancelled or 0
    said = f"Queue {call.queue} drained"
    if asked.dry_run:
        said = f"{result.matched} jobs would be cancelled"
    return json(Drained(said, done, result.position, result.matched))


COLUMNS: Final = fields("name", "paused", "position", "config")

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/queues", run=list_all, scope="read", answer=Queues,
        summary="All queues with their settings.", query={"at": AT, "format": FORMAT},
    ),
    Endpoint(
        method="GET", path="/queue/{queue}", run=read, scope="read", answer=QueueRow,
        summary="A queue's settings.", query={"at": AT},
    ),
    Endpoint(
        method="PUT", path="/queue/{queue}", run=configure, scope="admin", answer=QueueRow,
        body=dict[str, Any], summary="Create a queue, or change the named settings of one.",
    ),
    Endpoint(
        method="DELETE", path="/queue/{queue}", run=delete, scope="admin", answer=Said,
        summary="Delete an empty queue; its history stays.",
    ),
    Endpoint(
        method="POST", path="/queue/{queue}/pause", run=pause, scope="operate", body=Reason, answer=Said,
        summary="Nothing of the queue starts until it is resumed.",
    ),
    Endpoint(
        method="POST", path="/queue/{queue}/resume", run=resume, scope="operate", body=Reason, answer=Said,
        summary="The queue's jobs start again.",
    ),
    Endpoint(
        method="POST", path="/queue/{queue}/drain", run=drain, scope="operate", body=Drain, answer=Drained,
        summary="Cancel what waits in the queue. A dry run answers the count and the position to pass back.",
    ),
)  # fmt: skip
