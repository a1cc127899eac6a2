"""What goes wrong, by fingerprint: `GET /failures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection
from .moments import Moment


class Failure(Struct, frozen=True):
    """Failed attempts of one job type with one fingerprint, or one cause where there is none (timeout,
    lost, ...). `template` is the message without its literals; `token` names the sample's error text in the
    vault. Times in ms since 1970."""

    fingerprint: str
    type: str
    count: int
    first_seen: int
    last_seen: int
    queues: list[str]
    sample_job: bytes
    cause: str
    error_type: str | None
    template: str | None
    token: int | None


async def failures(
    connection: Connection,
    *,
    since: int | None = None,
    queue: int | None = None,
    limit: int = 200,
    moment: Moment | None = None,
) -> list[Failure]:
    """The most recent first, now or at a moment. `since` (ms since 1970) counts from its hour on."""
    start = None if since is None else datetime.fromtimestamp(since / 1000, UTC)
    values = {"since": start, "queue": queue, "limit": limit, **(moment.parameters if moment else {})}
    query = sql.load("failure_list" if moment is None else "failure_list_at")
    rows = await (await connection.execute(query, values)).fetchall()
    return [_failure(row) for row in rows]


async def failed_jobs(
    connection: Connection,
    found: Sequence[Failure],
    queues: Mapping[str, int],
    spans: Sequence[int],
    most: int,
    moment: Moment | None = None,
) -> list[list[int]]:
    """For each failure and each span (its beginning, ms since 1970): how many jobs failed so last, and last
    started in it, now or at a moment: of a queue exactly below `most`, else at least `most`. `queues`: the
    numbers of those that count."""
    counts = [[0] * len(spans) for _ in found]
    asked = [(place, name) for place, one in enumerate(found) for name in one.queues if name in queues]
    if not asked or not spans:
        return counts
    values = {
        "groups": [place for place, _ in asked], "queues": [queues[name] for _, name in asked],
        "fingerprints": [found[place].fingerprint for place, _ in asked],
        "types": [found[place].type for place, _ in asked],
        "spans": [datetime.fromtimestamp(at / 1000, UTC) for at in spans], "most": most,
        **(moment.parameters if moment else {}),
    }  # fmt: skip
    query = sql.load("failed_jobs" if moment is None else "failed_jobs_at")
    for place, span, count in await (await connection.execute(query, values)).fetchall():
        counts[place][span - 1] = count
    return counts


def _failure(row: TupleRow) -> Failure:
    fingerprint, job_type, count, first, last, queues, sample, cause, error_type, template, token = row
    return Failure(
        fingerprint, job_type, count, milliseconds(first), milliseconds(last), queues, sample.bytes,
        cause, error_type, template, token,
    )  # fmt: skip
