"""What `hivelog doctor` finds: one line each, ok, warning or error, with what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

from msgspec import Struct

Level: TypeAlias = Literal["ok", "warning", "error"]


class Finding(Struct, frozen=True, omit_defaults=True):
    """`what` was looked at, `said` is what was seen, `todo` what helps."""

    level: Level
    what: str
    said: str
    todo: str | None = None


Check: TypeAlias = Callable[[], AsyncIterator[Finding]]


def ok(what: str, said: str) -> Finding:
    return Finding("ok", what, said)


def warning(what: str, said: str, todo: str) -> Finding:
    return Finding("warning", what, said, todo)


def error(what: str, said: str, todo: str) -> Finding:
    return Finding("error", what, said, todo)
