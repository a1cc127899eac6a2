"""Logging in and out: a token or a one-time code becomes a session cookie."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from ..events import types
from ..events.batch import Part, Record
from ..events.ids import to_text
from ..events.names import SYSTEM_STREAM
from .access import SESSION_DAYS, Login, digest
from .answers import Answer, json
from .auth import COOKIE, cookie_of
from .callers import Caller
from .endpoint import Endpoint
from .errors import Problem
from .requests import Call
from .services import Services


class Credential(Struct, forbid_unknown_fields=True):
    """A token, or the code of a one-time link."""

    token: str


class Me(Struct):
    """Who is asking. `scopes` say what the page may offer."""

    user: str
    role: str
    scopes: list[str]


_credential: Final = msgspec.json.Decoder(Credential)


async def login(call: Call) -> Answer:
    services = call.services
    asked = await call.read(_credential)
    # A form of another site must not log this browser in as somebody else.
    if call.headers.keys() & {b"origin", b"sec-fetch-site"} and not services.auth.same_origin(
        call.scope, call.headers
    ):
        raise Problem("forbidden", "log in from this site's own page")
    if not services.attempts.take(services.auth.client_address(call.scope, call.headers)):
        raise Problem("too_many", "too many attempts; wait a minute")
    name, role, method = await _identify(services, asked.token.strip())
    made = await services.access.open_session(name, role)
    if (old := cookie_of(call.headers)) is not None:
        await _close(services, digest(old))
    await _record(services, made, method)
    return json(_me(made.caller), 200, (_cookie(call, made.secret),))


async def _identify(services: Services, token: str) -> tuple[str, str, str]:
    """(name, role, method). Raises Problem; a wrong code and a wrong token read the same."""
    if services.auth.is_admin_token(token):
        return "admin", "admin", "token"
    if (redeemed := await services.access.redeem(token)) is not None:
        return *redeemed, "link"
    found = await services.access.token(digest(token))
    if found is None or found.queues is not None:
        raise Problem("unauthenticated", "that token or link is not valid (any more)")
    return found.actor.removeprefix("token:"), found.role, "token"


async def _record(services: Services, made: Login, method: str) -> None:
    actor = await services.names.actor_id(made.caller.actor)
    data = types.encode(types.SessionOpened(made.caller.actor.removeprefix("user:"), method))
    record = Record(
        stream=to_text(SYSTEM_STREAM), event="session_opened", actor=actor, data=msgspec.Raw(data or b"{}")
    )
    await services.appender.submit(Part(records=[record]))


async def logout(call: Call) -> Answer:
    if call.caller.session is not None:
        await _close(call.services, call.caller.session)
    return json({"message": "Logged out"}, 200, (_cookie(call, ""),))


async def _close(services: Services, hashed: bytes) -> None:
    await services.access.close_session(hashed)
    services.auth.forget(hashed)


def _cookie(call: Call, secret: str) -> tuple[bytes, bytes]:
    """HttpOnly, so no script reads it; Lax, so other sites' writes come without it."""
    path = call.scope.get("root_path") or "/"
    age = SESSION_DAYS * 86_400 if secret else 0
    text = f"{COOKIE}={secret}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax"
    if call.services.auth.is_https(call.scope, call.headers):
        text += "; Secure"
    return b"set-cookie", text.encode()


async def me(call: Call) -> Answer:
    call.allow()
    return json(_me(call.caller))


def _me(caller: Caller) -> Me:
    return Me(caller.actor, caller.role, sorted(caller.scopes))


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/login", run=login, scope=None, tag="access", body=Credential, answer=Me,
        summary="Trade a token or a one-time code for a session cookie.",
    ),
    Endpoint(
        method="POST", path="/logout", run=logout, scope="read", tag="access",
        summary="End the session of this cookie.",
    ),
    Endpoint(
        method="GET", path="/me", run=me, scope="read", tag="access", answer=Me, summary="Who is asking.",
    ),
)  # fmt: skip
