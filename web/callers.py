"""Who asks, and what they may: roles of people, scopes of tokens, limits to queues.

Pure: `auth` finds out who it is, this decides what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

SCOPES: Final = frozenset({"produce", "work", "read", "operate", "admin"})
# What a role means in scopes. An admin may everything that a token may.
ROLES: Final[Mapping[str, frozenset[str]]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "produce", "operate"}),
    "admin": SCOPES,
}


class Caller(Struct, frozen=True):
    """Somebody known. `actor` is their name in the log; `queues` None: all.

    `ambient` means that a browser sends the proof of identity by itself, so that a write needs proof
    of its origin too. `session` is the hash of the cookie, for streams that must end with it.
    """

    actor: str
    scopes: frozenset[str]
    queues: frozenset[str] | None = None
    ambient: bool = False
    session: bytes | None = None

    def may(self, scope: str, queue: str | None = None) -> bool:
        """Whether the caller has the scope, for this queue or (None) without naming one."""
        return self.holds(scope) and (queue is None or self.sees(queue))

    def holds(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def sees(self, queue: str) -> bool:
        return self.queues is None or queue in self.queues

    @property
    def role(self) -> str:
        """The highest role whose scopes the caller has; for the page's buttons."""
        for role in ("admin", "operator"):
            if ROLES[role] <= self.scopes:
                return role
        return "viewer"


def person(name: str, role: str, *, ambient: bool, session: bytes | None = None) -> Caller:
    """A person in a role. Raises KeyError for an unknown one."""
    return Caller(f"user:{name}", ROLES[role], ambient=ambient, session=session)
