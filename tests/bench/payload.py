"""What every contender carries: the same 100 bytes of JSON, and a form that tells its birth."""

from __future__ import annotations

import json
import time

SIZE = 100
_FRAME = len(b'{"data": ""}')
PAYLOAD = b'{"data": "' + b"x" * (SIZE - _FRAME) + b'"}'
assert len(PAYLOAD) == SIZE


def stamped() -> bytes:
    """A payload of SIZE bytes holding time.monotonic_ns(), one clock for a whole host."""
    body = str(time.monotonic_ns())
    return b'{"data": "' + body.ljust(SIZE - _FRAME, "x").encode() + b'"}'


def age_ms(payload: bytes) -> float:
    """Milliseconds since `stamped` made this payload."""
    born = int(json.loads(payload)["data"].rstrip("x"))
    return (time.monotonic_ns() - born) / 1e6
