"""`GET /stats/series`: what the charts and sparklines are drawn from, as columns."""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from ..events import times
from ..projections.moments import Moment
from ..projections.series import ALL, COUNTS, PERCENTILES, Asked, Found
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .past import AT, moment_of, queues_then
from .requests import Call

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_STEP: Final = re.compile(r"([1-9]\d{0,3})([mhd])")
_DAY: Final = 86400
_POINTS: Final = 1500  # of a series
_MOST: Final = 60_000  # of all series together
_ROWS: Final = 150_000  # minutes or hours of queues that are added up
# A step is chosen so that there are about so many points.
_WANTED: Final = 90
_STEPS: Final = (60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, _DAY)


class OneSeries(Struct):
    """A value a time. Counts of events; percentiles in seconds, null where nothing was measured (and left out
    when not asked for). `queue` null: all of them together."""

    queue: str | None
    enqueued: list[int]
    started: list[int]
    completed: list[int]
    failed: list[int]
    expired: list[int]
    cancelled: list[int]
    lost: list[int]
    retried: list[int]
    wait_p50: list[float | None] | None = None
    wait_p95: list[float | None] | None = None
    wait_p99: list[float | None] | None = None
    run_p50: list[float | None] | None = None
    run_p95: list[float | None] | None = None
    run_p99: list[float | None] | None = None


class SeriesAnswer(Struct, rename={"from_": "from"}):
    """`times` are the beginnings of the buckets, `step` their length in seconds; `to` ends the last
    one, which may not be over yet. `projected`: up to where the log is counted."""

    from_: str
    to: str
    step: int
    times: list[str]
    series: list[OneSeries]
    timestamp: str
    position: int
    projected: int


async def series(call: Call) -> Answer:
    call.allow("queue", "from", "to", "step", "group", "percentiles", "at")
    moment = await moment_of(call)
    chosen = await _queues(call, moment)
    asked = await _asked(call, tuple(chosen), moment)
    async with call.services.pool.connection() as connection:
        found = await call.services.series.read(connection, asked, moment)
    starts = range(asked.start, asked.upto, asked.step)
    groups: list[int | None] = list(chosen) if asked.grouped else [None]
    return json({
        "from": times.to_text(asked.start * 1000), "to": times.to_text(asked.upto * 1000), "step": asked.step,
        "times": [times.to_text(start * 1000) for start in starts],
        "series": [
            {"queue": call.text("queue") if group is None else chosen[group],
             **_columns(found, asked, group, starts)}
            for group in groups
        ],
        "timestamp": times.to_text(found.now), "position": found.position, "projected": found.projected,
    })  # fmt: skip


async def _queues(call: Call, moment: Moment | None) -> dict[int, str]:
    """Number -> name of those that are asked for, within those that the caller may see."""
    name, services = call.text("queue"), call.services
    there = await services.names.queues() if moment is None else await queues_then(services, moment)
    found = {q.id: q.name for q in there if call.caller.sees(q.name)}
    if name is None:
        return found
    chosen = {number: each for number, each in found.items() if each == name}
    if not chosen:
        raise unknown_queue(name)
    return chosen


async def _asked(call: Call, queues: tuple[int, ...], moment: Moment | None) -> Asked:
    upto = call.instant("to")
    if upto is None:
        upto = await call.services.engine.clock.now() if moment is None else moment.now
    start = call.instant("from")
    start = upto - 3_600_000 if start is None else start
    if not 0 <= start < upto:
        raise invalid("from", "must be before to", status=400)
    grouped = _one_of(call, "group", ("queue", "none"), "none") == "queue"
    spread = _one_of(call, "percentiles", ("true", "false"), "false" if grouped else "true") == "true"
    step = _step(call, upto - start)
    if call.text("queue") is None and not grouped and call.caller.queues is None:
        queues = (ALL,)
    first, last = start // 1000 // step, -(-upto // (1000 * step))
    asked = Asked(
        queues=queues, start=first * step, upto=last * step, step=step, grouped=grouped, spread=spread
    )
    _bounded(asked)
    return asked


def _one_of(call: Call, name: str, known: tuple[str, ...], default: str) -> str:
    value = call.query.get(name, default)
    if value not in known:
        raise invalid(name, f"must be {' or '.join(known)}", status=400)
    return value


def _step(call: Call, span: int) -> int:
    """Seconds. Without one: the finest that gives a chart's number of points of `span` ms."""
    text = call.query.get("step")
    if text is None:
        return next((step for step in _STEPS if span <= step * 1000 * _WANTED), _DAY)
    found = _STEP.fullmatch(text)
    step = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 60 <= step <= _DAY:
        raise invalid("step", "must be from 1m to 1d: a number and m, h or d", status=400)
    return step


def _bounded(asked: Asked) -> None:
    points = (asked.upto - asked.start) // asked.step
    rows = (asked.upto - asked.start) // (3600 if asked.hourly else 60) * max(len(asked.queues), 1)
    series = len(asked.queues) if asked.grouped else 1
    if points > _POINTS or points * series > _MOST or rows > _ROWS:
        raise invalid("step", "is too short for this span: take a longer step or a shorter span", status=400)


def _columns(found: Found, asked: Asked, group: int | None, starts: range) -> dict[str, list[Any]]:
    rows = [found.cells.get((start, group)) for start in starts]
    columns = {
        name: [0 if row is None else row[n] for row in rows] for n, name in enumerate(COUNTS)
    }  # fmt: skip
    if asked.spread:
        columns |= {
            name: [None if row is None else row[n] for row in rows]
            for n, name in enumerate(PERCENTILES, len(COUNTS))
        }
    return columns


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/stats/series", run=series, scope="read", answer=SeriesAnswer,
        summary="What happened over time, of one queue, of all together, or of each.",
        query={
            "queue": "A queue's name; all without.", "from": "RFC 3339; an hour before `to` without.",
            "to": "RFC 3339; now without.",
            "step": "Length of a bucket, 1m to 1d (15m, 6h); chosen by the span without.",
            "group": "queue: a series each, for all the sparklines at once.",
            "percentiles": "true or false; false with group, true without.", "at": AT,
        },
    ),
)  # fmt: skip
