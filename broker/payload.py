"""Payloads on their way in: JSON of bounded size and depth that every reader can take.

The usual payload is encoded once and looked at as bytes; only what looks suspicious is walked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from .errors import Rejected, invalid

MAX_DEPTH: Final = 64
_U: Final = ord("u")  # a number is looked for ten times faster than a text of one letter

_encode = msgspec.json.Encoder().encode


def encode(payload: object, limit: int) -> bytes:
    """The payload as compact JSON of at most `limit` bytes. Raises Rejected.

    Anything that msgspec encodes will do, also `msgspec.Raw` (JSON text from outside, which is
    checked and made compact).
    """
    if isinstance(payload, msgspec.Raw):
        payload = _parsed(payload)
    try:
        text = _encode(payload)
    except RecursionError:
        raise _too_deep() from None
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid("payload", f"cannot be written as JSON: {error}"[:200]) from None
    size = len(text)
    if size > limit:
        message = f"the payload has {size} bytes, and at most {limit} are allowed"
        raise Rejected("too_large", message, {"size": size, "limit": limit})
    if (size > 2 * MAX_DEPTH or _U in text) and _suspicious(text):
        _inspect(msgspec.to_builtins(payload), 0)
    return text


def _suspicious(text: bytes) -> bool:
    """May it hold NUL, a NaN, or too many levels? A level takes two bytes; `null` and NUL both have a u."""
    if _U in text and (b"null" in text or b"\\u0000" in text):
        return True
    return len(text) > 2 * MAX_DEPTH and text.count(b"[") + text.count(b"{") > MAX_DEPTH


def _parsed(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Rejected("invalid_json", f"the payload is not JSON: {error}"[:200]) from None


def _too_deep() -> Rejected:
    return invalid("payload", f"must not be nested deeper than {MAX_DEPTH} levels")


def _inspect(value: Any, depth: int) -> None:
    """What bytes cannot tell: NUL in a text (not only its escape), a NaN that became null, depth."""
    if isinstance(value, str):
        if "\0" in value:
            raise invalid("payload", "must not contain NUL")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise invalid("payload", "must not contain NaN or Infinity, which JSON does not know")
    elif isinstance(value, dict):
        _inspect_all((*value.keys(), *value.values()), depth + 1)
    elif isinstance(value, list | tuple):
        _inspect_all(value, depth + 1)


def _inspect_all(values: Iterable[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep()
    for value in values:
        _inspect(value, depth)
