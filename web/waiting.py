"""What a server answers before it can: PostgreSQL is waited for, or the schema is being brought up to date.

`/health/live` is 200, so nobody restarts it for that; `/health/ready` and everything else are 503.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from starlette._utils import get_route_path
from starlette.types import Scope, Send

from ..events import times
from .answers import Answer, json
from .errors import Problem, answer_of
from .health import CHECKS

_TRY_AGAIN: Final = 1013


async def answer_while_waiting(scope: Scope, send: Send) -> None:
    """The answer to any request, and to a WebSocket that wants to be opened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _TRY_AGAIN})
        return
    await _answer(get_route_path(scope)).send(send)


def _answer(path: str) -> Answer:
    match path:
        case "/health/live":
            return json({"status": "healthy"})
        case "/health/ready":
            return json({"status": "starting"}, 503)
        case "/health":
            return _health()
    return answer_of(Problem("database_unavailable", "the server waits for its database; try again"))


def _health() -> Answer:
    """Nothing could be looked at, and the reason is the database."""
    components = {name: {"status": "unhealthy" if name == "database" else "warning"} for name in CHECKS}
    now = times.to_text(times.from_datetime(datetime.now(UTC)))
    return json({"status": "degraded", "timestamp": now, "components": components}, 503)
