"""What a time bar marks: pauses, deploys, bursts of failures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from .. import sql
from ..events import times
from ..events.log import milliseconds
from ..projections.moments import Moment
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid
from .job_filter import queues_of
from .past import AT, moment_of
from .requests import Call

_DAY: Final = 86_400_000
_LONGEST: Final = 31 * _DAY
_MOST: Final = 1000


class Incident(Struct):
    """Something that happened. `kind`: paused resumed drained configured workers_started workers_lost or
    failures. `until`: of what lasts; `count`: sessions, or failed attempts; `position` of an act."""

    kind: str
    at: str
    until: str | None
    queue: str | None
    count: int
    actor: str | None
    position: int | None


class Incidents(Struct):
    """Oldest first. `complete` is false when there were more than are told."""

    incidents: list[Incident]
    complete: bool


async def incidents(call: Call) -> Answer:
    call.allow("from", "to", "queue", "limit", "at")
    moment = await moment_of(call)
    to = call.instant("to") or await _present(call, moment)
    since = call.instant("from") if "from" in call.query else to - _DAY
    assert since is not None
    if not 0 < to - since <= _LONGEST:
        raise invalid("from", "must be before `to`, at most 31 days", status=400)
    limit = call.number("limit", 200, 1, _MOST)
    values = {
        "since": _moment(since), "until": _moment(to), "queues": [*await queues_of(call, moment)],
        "limit": limit + 1, "position": moment.position if moment else None,
        "moment": _moment(moment.now) if moment else None,
    }  # fmt: skip
    async with call.services.pool.connection() as connection:
        rows = await (await connection.execute(sql.load("incidents"), values)).fetchall()
    found = [_incident(*row) for row in rows[:limit]]
    return json(Incidents(found, len(rows) <= limit))


async def _present(call: Call, moment: Moment | None) -> int:
    """Now, or just after the moment, so that what happened at it is told."""
    return await call.services.engine.clock.now() if moment is None else moment.now + 1


def _moment(instant: int) -> datetime:
    return datetime.fromtimestamp(max(instant, 0) / 1000, UTC)


def _incident(
    kind: str,
    at: datetime,
    until: datetime | None,
    queue: str | None,
    count: int,
    actor: str | None,
    position: int | None,
) -> Incident:
    return Incident(
        kind, times.to_text(milliseconds(at)), None if until is None else times.to_text(milliseconds(until)),
        queue, count, actor, position,
    )  # fmt: skip


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/incidents", run=incidents, scope="read", tag="events", answer=Incidents,
        summary="What happened that explains the rest: pauses, deploys, lost workers, bursts of failures.",
        query={
            "from": "RFC 3339; a day before `to` unless given.", "to": "RFC 3339; now unless given.",
            "queue": "A queue's name.", "limit": "1 to 1000.", "at": AT,
        },
    ),
)  # fmt: skip
