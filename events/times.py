"""Instants: whole milliseconds since 1970 UTC inside, RFC 3339 with milliseconds and `Z` outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
# fromisoformat takes week dates, missing offsets and more; RFC 3339 does not.
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_text(instant: int) -> str:
    """1700000000123 -> "2023-11-14T22:13:20.123Z"."""
    moment = _EPOCH + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def from_text(text: str) -> int:
    """RFC 3339 with any offset -> milliseconds, finer digits cut off. Raises ValueError."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time, such as 2030-01-31T09:00:00Z")
    return from_datetime(datetime.fromisoformat(text.upper()))


def from_datetime(moment: datetime) -> int:
    """An aware datetime from 1970 on -> milliseconds. Raises ValueError."""
    if moment.utcoffset() is None:
        raise ValueError("must name its time zone")
    instant = (moment - _EPOCH) // _MILLISECOND
    if not 0 <= instant <= _LAST:
        raise ValueError("must be from 1970 to 9999")
    return instant


def milliseconds(moment: datetime) -> int:
    """A timestamptz of ours (whole milliseconds, any zone) -> milliseconds."""
    return round(moment.timestamp() * 1000)
