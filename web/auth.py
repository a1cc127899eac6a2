"""Who is the caller: the one place that decides it, for requests, streams and WebSockets.

In this order: `Authorization: Bearer`, identity headers of a trusted proxy, session cookie. A wrong
token is refused and never falls through to the cookie beside it.
"""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from .access import Access, digest
from .callers import ROLES, SCOPES, Caller, person
from .errors import Problem

COOKIE: Final = "hivelog_session"
# A revoked token or a closed session of another process works at most this long.
_CACHED_SECONDS: Final = 2.0
_CACHE_SIZE: Final = 1024
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Headers = Mapping[bytes, bytes]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Authenticator:
    """Finds the caller of a scope. Holds hashes of secrets only."""

    def __init__(self, access: Access, admin_token: str | None, trusted_proxies: tuple[str, ...]) -> None:
        self.access = access
        self._admin = None if admin_token is None else digest(admin_token)
        self._admin_caller = Caller("token:admin", SCOPES)
        self._proxies: tuple[Network, ...] = tuple(
            ipaddress.ip_network(text, strict=False) for text in trusted_proxies
        )
        self._known: dict[bytes, tuple[float, Caller | None]] = {}

    async def caller(self, scope: Scope, headers: Headers) -> Caller | None:
        """Who it is, None for nobody. Raises Problem for a credential that is wrong."""
        authorization = headers.get(b"authorization")
        if authorization is not None:
            return await self._bearer(authorization)
        if self._proxies and (identified := self._identified(scope, headers)) is not None:
            return identified
        secret = cookie_of(headers)
        return None if secret is None else await self._cached(digest(secret), session=True)

    async def _bearer(self, authorization: bytes) -> Caller:
        kind, _, token = authorization.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem("unauthenticated", "the Authorization header must be: Bearer <token>")
        hashed = digest(token.strip())
        if self._admin is not None and hmac.compare_digest(hashed, self._admin):
            return self._admin_caller
        found = await self._cached(hashed, session=False)
        if found is None:
            raise Problem("unauthenticated", "the token is unknown, expired or revoked")
        return found

    def is_admin_token(self, token: str) -> bool:
        return self._admin is not None and hmac.compare_digest(digest(token), self._admin)

    async def _cached(self, hashed: bytes, *, session: bool) -> Caller | None:
        """Looked up by hash, so that timing tells nothing about a secret."""
        now = time.monotonic()
        known = self._known.get(hashed)
        if known is not None and now - known[0] < _CACHED_SECONDS:
            return known[1]
        found = await (self.access.session if session else self.access.token)(hashed)
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[hashed] = (now, found)
        return found

    def forget(self, hashed: bytes) -> None:
        """The session was closed here."""
        self._known.pop(hashed, None)

    def behind_proxy(self, scope: Scope) -> bool:
        """Whether the peer itself is a proxy that TRUSTED_PROXIES names."""
        client = scope.get("client")
        if not client or not self._proxies:
            return False
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _identified(self, scope: Scope, headers: Headers) -> Caller | None:
        if not self.behind_proxy(scope):
            return None
        name = headers.get(b"x-user-id", b"").decode("latin-1").strip()
        if not name:
            return None
        role = headers.get(b"x-user-role", b"viewer").decode("latin-1").strip().lower()
        if role not in ROLES or len(name) > 200 or not name.isprintable():
            raise Problem("forbidden", "the proxy names a role that there is not")
        return person(name, role, ambient=True)

    def client_address(self, scope: Scope, headers: Headers) -> str:
        """Whom to count attempts by; a proxy's word counts only when it is trusted."""
        peer = str((scope.get("client") or ("local",))[0])
        forwarded = headers.get(b"x-forwarded-for")
        if forwarded and self.behind_proxy(scope):
            return forwarded.decode("latin-1").rsplit(",", 1)[-1].strip()[:64]
        return peer

    def is_https(self, scope: Scope, headers: Headers) -> bool:
        if self.behind_proxy(scope) and (proto := headers.get(b"x-forwarded-proto")):
            return proto.split(b",")[0].strip() in (b"https", b"wss")
        return str(scope.get("scheme")) in ("https", "wss")

    def same_origin(self, scope: Scope, headers: Headers) -> bool:
        """Whether a browser says that the request comes from our own page.

        Browsers send Origin with every write and every WebSocket, and pages cannot forge it.
        """
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site") in (b"same-origin", b"none")
        if headers.get(b"sec-fetch-site", b"same-origin") != b"same-origin":
            return False
        host = headers.get(b"host", b"")
        if self.behind_proxy(scope):
            host = headers.get(b"x-forwarded-host", host).split(b",")[0].strip()
        return urlsplit(origin.decode("latin-1")).netloc == host.decode("latin-1") != ""

    def require_origin(self, scope: Scope, headers: Headers, caller: Caller) -> None:
        """Cookie and proxy identity travel by themselves, so a write needs proof. Raises Problem."""
        if not caller.ambient or scope.get("method", "GET") in _SAFE:
            return
        # A program behind an identity proxy is no browser and sends neither header.
        program = caller.session is None and not {b"origin", b"sec-fetch-site"} & headers.keys()
        if not program and not self.same_origin(scope, headers):
            raise Problem("forbidden", "a write by cookie must come from this site's own pages")


def cookie_of(headers: Headers) -> str | None:
    """The session's secret out of the Cookie header."""
    raw = headers.get(b"cookie")
    if raw is None:
        return None
    for pair in raw.decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None


class Attempts:
    """How often an address may try to log in: a few times at once, then one every few seconds."""

    def __init__(self, burst: int = 10, every_seconds: float = 6.0) -> None:
        self._burst, self._every = burst, every_seconds
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> bool:
        now = time.monotonic()
        left, at = self._left.get(address, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) / self._every)
        if len(self._left) > 10_000:
            self._left.clear()
        self._left[address] = (left - 1 if left >= 1 else left, now)
        return left >= 1
