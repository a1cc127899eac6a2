"""What a queue would have been like under other limits: recorded load, simulated time.

    answer = await simulate_window(connection, queue, since, until, WhatIf(max_workers=5))

Three columns: what was recorded, the simulation under the limits as they were (how far it can be trusted),
and under those that are asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct

from .. import sql
from ..events.names import Queue
from ..events.pool import Connection
from .limits import ANY, Session, Then, WhatIf, recorded, steps
from .recorded import Load, LoadBuilder
from .simulation import Step, Workload, simulate
from .waits import Figures, Window, figures

_PAGE: Final = 20_000  # rows fetched at once
_MEMORY: Final = "set local work_mem = '128MB'"  # a day's events are sorted


class Answer(Struct, frozen=True):
    """`attempts`: waits and runs of the window; `assumed`: runs whose length nobody knows; `capacity` and
    `capacity_then`: the most that could run at once, None without a limit."""

    queue: str
    since: int
    until: int
    attempts: int
    assumed: int
    capacity_then: int | None
    capacity: int | None
    recorded: Figures
    as_it_was: Figures
    what_if: Figures


async def simulate_window(
    connection: Connection, queue: Queue, since: int, until: int, asked: WhatIf,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Answer:  # fmt: skip
    """Read the window [since, until), in ms since 1970, and let it happen again."""
    load, then = await read(connection, queue, since, until, progress)
    window = Window(0, until - since)
    work = Workload.of(load.attempts)
    was, other = steps(then, WhatIf(), 0), steps(then, asked, 0)
    found = figures(load.recorded_ready(), load.starts, work.leaves, window)
    return Answer(
        queue.name, since, until, len(load.attempts), load.assumed, _most(was, window), _most(other, window),
        found, _figures(work, was, window), _figures(work, other, window),
    )  # fmt: skip


def _figures(work: Workload, limit: list[Step], window: Window) -> Figures:
    outcome = simulate(work, limit)
    return figures(outcome.ready, outcome.starts, work.leaves, window)


def _most(limit: list[Step], window: Window) -> int | None:
    highest = max(step.capacity for step in limit if step.time < window.until)
    return None if highest >= ANY else highest


async def read(
    connection: Connection, queue: Queue, since: int, until: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Load, Then]:  # fmt: skip
    """The load and the limits, in ms since `since`."""
    start, end = _moment(since), _moment(until)
    async with connection.transaction():
        await connection.execute(_MEMORY)
        edges = {"since": start, "until": end}
        row = await (await connection.execute(sql.load("replay_edges"), edges)).fetchone()
        assert row is not None
        values = {"queue": queue.id, "low": row[0], "high": row[1], "origin": start}
        load = await _load(connection, values, Window(0, until - since), progress)
        then = await _limits(connection, queue, row[1], start, end)
    return load, then


async def _load(
    connection: Connection, values: dict[str, Any], window: Window, progress: Callable[[int, int], None]
) -> Load:
    builder = LoadBuilder(window)
    done = 0
    async with connection.cursor("replay") as cursor:
        await cursor.execute(sql.load("replay_attempts"), values, binary=True)
        while rows := await cursor.fetchmany(_PAGE):
            builder.add(rows)
            done += len(rows)
            progress(done, 0)
    return builder.load()


async def _limits(connection: Connection, queue: Queue, high: int, start: datetime, end: datetime) -> Then:
    values = {"stream": UUID(bytes=queue.stream), "high": high, "origin": start}
    changes = await (await connection.execute(sql.load("replay_limits"), values)).fetchall()
    asked = {"queue": queue.name, "until": end, "origin": start}
    sessions = await (await connection.execute(sql.load("replay_sessions"), asked)).fetchall()
    return recorded(changes, [Session(*row) for row in sessions])


def _moment(instant: int) -> datetime:
    return datetime.fromtimestamp(instant / 1000, UTC)


def read_limits(texts: list[str]) -> WhatIf:
    """`workers=3`, `slots=4`, `max_workers=5` or `max_workers=none`. Raises ValueError."""
    given: dict[str, int | None] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in ("workers", "slots", "max_workers"):
            raise ValueError(f"{text!r} is none of workers=N, slots=N, max_workers=N")
        given[name] = _number(name, value)
    return WhatIf(**{name: given.get(name, UNSET) for name in WhatIf.__struct_fields__})  # type: ignore[arg-type]


def _number(name: str, value: str) -> int | None:
    if name == "max_workers" and value == "none":
        return None
    if not value.isdecimal() or not 1 <= int(value) <= 10_000:
        raise ValueError(f"{name} must be a whole number from 1 to 10000, not {value!r}")
    return int(value)
