"""What happened, told from the log: a table of the queues and the stories of three single jobs.

Nothing here remembers what the producers did or what the handlers answered; the figures come from
the events alone, as any reader of the log could have them.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..sql import load

_COUNTS = ("enqueued", "completed", "retried", "failed", "cancelled")
_STYLES = {
    "completed": "green",
    "retry_scheduled": "yellow",
    "failed": "red",
    "expired": "red",
    "cancelled": "magenta",
}


class QueueSummary(NamedTuple):
    """One queue since the start; waits and runs in seconds, None where nothing was measured."""

    queue: str
    enqueued: int
    completed: int
    retried: int
    failed: int
    cancelled: int
    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None


class Step(NamedTuple):
    """One event of a job's story, `seconds` after the job was enqueued."""

    job: UUID
    queue: str
    job_type: str | None
    version: int
    event: str
    at: datetime
    actor: str | None
    attempt: int | None
    detail: str
    seconds: float


class Summary(NamedTuple):
    queues: Sequence[QueueSummary]
    steps: Sequence[Step]


async def head(conninfo: str) -> int:
    """The log's last position: take it before the demo starts, and summarise what came after."""
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        found = await connection.execute("select max(position) from hivelog.batches")
        row = await found.fetchone()
    return row[0] if row and row[0] else 0


async def read_summary(conninfo: str, after: int) -> Summary:
    """Both queries at one moment of the log; raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        queues = await _rows(connection, QueueSummary, "demo_summary", after)
        return Summary(queues, await _rows(connection, Step, "demo_stories", after))


def render(summary: Summary, seconds: float) -> RenderableType:
    """The summary as a table and three short trees, for a rich console."""
    stories = [_story(list(steps)) for _, steps in groupby(summary.steps, lambda s: s.job)]
    return Group(_table(summary.queues, seconds), Text(""), *stories)


def print_summary(summary: Summary, seconds: float, console: Console | None = None) -> None:
    """Print it; `seconds` is how long the demo has been running."""
    (console or Console()).print(render(summary, seconds))


async def _rows(
    connection: psycopg.AsyncConnection[Any], kind: type[Any], query: str, after: int
) -> list[Any]:
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(load(query), {"after": after})
        return await cursor.fetchall()


def _table(queues: Sequence[QueueSummary], seconds: float) -> Table:
    title = f"{seconds:.0f} seconds, from the log"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("\nqueue", no_wrap=True)
    counts = [n for n in _COUNTS if n != "cancelled" or any(row.cancelled for row in queues)]
    for name in counts:
        table.add_column(f"\n{name}", justify="right")
    table.add_column("wait, s\np50 / p95", justify="right")
    table.add_column("run, s\np50 / p95", justify="right")
    for row in queues:
        wait, run = _pair(row.wait_p50, row.wait_p95), _pair(row.run_p50, row.run_p95)
        table.add_row(row.queue, *(str(getattr(row, name)) for name in counts), wait, run)
    table.add_section()
    table.add_row("all", *(str(sum(getattr(row, name) for row in queues)) for name in counts))
    return table


def _story(steps: Sequence[Step]) -> Tree:
    first = steps[0]
    title = Text.assemble((first.job_type or "job", "bold"), f" in {first.queue}, {first.job}")
    tree = Tree(title)
    for step in steps:
        tree.add(_line(step))
    return tree


def _line(step: Step) -> Text:
    clock = step.at.isoformat(timespec="milliseconds")[11:23]
    line = Text(f"{clock} +{step.seconds:7.3f} s  ", no_wrap=True, overflow="ellipsis")
    line.append(f"{step.event:<16}", _STYLES.get(step.event, ""))
    if step.attempt:
        line.append(f"attempt {step.attempt}  ")
    if step.detail:
        line.append(f"{step.detail}  ")
    if step.actor:
        # worker:NAME:SESSION: the name is what a reader knows it by.
        line.append("by " + " ".join(step.actor.split(":")[:2]), "dim")
    return line


def _pair(middle: float | None, high: float | None) -> str:
    return "-" if middle is None or high is None else f"{middle:.2f} / {high:.2f}"
