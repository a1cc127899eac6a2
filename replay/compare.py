"""What a shadow run came to, held against what was recorded. Pure.

A difference is (path, recorded, now): `total` 3 -> 4; where one side has nothing, MISSING stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

Verdict = Literal["equal", "different", "failed"]
MISSING: Final = "(nothing)"
MOST: Final = 20  # differences of a job that are kept
_LONGEST: Final = 60  # characters of a value that is shown


class Came(Struct, frozen=True):
    """How an attempt ended. `result` is JSON; `error` its type and message, None: it completed; `fingerprint`
    says which failures are one and the same."""

    result: bytes | None = None
    error: str | None = None
    fingerprint: str | None = None


class Difference(Struct, frozen=True):
    path: str
    recorded: str
    now: str


def compare(recorded: Came, now: Came, ignored: Collection[str] = ()) -> tuple[Verdict, list[Difference]]:
    """`ignored` paths do not count, nor does what is below them; a * stands for any one name or number.
    Failed: it completed then and does not now."""
    if now.error is not None:
        if recorded.error is None:
            return "failed", [Difference("", "completed", _short(now.error))]
        if recorded.fingerprint == now.fingerprint:
            return "equal", []
        return "different", [Difference("", _short(recorded.error), _short(now.error))]
    if recorded.error is not None:
        return "different", [Difference("", _short(recorded.error), "completed")]
    patterns = [path.split(".") for path in ignored]
    found = [d for d in differences(_value(recorded.result), _value(now.result)) if not _ignores(patterns, d)]
    return ("different" if found else "equal"), found[:MOST]


def _value(result: bytes | None) -> Any:
    return None if result is None else msgspec.json.decode(result)


def _ignores(patterns: list[list[str]], found: Difference) -> bool:
    parts = found.path.split(".")
    return any(
        len(pattern) <= len(parts) and all(p in ("*", part) for p, part in zip(pattern, parts, strict=False))
        for pattern in patterns
    )


def differences(recorded: Any, now: Any, path: str = "") -> Iterator[Difference]:
    """Leaf by leaf, in the order of the recorded value. 1 and true are not the same, 1 and 1.0 are."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for name in [*recorded, *(name for name in now if name not in recorded)]:
            yield from _either(recorded, now, name, f"{path}.{name}" if path else name)
    elif isinstance(recorded, list) and isinstance(now, list):
        there, here = dict(enumerate(recorded)), dict(enumerate(now))
        for index in range(max(len(there), len(here))):
            yield from _either(there, here, index, f"{path}.{index}" if path else str(index))
    elif recorded != now or isinstance(recorded, bool) != isinstance(now, bool):
        yield Difference(path, _text(recorded), _text(now))


def _either(recorded: Any, now: Any, name: Any, path: str) -> Iterator[Difference]:
    if name not in recorded:
        yield Difference(path, MISSING, _text(now[name]))
    elif name not in now:
        yield Difference(path, _text(recorded[name]), MISSING)
    else:
        yield from differences(recorded[name], now[name], path)


def _text(value: Any) -> str:
    return _short(msgspec.json.encode(value).decode())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
