"""Checks of single values that come from outside; each answers the value or raises InvalidField."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from re import Pattern
from typing import TypeVar

from . import times

_T = TypeVar("_T")


class InvalidField(ValueError):
    """A value that may not be stored: `field` as the caller named it, `reason` as a clause."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


def whole(field: str, value: object, low: int, high: int) -> int:
    # `True` is an int to Python, but not to whoever reads the job.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidField(field, f"must be a whole number from {low} to {high}")
    return value


def optional_whole(field: str, value: object, low: int, high: int) -> int | None:
    return None if value is None else whole(field, value, low, high)


def text(field: str, value: object, longest: int) -> str:
    """1 to `longest` characters; neither NUL nor lone surrogates, which PostgreSQL cannot store."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise InvalidField(field, f"must be a text of 1 to {longest} characters")
    if "\0" in value:
        raise InvalidField(field, "must not contain NUL")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidField(field, "must be valid Unicode")
    return value


def matching(field: str, value: object, pattern: Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidField(field, f"must match ^{pattern.pattern}$")
    return value


def choice(field: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise InvalidField(field, f"must be {' or '.join(known)}")
    return value


def instant(field: str, value: object) -> int:
    """An RFC 3339 text or an aware datetime -> milliseconds."""
    try:
        if isinstance(value, datetime):
            return times.from_datetime(value)
        if isinstance(value, str):
            return times.from_text(value)
    except ValueError as error:
        raise InvalidField(field, str(error)) from None
    raise InvalidField(field, "must be an RFC 3339 time")


def mapping(field: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidField(field, "must be an object")
    return value


def refuse_unknown(given: Mapping[str, object], known: Mapping[str, _T], within: str = "") -> None:
    for name in given:
        if name not in known:
            raise InvalidField(f"{within}{name}"[:200], "is not a known field")
