"""`?after_position=P`: wait, bounded, until what is answered includes everything up to P."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from ..events.pool import Connection
from ..events.read import head
from ..projections import search
from ..projections.checkpoint import checkpoints
from .errors import Problem, invalid
from .requests import Call
from .services import Services

_LONGEST: Final = 5.0
_LOOK: Final = 0.02

Reached = Callable[[Connection, int], Awaitable[bool]]


async def wait_for_projections(services: Services, call: Call) -> None:
    """Raises Problem: projection_behind after 5 s, invalid_field past the head of the log.

    Asks the database, because another process may be the one that folds.
    """

    async def reached(connection: Connection, wanted: int) -> bool:
        end = (await head(connection)).position
        if wanted > end:
            raise invalid("after_position", f"is past the head of the log, {end}", status=400)
        found = await checkpoints(connection)
        return all(each.position >= wanted for each in found if each.live and not each.filling)

    await _wait(services, call, reached, "the projections have")


async def wait_for_search(services: Services, call: Call) -> None:
    """The same for `q`, whose terms come after everything else. At once without `?after_position`."""

    async def reached(connection: Connection, wanted: int) -> bool:
        return (await search.state(connection)).position >= wanted

    await _wait(services, call, reached, "search has")


async def _wait(services: Services, call: Call, reached: Reached, who: str) -> None:
    wanted = call.number("after_position", 0, 0, 10**18)
    deadline = time.monotonic() + _LONGEST
    while True:
        async with services.pool.connection() as connection:
            if await reached(connection, wanted):
                return
        if time.monotonic() > deadline:
            raise Problem("projection_behind", f"{who} not reached {wanted} yet", {"position": wanted})
        await asyncio.sleep(_LOOK)
