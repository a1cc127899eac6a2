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


def age_of(data: str) -> float:
    """Milliseconds since the payload with this `data` was stamped."""
    return (time.monotonic_ns() - int(data.rstrip("x"))) / 1e6


def age_ms(payload: bytes) -> float:
    """The same, of the encoded payload."""
    return age_of(json.loads(payload)["data"])
