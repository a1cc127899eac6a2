"""`?after_position=P`: wait, bounded, until what is answered includes everything up to P."""

from __future__ import annotations

from typing import Final

from ..events.read import head
from .errors import Problem, invalid
from .requests import Call
from .services import Services

_LONGEST: Final = 5.0


async def wait_for_projections(services: Services, call: Call) -> None:
    """Raises Problem: projection_behind after 5 s, invalid_field past the head of the log."""
    wanted = call.number("after_position", 0, 0, 10**18)
    if wanted <= services.projections.position:
        return
    async with services.pool.connection() as connection:
        end = (await head(connection)).position
    if wanted > end:
        raise invalid("after_position", f"is past the head of the log, {end}", status=400)
    if not await services.projections.wait_for(wanted, _LONGEST):
        raise Problem(
            "projection_behind", f"the projections have not reached {wanted} yet", {"position": wanted}
        )
