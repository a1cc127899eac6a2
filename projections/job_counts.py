"""How many jobs of each state a list has: exact up to a bound, and never dearer than that."""

from __future__ import annotations

from msgspec import Struct

from .. import sql
from ..events.pool import Connection
from .jobs import Filter, parameters_of

COUNTED = 1000
_LOOKED_AT = 5000  # jobs that are looked at where a filter has no index, or one index finds all states


class Counts(Struct):
    """`more`: the states that have more than is counted."""

    counts: dict[str, int]
    more: list[str]


async def counts(connection: Connection, chosen: Filter) -> Counts:
    """By the filter's states."""
    way = _way(chosen)
    scan = COUNTED + 1 if way == "range" and not chosen.loose else _LOOKED_AT
    values = {**parameters_of(chosen, COUNTED), "way": way, "scan": scan}
    rows = await (await connection.execute(sql.load("job_counts"), values)).fetchall()
    found = {status: (count, whole) for status, count, whole in rows}
    return Counts(
        {status: min(found[status][0], COUNTED) for status in chosen.statuses},
        [status for status in chosen.statuses if found[status][0] > COUNTED or not found[status][1]],
    )


def _way(chosen: Filter) -> str:
    """The index that finds the jobs."""
    if chosen.search is not None:
        return "search"
    if chosen.correlation is not None:
        return "correlation"
    if chosen.tag is not None:
        return "tag"
    whole_group = chosen.fingerprint is not None and chosen.type is not None and chosen.started is not None
    return "fingerprint" if whole_group else "range"
