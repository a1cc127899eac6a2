"""How queues do, and who works on them."""

from __future__ import annotations

from operator import methodcaller
from typing import Final, Literal, cast

import msgspec
from msgspec import Struct

from ..events import times
from ..events.names import Queue
from ..projections.stats import QueueStats, Throughput, queue_stats, throughput
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .export import FORMAT, Columns, export, format_of, whole
from .past import AT, QueueThen, moment_of, queue_then
from .past_workers import narrowed_workers_then, workers_then
from .protocol import abort_of
from .replay import asked
from .requests import Call
from .stream import EventStream, narrowed
from .summaries import WorkerStatus, narrowed_workers, stats_of_all, workers_now


class Stats(Struct):
    """`position`: of the log, `projected`: up to where counts and rates have read it."""

    queue: str
    stats: QueueStats
    timestamp: str
    position: int
    projected: int


async def stats(call: Call) -> Answer:
    call.allow("at")
    moment = await moment_of(call)
    queue: Queue | QueueThen | None
    if moment is None:
        queue = await call.services.names.queue(call.queue)
    else:
        queue = await queue_then(call.services, moment, call.queue)
    if queue is None:
        raise unknown_queue(call.queue)
    async with call.services.pool.connection() as connection:
        found = await queue_stats(connection, queue.id, moment)
    if found is None:
        raise unknown_queue(call.queue)
    at = times.to_text(found.now)
    return json(Stats(queue.name, found.queues[queue.name], at, found.position, found.projected))


async def queue_throughput(call: Call) -> Answer:
    call.allow("timeframe")
    queue = await call.services.names.queue(call.queue)
    if queue is None:
        raise unknown_queue(call.queue)
    timeframe = call.query.get("timeframe", "hour")
    if timeframe not in ("hour", "day"):
        raise invalid("timeframe", "must be hour or day", status=400)
    async with call.services.pool.connection() as connection:
        return json(await throughput(connection, queue.id, cast("Literal['hour', 'day']", timeframe)))


async def workers(call: Call) -> Answer:
    call.allow("at", "format")
    if (moment := await moment_of(call)) is not None:
        then = narrowed_workers_then(await workers_then(call.services, moment), call.caller.queues)
        found = msgspec.to_builtins(then)
    else:
        found = narrowed_workers((await workers_now(call.services)).data, call.caller.queues)
    if (kind := format_of(call)) is not None:
        return await export(call, kind, "workers", COLUMNS, whole(found["workers"]))
    return json(found)


async def status(call: Call) -> Answer:
    """The feed: events with `Accept: text/event-stream`, one snapshot otherwise."""
    call.allow("queue", "job", "types", "last_event_id", "from", "until", "speed", "at")
    filter_ = narrowed(call.query, call.caller)
    if b"text/event-stream" in call.headers.get(b"accept", b""):
        last_id = call.header(b"last-event-id") or call.query.get("last_event_id")
        replay = await asked(call.services, call.query, last_id)
        call.services.places.take(call.caller)
        stream = EventStream(
            call.services, call.caller, filter_, last_id, call.receive, abort_of(call.scope), replay
        )
        return cast("Answer", stream)
    if "from" in call.query:
        raise invalid("from", "needs Accept: text/event-stream, or a WebSocket", status=400)
    found = await stats_of_all(call.services, await moment_of(call))
    wanted = filter_.queues
    queues = {name: of for name, of in found.queues.items() if wanted is None or name in wanted}
    body = {
        "type": "queue_stats", "data": {"queues": queues}, "timestamp": times.to_text(found.timestamp),
        "position": found.position,
    }  # fmt: skip
    return json(body)


# Of the past, some are not known.
COLUMNS: Final[Columns] = {
    name: methodcaller("get", name)
    for name in (
        "session", "name", "host", "pid", "queues", "types", "slots", "busy", "started_at", "last_heartbeat",
        "memory_mib", "stale",
    )
}  # fmt: skip

_NARROW: Final = {
    "queue": "Queues, separated by commas.", "job": "One job's id.",
    "types": "Job types, separated by commas.", "last_event_id": "Go on after this event's id.",
    "from": "Replay the past from a position or an RFC 3339 time.",
    "until": "End the replay there; without it the replay becomes the live feed at the present.",
    "speed": "1 to 1000 times as fast as it was.", "at": AT,
}  # fmt: skip

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/queue/status", run=status, scope="read", tag="feed", query=_NARROW,
        summary="The live feed: Server-Sent Events, a WebSocket with an Upgrade, or one snapshot.",
    ),
    Endpoint(
        method="GET", path="/queue/{queue}/stats", run=stats, scope="read", answer=Stats,
        summary="How the queue does now.", query={"at": AT},
    ),
    Endpoint(
        method="GET", path="/queue/{queue}/throughput", run=queue_throughput, scope="read",
        answer=Throughput, summary="What ended in this hour or day.", query={"timeframe": "hour or day."},
    ),
    Endpoint(
        method="GET", path="/workers/status", run=workers, scope="read", tag="workers",
        answer=WorkerStatus, summary="Living worker sessions and what they run.",
        query={"at": AT, "format": FORMAT},
    ),
)  # fmt: skip
