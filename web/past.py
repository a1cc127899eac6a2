"""`?at=`: the moment that a call asks about, and what it needs to know of the queues of that time."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from msgspec import Struct

from .. import sql
from ..events import times
from ..projections.moments import Moment, OutOfLog, PastRetention, folded, resolve
from .errors import Problem, invalid, unknown_queue
from .requests import Call
from .services import Services

AT: Final = "A moment of the past: a position of the log, or an RFC 3339 time. Answers as the call did then."
_LONGEST: Final = 5.0
_LOOK: Final = 0.02


class QueueThen(Struct, frozen=True):
    """A queue as it was. `position` of its last change, `scaled` the data of its last `scaled` event."""

    id: int
    name: str
    paused: bool
    config: dict[str, Any]
    deleted: bool
    position: int
    scaled: dict[str, Any] | None


async def moment_of(call: Call) -> Moment | None:
    """The moment of `?at=`; None without it. Waits, at most 5 s, until answers about it can be read."""
    text = call.query.get("at")
    return None if text is None else await moment_at(call.services, "at", text)


async def moment_at(services: Services, field: str, text: str) -> Moment:
    """The moment that a parameter names. Raises Problem: invalid_field, past_retention, projection_behind."""
    position, at = _read(field, text)
    deadline = time.monotonic() + _LONGEST
    while True:
        async with services.pool.connection() as connection:
            try:
                moment = await resolve(connection, position=position, at=at)
            except OutOfLog as error:
                raise invalid(field, str(error), status=400) from None
            except PastRetention as error:
                raise Problem("past_retention", str(error), {"edge": error.edge}) from None
            if await folded(connection, moment):
                return moment
        if time.monotonic() > deadline:
            raise Problem("projection_behind", "the projections have not reached that moment yet",
                          {"position": moment.position})  # fmt: skip
        await asyncio.sleep(_LOOK)


def _read(field: str, text: str) -> tuple[int | None, int | None]:
    if text.isascii() and text.isdigit():
        if not 0 < len(text) <= 18 or int(text) == 0:
            raise invalid(field, "must be a position from 1 on, or an RFC 3339 time", status=400)
        return int(text), None
    try:
        return None, times.from_text(text)
    except ValueError as error:
        raise invalid(field, f"{error}, or a position", status=400) from None


async def queues_then(services: Services, moment: Moment, *, deleted: bool = False) -> list[QueueThen]:
    """All queues that there were, by name; `deleted`: those too that were deleted by then."""
    async with services.pool.connection() as connection:
        values = {"position": moment.position, "deleted": deleted}
        rows = await (await connection.execute(sql.load("queues_then"), values)).fetchall()
    return [QueueThen(*row) for row in rows]


async def queue_then(services: Services, moment: Moment, name: str) -> QueueThen:
    """Raises Problem for one that was not there."""
    for queue in await queues_then(services, moment):
        if queue.name == name:
            return queue
    raise unknown_queue(name)
