"""How commands print: tables and words for people, JSON for programs, progress to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

STATUS_STYLES = {
    "pending": "cyan",
    "queued": "cyan",
    "processing": "blue",
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "magenta",
    "cancelling": "magenta",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}

_ID = 36  # characters of a job's id
_PIPE_WIDTH = 240  # characters; nobody folds a line for a program

Report = Callable[[int, int], None]


def out() -> Console:
    """For what was asked for. Made anew: tests and pipes exchange the stream."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def err() -> Console:
    """For everything about it."""
    return Console(file=sys.stderr, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document, laid out for reading."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    sys.stdout.flush()


def print_line(value: Any) -> None:
    """One JSON document on one line, for a stream of them."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """One value as it is, for a shell to take."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A sentence with markup of ours; other people's texts must be escaped."""
    out().print(text, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """A sentence about how it goes."""
    err().print(text, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A table, or a sentence where there is nothing.

    A column that starts with > is a number; one that starts with = is not to be broken: an id, to copy.
    """
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        justify: JustifyMethod = "right" if column.startswith(">") else "left"
        whole = column.startswith("=")
        name = column.lstrip(">=")
        shown.add_column(name, justify=justify, overflow="fold", min_width=_ID if whole else None)
    count = 0
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
        count += 1
    if count:
        out().print(shown)
    else:
        say(empty)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    text = escape(str(value))
    style = STATUS_STYLES.get(text)
    return f"[{style}]{text}[/]" if style else text


def clock(text: str | None) -> str:
    """A time of the API as people read it: seconds, in UTC, without a day when it is today."""
    if not text:
        return "-"
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    today = moment.date() == datetime.now(UTC).date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def json_text(value: Any) -> str:
    """Compact JSON for a cell."""
    return msgspec.json.encode(value).decode()


@contextlib.contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Report]:
    """A bar on stderr: `report(done, total)`. Not drawn for programs: when quiet, or no terminal."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=err(), transient=True, disable=quiet or not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(total, done))


@contextlib.contextmanager
def busy(what: str, *, quiet: bool = False) -> Iterator[None]:
    """A spinner on stderr, for what has no measure."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    with err().status(what):
        yield
