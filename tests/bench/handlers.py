"""The worker's handlers in the bench: do nothing, and if somebody listens, tell the job's age."""

from __future__ import annotations

import os
import socket
from typing import Any

from hivelog import JobContext, handler

from .payload import age_of

# The path of a datagram socket; each start sends the job's age in milliseconds to it, as text.
_ECHO = os.environ.get("BENCH_ECHO")
_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if _ECHO else None


@handler("noop", queue="bench")
async def noop(ctx: JobContext, payload: dict[str, Any]) -> dict[str, bool]:
    if _socket and _ECHO:
        _socket.sendto(str(age_of(payload["data"])).encode(), _ECHO)
    return {"ok": True}
