"""Every endpoint there is, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from . import (
    actions_api,
    audit_api,
    config_api,
    enqueueing,
    erasure_api,
    events_api,
    failures_api,
    fields_api,
    health,
    incidents,
    jobs,
    lists,
    login,
    metrics,
    openapi,
    pages,
    queues,
    scaling_api,
    schemas_api,
    series_api,
    stats_api,
    why_api,
    worker_claims,
    worker_protocol,
)
from .dispatch import Dispatch, NotFound
from .endpoint import Endpoint
from .services import Services
from .socket import StatusSocket
from .static_files import StaticFiles

# The hot path first: routes are tried in order. `/queue/status` comes before `/queue/{queue}`.
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *enqueueing.ENDPOINTS,
    *worker_claims.ENDPOINTS,
    *worker_protocol.ENDPOINTS,
    *jobs.ENDPOINTS,
    *why_api.ENDPOINTS,
    *erasure_api.ENDPOINTS,
    *lists.ENDPOINTS,
    *actions_api.ENDPOINTS,
    *stats_api.ENDPOINTS,
    *series_api.ENDPOINTS,
    *queues.ENDPOINTS,
    *scaling_api.ENDPOINTS,
    *schemas_api.ENDPOINTS,
    *events_api.ENDPOINTS,
    *failures_api.ENDPOINTS,
    *fields_api.ENDPOINTS,
    *audit_api.ENDPOINTS,
    *incidents.ENDPOINTS,
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
    routes.append(Route("/static/{version}/{path:path}", StaticFiles()))
    made = Router(routes, redirect_slashes=False)
    made.default = NotFound(services)
    return made
