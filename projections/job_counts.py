"""How many jobs of each state a list has: exact up to a bound, and never dearer than that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from .. import sql
from ..events.pool import Connection
from .jobs import Filter, parameters_of
from .jobs_at import carried, fitting_at, page_at, parameters_at, sessions_of, told_by_stories
from .moments import Moment

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
    return _told(
        chosen.statuses, {row[0]: row[1] for row in rows}, {row[0] for row in rows if not row[2]}
    )


async def counts_at(connection: Connection, chosen: Filter, moment: Moment) -> Counts:
    """As they were at a moment."""
    if carried(chosen):
        page = await page_at(connection, chosen, moment, limit=COUNTED)
        found = Counter(row.status for row in page.rows)
        return _told(chosen.statuses, found, set() if page.next is None else set(chosen.statuses))
    named = told_by_stories(chosen)
    values = parameters_at(chosen, moment) | {"most": COUNTED + 1, "named": named}
    rows = await (await connection.execute(sql.load("job_counts_at"), values, binary=True)).fetchall()
    partly = {row[0] for row in rows if row[1] > COUNTED}
    if not named:
        return _told(chosen.statuses, {row[0]: row[1] for row in rows}, partly)
    sessions = await sessions_of(connection, chosen)
    found = Counter()
    for status, _, jobs in rows:
        these = [job.bytes for job in jobs]
        found[status] = len(await fitting_at(connection, these, chosen, moment, sessions))
    return _told(chosen.statuses, found, partly)


def _told(statuses: Sequence[str], found: Mapping[str, int], partly: set[str]) -> Counts:
    """`partly`: the states of which not all jobs were looked at."""
    return Counts(
        {status: min(found.get(status, 0), COUNTED) for status in statuses},
        [status for status in statuses if found.get(status, 0) > COUNTED or status in partly],
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
