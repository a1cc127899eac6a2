"""Failures by what they have in common, and how many jobs failed so in spans of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ..broker.clock import database_now
from ..events import ids, times, vault
from ..events.pool import Connection
from ..projections.failures import Failure, failed_jobs, failures
from ..projections.moments import Moment
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid
from .export import FORMAT, export, fields, format_of, whole
from .job_filter import queues_of
from .job_reads import read_bodies
from .past import AT, moment_of
from .requests import Call
from .services import Services

_MOST: Final = 200
_SAMPLE: Final = 2000  # characters of an error text
COUNTED: Final = 1000  # jobs of a cell are counted exactly up to here
SPANS: Final = {"1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}  # s


class FailureRow(Struct, omit_defaults=True):
    """Failed attempts with one fingerprint. `error` is the text of the sample. With `spans`: `jobs` has for
    each the jobs that failed so last and last started in it, counted up to 1,000; `more` names those with
    more than that."""

    fingerprint: str
    type: str
    error: str
    count: int
    first_seen: str
    last_seen: str
    queues: list[str]
    sample_job: str
    cause: str
    jobs: dict[str, int] | None = None
    more: list[str] = []


class Failures(Struct, omit_defaults=True):
    """`since` tells when each span began: as `started_since` of the job list it finds the very jobs."""

    failures: list[FailureRow]
    since: dict[str, str] | None = None


async def list_failures(call: Call) -> Answer:
    call.allow("since", "queue", "limit", "spans", "format", "at")
    if (kind := format_of(call)) is not None:
        found = await _found(call, _MOST)
        return await export(call, kind, "failures", COLUMNS, whole(found.failures))
    return json(await _found(call, call.number("limit", 100, 1, _MOST)))


async def _found(call: Call, limit: int) -> Failures:
    moment = await moment_of(call)
    queues = {name: number for number, name in (await queues_of(call, moment)).items()}
    name = call.text("queue")
    asked, since = _asked(call), call.instant("since")
    async with call.services.pool.connection() as connection:
        spans = await _spans(connection, asked, moment)
        if since is None and spans:
            since = min(spans.values())
        number = None if name is None else queues[name]
        found = await failures(connection, since=since, queue=number, limit=limit, moment=moment)
        found = [failure for failure in found if all(map(call.caller.sees, failure.queues))]
        counts = await failed_jobs(connection, found, queues, list(spans.values()), COUNTED + 1, moment)
    rows = [await _failure(call.services, failure) for failure in found]
    if not spans:
        return Failures(rows)
    for row, counted in zip(rows, counts, strict=True):
        _count(row, list(spans), counted)
    return Failures(rows, {span: times.to_text(at) for span, at in spans.items()})


def _count(row: FailureRow, spans: Sequence[str], counted: Sequence[int]) -> None:
    row.jobs = {span: min(count, COUNTED) for span, count in zip(spans, counted, strict=True)}
    row.more = [span for span, count in zip(spans, counted, strict=True) if count > COUNTED]


async def _spans(connection: Connection, asked: Sequence[str], moment: Moment | None) -> dict[str, int]:
    """When each began, to the second, before now or the moment."""
    if not asked:
        return {}
    now = await database_now(connection) if moment is None else moment.now
    return {name: (now // 1000 - SPANS[name]) * 1000 for name in asked}


def _asked(call: Call) -> list[str]:
    text = call.text("spans")
    asked = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(name in SPANS for name in asked):
        raise invalid("spans", f"must be some of {','.join(SPANS)}", status=400)
    return asked


async def _failure(services: Services, failure: Failure) -> FailureRow:
    said = ": ".join(part for part in (failure.error_type, failure.template) if part)
    return FailureRow(
        failure.fingerprint, failure.type, (await _sample(services, failure)) or said or failure.cause,
        failure.count, times.to_text(failure.first_seen), times.to_text(failure.last_seen), failure.queues,
        ids.to_text(failure.sample_job), failure.cause,
    )  # fmt: skip


async def _sample(services: Services, failure: Failure) -> str | None:
    """The last line of the sample's error; None after its erasure, or without its key."""
    if failure.token is None:
        return None
    async with services.pool.connection() as connection:
        bodies = await read_bodies(connection, services.vault, failure.sample_job)
    text = bodies.text(vault.ERROR, failure.token)
    lines = (text or "").strip().splitlines()
    return lines[-1][:_SAMPLE] if lines else None


COLUMNS: Final = fields(
    "fingerprint", "type", "error", "cause", "count", "first_seen", "last_seen", "queues", "sample_job",
    "jobs",
)  # fmt: skip

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/failures", run=list_failures, scope="read", tag="events", answer=Failures,
        summary="Failed attempts, grouped by what they have in common.",
        query={
            "since": "RFC 3339; from its hour on.", "queue": "A queue's name.", "limit": "1 to 200.",
            "spans": "Some of 1h,24h,7d,30d: count the jobs of each, and list what failed in the longest.",
            "format": FORMAT, "at": AT,
        },
    ),
)  # fmt: skip
