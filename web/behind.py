"""`?after_position=P`: wait, bounded, until what is answered includes everything up to P."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from ..events.read import head
from ..projections.checkpoint import checkpoints
from .errors import Problem, invalid
from .requests import Call
from .services import Services

_LONGEST: Final = 5.0
_LOOK: Final = 0.02


async def wait_for_projections(services: Services, call: Call) -> None:
    """Raises Problem: projection_behind after 5 s, invalid_field past the head of the log.

    Asks the database, because another process may be the one that folds.
    """
    wanted = call.number("after_position", 0, 0, 10**18)
    deadline = time.monotonic() + _LONGEST
    while True:
        async with services.pool.connection() as connection:
            end = (await head(connection)).position
            if wanted > end:
                raise invalid("after_position", f"is past the head of the log, {end}", status=400)
            found = await checkpoints(connection)
        if all(checkpoint.position >= wanted for checkpoint in found if checkpoint.live):
            return
        if time.monotonic() > deadline:
            raise Problem(
                "projection_behind", f"the projections have not reached {wanted} yet", {"position": wanted}
            )
        await asyncio.sleep(_LOOK)
