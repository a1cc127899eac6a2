"""The log itself, page by page."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .. import sql
from ..events import ids, types
from ..events.log import milliseconds
from ..events.pool import Connection
from ..events.read import Event, head
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .event_rows import EventRow, event_row
from .export import FORMAT, export, fields, format_of
from .requests import Call

_MOST: Final = 1000
_END: Final = 10**18
_SPAN: Final = 20_000  # positions that a filtered call looks at; `next` goes on from there


class Events(Struct):
    """`next` is the `after` of the next page (`before` with kind=operator), None at the end."""

    events: list[EventRow]
    next: int | None


async def events(call: Call) -> Answer:
    call.allow("after", "before", "limit", "type", "queue", "job", "actor", "kind", "format")
    by_hand = _by_hand(call)
    if (kind := format_of(call)) is not None:

        async def read(place: str | None, limit: int) -> tuple[list[EventRow], str | None]:
            found = await _found(call, by_hand, None if place is None else int(place), limit)
            return found.events, None if found.next is None else str(found.next)

        return await export(call, kind, "events", COLUMNS, read)
    return json(await _found(call, by_hand, None, call.number("limit", 100, 1, _MOST)))


def _by_hand(call: Call) -> bool:
    """Whether only what people and tokens did is asked for."""
    kind = call.text("kind")
    if kind not in (None, "operator"):
        raise invalid("kind", "must be operator", status=400)
    if kind is None and "before" in call.query:
        raise invalid("before", "needs kind=operator", status=400)
    return kind is not None


async def _found(call: Call, by_hand: bool, place: int | None, limit: int) -> Events:
    """`place`: where to go on; None: where the call says."""
    async with call.services.pool.connection() as connection:
        if by_hand:
            before = call.number("before", _END, 1, _END) if place is None else place
            found, following = await _of_operators(call, connection, before, limit)
        else:
            after = call.number("after", 0, 0, _END) if place is None else place
            if (job := call.text("job")) is not None:
                found, following = await _of_job(call, connection, job, after, limit)
            else:
                found, following = await _page(call, connection, after, limit)
    return Events([await event_row(call.services.names, event, EventRow) for event in found], following)


async def _of_operators(
    call: Call, connection: Connection, before: int, limit: int
) -> tuple[list[Event], int | None]:
    """The newest first, so that what was done last is found at once."""
    if "job" in call.query:
        raise invalid("job", "has no kind: ask for all events of a job", status=400)
    parameters = {
        "after": call.number("after", 0, 0, _END), "before": before, "limit": limit, "types": _types(call),
        "queues": await _queues(call), "actor": await _actor(call, connection),
    }  # fmt: skip
    cursor = await connection.execute(sql.load("events_operator"), parameters, binary=True)
    found = [Event(r[0], milliseconds(r[1]), r[2].bytes, *r[3:]) for r in await cursor.fetchall()]
    return found, found[-1].position if len(found) == limit else None


async def _page(
    call: Call, connection: Connection, after: int, limit: int
) -> tuple[list[Event], int | None]:
    end = (await head(connection)).position
    parameters = {
        "after": after, "limit": limit, "span": _SPAN, "types": _types(call),
        "queues": await _queues(call), "actor": await _actor(call, connection),
    }  # fmt: skip
    cursor = await connection.execute(sql.load("events_page"), parameters, binary=True)
    found = [Event(r[0], milliseconds(r[1]), r[2].bytes, *r[3:]) for r in await cursor.fetchall()]
    reached = found[-1].position if len(found) == limit else min(after + _SPAN, end)
    return found, reached if reached < end else None


async def _of_job(
    call: Call, connection: Connection, job: str, after: int, limit: int
) -> tuple[list[Event], int | None]:
    try:
        stream = ids.from_text(job)
    except ValueError as error:
        raise invalid("job", str(error), status=400) from None
    wanted, queues = _types(call), await _queues(call)
    actor = await _actor(call, connection)
    found = [
        event
        for event in await call.services.beginnings.story(connection, stream)
        if event.position > after
        and (wanted is None or event.type in wanted)
        and (queues is None or event.queue in queues)
        and (actor is None or event.actor == actor)
    ]
    return found[:limit], found[limit - 1].position if len(found) > limit else None


def _types(call: Call) -> list[str] | None:
    text = call.text("type", 1000)
    if text is None:
        return None
    wanted = [part.strip() for part in text.split(",")]
    for name in wanted:
        if name not in types.REGISTRY:
            raise invalid("type", "must name event types, separated by commas", status=400)
    return wanted


async def _queues(call: Call) -> list[int] | None:
    """Numbers of the queues asked for, within those that the caller may see; the log has deleted ones too."""
    name = call.text("queue")
    if name is None and call.caller.queues is None:
        return None
    known = await call.services.names.queue_names()
    found = [number for number, each in known.items() if call.caller.sees(each) and name in (None, each)]
    if name is not None and not found:
        raise unknown_queue(name)
    return found


async def _actor(call: Call, connection: Connection) -> int | None:
    name = call.text("actor", 300)
    if name is None:
        return None
    row = await (await connection.execute(sql.load("actor_find"), {"name": name})).fetchone()
    return -1 if row is None else int(row[0])


COLUMNS: Final = fields(
    "position", "recorded_at", "type", "queue", "job", "version", "attempt", "actor", "data"
)

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/events", run=events, scope="read", tag="events", answer=Events,
        summary="The log after a position, oldest first.",
        query={
            "after": "A position; 0 for the beginning.", "limit": "1 to 1000; of a file 1 to 100000.",
            "type": "Event types, separated by commas.", "queue": "A queue's name.", "job": "A job's id.",
            "actor": "Who did it, such as user:ann.",
            "kind": "operator: only what people and tokens did, newest first.",
            "before": "With kind=operator: only below this position.", "format": FORMAT,
        },
    ),
)  # fmt: skip
