"""The names of fields that payloads have, to complete what is searched for.

They are read from the newest jobs of each queue and state, and nowhere kept: with encryption on no table
may hold them, and what is erased is gone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import vault
from ..events.pool import Connection
from ..events.vault import Vault, VaultError
from ..projections import search_terms
from ..projections.jobs import STATUSES

_JOBS: Final = 300  # that are looked into
_EACH: Final = 12  # of a queue and state at most
_LARGEST: Final = 16 * 1024  # bytes of a payload
_FRESH: Final = 10.0  # s
_KEPT: Final = 32  # sets of queues


class Field(Struct):
    """A path as it is searched for, and how many of the newest jobs have it."""

    path: str
    jobs: int


class FieldNames:
    """What was found a moment ago, by queues: completion asks with every key."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, ...], tuple[float, list[Field]]] = {}

    async def of(self, connection: Connection, opener: Vault, queues: Sequence[int]) -> list[Field]:
        """The most frequent first."""
        key, now = tuple(queues), time.monotonic()
        known = self._found.get(key)
        if known is None or now - known[0] > _FRESH:
            if len(self._found) >= _KEPT:
                self._found.clear()
            known = self._found[key] = (now, await _read(connection, opener, queues))
        return known[1]


async def _read(connection: Connection, opener: Vault, queues: Sequence[int]) -> list[Field]:
    each = max(1, min(_EACH, 2 * _JOBS // max(1, len(queues) * len(STATUSES))))
    given = {"queues": list(queues), "statuses": list(STATUSES), "each": each, "most": _JOBS}
    jobs = [row[0] for row in await (await connection.execute(sql.load("job_samples"), given)).fetchall()]
    asked = {"jobs": jobs, "most": _LARGEST}
    rows = await (await connection.execute(sql.load("search_bodies"), asked, binary=True)).fetchall()
    counted = Counter(path for row in rows for path in _paths(opener, row))
    return [Field(path, count) for path, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]


def _paths(opener: Vault, row: Sequence[Any]) -> list[str]:
    """Of a row of search_bodies; nothing of what cannot be opened, or is too large."""
    job, slot, _, kek, salt, wrapped, body = row
    if slot != vault.PAYLOAD or body is None:
        return []
    try:
        key = opener.key_of(UUID(str(job)).bytes, salt, kek, wrapped)
        return search_terms.paths(key.open(slot, body))
    except (VaultError, msgspec.DecodeError):
        return []
