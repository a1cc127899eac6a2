"""The API without a wire: the endpoints that `serve` answers with, called in this process.

So a direct client and one over HTTP cannot disagree about what an answer looks like. Only what needs a
server (the feed, logins, the worker protocol) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlencode

import msgspec

from ..broker.actions import Actions
from ..broker.drain import Drains
from ..broker.engine import Engine
from ..events import signfile
from ..events.beginnings import Beginnings
from ..events.names import Names
from ..events.pool import Pool
from ..events.vault import Vault
from ..projections.day import Day
from ..projections.series import Series
from ..settings import Settings
from ..web import (
    actions_api,
    config_api,
    erasure_api,
    events_api,
    failures_api,
    jobs,
    lists,
    queues,
    scaling_api,
    series_api,
    stats_api,
    why_api,
)
from ..web.behind import wait_for_projections
from ..web.callers import SCOPES, Caller
from ..web.endpoint import Endpoint
from ..web.errors import problem_of
from ..web.found_jobs import FoundJobs
from ..web.requests import Call
from .errors import error_of

if TYPE_CHECKING:
    from starlette.types import Message

    from ..web.services import Services

_ENDPOINTS: Final = (
    *jobs.ENDPOINTS, *lists.ENDPOINTS, *stats_api.ENDPOINTS, *queues.ENDPOINTS, *events_api.ENDPOINTS,
    *failures_api.ENDPOINTS, *config_api.ENDPOINTS, *scaling_api.ENDPOINTS, *series_api.ENDPOINTS,
    *why_api.ENDPOINTS, *erasure_api.ENDPOINTS, *actions_api.ENDPOINTS,
)  # fmt: skip


class _Part:
    """What these endpoints use of the server's services."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.settings: Settings = engine.settings
        self.pool: Pool = engine.pool
        self.names: Names = engine.names
        self.vault: Vault = engine.vault
        self.beginnings = Beginnings(engine.pool)
        self.series, self.day = Series(), Day()
        engine.new_epoch += [self.series.forget, self.day.forget]
        self.signing = signfile.ring_here(engine.settings.signing_keys, engine.settings.data)
        self.drains = Drains(engine.appender, engine.names, engine.pool)
        finder = FoundJobs(engine.pool, engine.names, engine.vault)
        self.actions = Actions(engine.appender, engine.names, engine.pool, engine.vault, finder)


class LocalApi:
    """Answers calls as the server would a caller who may do everything."""

    def __init__(self, engine: Engine, actor: str) -> None:
        self._part = _Part(engine)
        self._caller = Caller(actor, SCOPES)

    async def stop(self) -> None:
        """A drain that is still at work is left to the next process."""
        await self._part.drains.stop()
        await self._part.actions.stop()

    async def call(self, method: str, path: str, query: Mapping[str, Any], body: bytes) -> bytes:
        """The body of the answer. Raises HivelogError."""
        endpoint, params = _found(method, path)
        scope = {
            "type": "http", "method": method, "path": path, "headers": [],
            "query_string": urlencode(query).encode(),
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        services = cast("Services", self._part)
        call = Call(services, scope, receive, self._caller, params)
        try:
            if "after_position" in query:
                await wait_for_projections(services, call)
            return (await endpoint.run(call)).body
        except Exception as error:
            problem = problem_of(error)
            raise error_of(problem.code, problem.message, problem.detail) from error


def _found(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    parts = path.split("/")
    for endpoint, pattern in _patterns():
        if endpoint.method != method or len(pattern) != len(parts):
            continue
        pairs = list(zip(pattern, parts, strict=True))
        if all(wanted == given or wanted.startswith("{") for wanted, given in pairs):
            return endpoint, {w[1:-1]: unquote(g) for w, g in pairs if w.startswith("{")}
    raise error_of("not_found", "there is nothing here", {"path": path})


@cache
def _patterns() -> list[tuple[Endpoint, list[str]]]:
    return [(endpoint, endpoint.path.split("/")) for endpoint in _ENDPOINTS]


def encoded(body: Any) -> bytes:
    """A request's body; nothing for None."""
    return b"" if body is None else msgspec.json.encode(body)
