"""Every endpoint there is, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from . import (
    config_api,
    enqueueing,
    events_api,
    health,
    jobs,
    lists,
    login,
    metrics,
    openapi,
    pages,
    queues,
    scaling_api,
    stats_api,
    worker_claims,
    worker_protocol,
)
from .dispatch import Dispatch, NotFound
from .endpoint import Endpoint
from .services import Services
from .socket import StatusSocket

# The hot path first: routes are tried in order. `/queue/status` comes before `/queue/{queue}`.
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *enqueueing.ENDPOINTS,
    *worker_claims.ENDPOINTS,
    *worker_protocol.ENDPOINTS,
    *jobs.ENDPOINTS,
    *lists.ENDPOINTS,
    *stats_api.ENDPOINTS,
    *queues.ENDPOINTS,
    *scaling_api.ENDPOINTS,
    *events_api.ENDPOINTS,
    *config_api.ENDPOINTS,
    *health.ENDPOINTS,
    *metrics.ENDPOINTS,
    *login.ENDPOINTS,
    *openapi.ENDPOINTS,
    *pages.ENDPOINTS,
)


def router(services: Callable[[], Services]) -> Router:
    """One route a path; the method is the dispatcher's business, so that 405 has our error shape too."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes: list[BaseRoute] = [
        Route(path, Dispatch(services, methods)) for path, methods in by_path.items()
    ]
    routes.append(WebSocketRoute("/queue/status", StatusSocket(services)))
    routes.append(Route("/static/{path:path}", pages.StaticFiles()))
    made = Router(routes, redirect_slashes=False)
    made.default = NotFound(services)
    return made
