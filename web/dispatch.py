"""From an ASGI scope to an endpoint: who is it, may they, what came of it.

Every path but the static files passes here, so an endpoint that nobody protected cannot exist: an
Endpoint says its scope or says None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from .answers import Answer, packed
from .behind import wait_for_projections
from .callers import Caller
from .endpoint import Endpoint
from .errors import Problem, answer_of, problem_of, unknown_queue
from .requests import Call, query_of
from .services import Services

ANONYMOUS: Final = Caller("anonymous", frozenset())


class Dispatch:
    """The endpoints of one path, by method."""

    def __init__(self, services: Callable[[], Services], endpoints: Mapping[str, Endpoint]) -> None:
        self._services = services
        self._endpoints = dict(endpoints)
        if "GET" in endpoints:
            self._endpoints.setdefault("HEAD", endpoints["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except asyncio.CancelledError:
            # The server stops and waits no longer. Left to itself it would call that our mistake (500).
            await answer_of(Problem("overloaded", "the server is stopping; try again")).send(send)
            raise
        except Exception as error:
            answer = answer_of(problem_of(error))
        # Streams and files send themselves.
        if type(answer) is Answer:
            answer = packed(answer, dict(scope["headers"]).get(b"accept-encoding", b""))
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        services = self._services()
        endpoint = self._endpoints.get(scope["method"])
        call = Call(services, scope, receive, ANONYMOUS, scope.get("path_params") or {})
        if endpoint is not None and endpoint.scope is None:
            call.caller = await _known_or_anonymous(services, call)
        else:
            call.caller = await required_caller(services, call)
        if endpoint is None:
            raise self._not_allowed(scope["method"])
        authorize(call, endpoint)
        if scope["query_string"] and "after_position" in call.query:
            await wait_for_projections(services, call)
        return await endpoint.run(call)

    def _not_allowed(self, method: str) -> Problem:
        allowed = ", ".join(sorted(self._endpoints))
        return Problem(
            "method_not_allowed", f"{method[:20]} is not possible here",
            {"allowed": sorted(self._endpoints)}, headers=((b"allow", allowed.encode()),),
        )  # fmt: skip


async def required_caller(services: Services, call: Call) -> Caller:
    """Raises Problem for nobody, and for a write that another site's page may have sent."""
    caller = await services.auth.caller(call.scope, call.headers)
    if caller is None:
        raise Problem("unauthenticated", "log in, or send Authorization: Bearer <token>")
    services.auth.require_origin(call.scope, call.headers, caller)
    return caller


async def _known_or_anonymous(services: Services, call: Call) -> Caller:
    """For open endpoints: health must answer whatever is wrong with a credential or the database."""
    try:
        return await services.auth.caller(call.scope, call.headers) or ANONYMOUS
    except Exception:
        return ANONYMOUS


def authorize(call: Call, endpoint: Endpoint) -> None:
    """The scope, and the queue in the path. Raises Problem."""
    if endpoint.scope is None:
        return
    if not call.caller.holds(endpoint.scope):
        raise Problem("forbidden", f"this needs the scope {endpoint.scope}", {"scope": endpoint.scope})
    queue = call.params.get("queue")
    if queue is not None and not call.caller.sees(queue):
        raise unknown_queue(queue)


class NotFound:
    """Whatever no route matches. Strangers learn nothing about which paths there are."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4404})
            return
        services = self._services()
        try:
            await required_caller(services, Call(services, scope, receive, ANONYMOUS, {}))
            problem = Problem("not_found", "there is nothing here", {"path": scope["path"][:200]})
        except Exception as error:
            problem = problem_of(error)
        await answer_of(problem).send(send)


__all__ = ["ANONYMOUS", "Dispatch", "NotFound", "authorize", "query_of", "required_caller"]
