"""How queues do, and who works on them."""

from __future__ import annotations

from typing import Final, Literal, cast

from msgspec import Struct

from ..events import times
from ..projections.stats import QueueStats, Throughput, queue_stats, throughput
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .protocol import abort_of
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
    call.allow()
    queue = await call.services.names.queue(call.queue)
    if queue is None:
        raise unknown_queue(call.queue)
    async with call.services.pool.connection() as connection:
        found = await queue_stats(connection, queue.id)
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
    call.allow()
    found = await workers_now(call.services)
    return json(narrowed_workers(found.data, call.caller.queues))


async def status(call: Call) -> Answer:
    """The feed: events with `Accept: text/event-stream`, one snapshot otherwise."""
    call.allow("queue", "job", "types", "last_event_id")
    filter_ = narrowed(call.query, call.caller)
    if b"text/event-stream" in call.headers.get(b"accept", b""):
        call.services.places.take(call.caller)
        last_id = call.header(b"last-event-id") or call.query.get("last_event_id")
        stream = EventStream(
            call.services, call.caller, filter_, last_id, call.receive, abort_of(call.scope)
        )
        return cast("Answer", stream)
    found = await stats_of_all(call.services)
    wanted = filter_.queues
    queues = {name: of for name, of in found.queues.items() if wanted is None or name in wanted}
    body = {
        "type": "queue_stats", "data": {"queues": queues}, "timestamp": times.to_text(found.timestamp),
        "position": found.position,
    }  # fmt: skip
    return json(body)


_NARROW: Final = {
    "queue": "Queues, separated by commas.", "job": "One job's id.",
    "types": "Job types, separated by commas.", "last_event_id": "Go on after this event's id.",
}  # fmt: skip

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/queue/status", run=status, scope="read", tag="feed", query=_NARROW,
        summary="The live feed: Server-Sent Events, a WebSocket with an Upgrade, or one snapshot.",
    ),
    Endpoint(
        method="GET", path="/queue/{queue}/stats", run=stats, scope="read", answer=Stats,
        summary="How the queue does now.",
    ),
    Endpoint(
        method="GET", path="/queue/{queue}/throughput", run=queue_throughput, scope="read",
        answer=Throughput, summary="What ended in this hour or day.", query={"timeframe": "hour or day."},
    ),
    Endpoint(
        method="GET", path="/workers/status", run=workers, scope="read", tag="workers",
        answer=WorkerStatus, summary="Living worker sessions and what they run.",
    ),
)  # fmt: skip
