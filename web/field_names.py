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

from msgspec import Struct

from .. import sql
from ..events.pool import Connection
from ..events.vault import Vault, VaultError
from ..projections import search_terms
from ..projections.jobs import STATUSES
from ..projections.jobs_at import highest_id
from ..projections.moments import Moment

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
        self._found: dict[tuple[Moment | None, tuple[int, ...]], tuple[float, list[Field]]] = {}

    def forget(self) -> None:
        """Look again at the next question."""
        self._found.clear()

    async def of(
        self, connection: Connection, opener: Vault, queues: Sequence[int], moment: Moment | None = None
    ) -> list[Field]:
        """The most frequent first, now or at a moment."""
        key, now = (moment, tuple(queues)), time.monotonic()
        known = self._found.get(key)
        if known is None or now - known[0] > _FRESH:
            if len(self._found) >= _KEPT:
                self._found.clear()
            known = self._found[key] = (now, await _read(connection, opener, queues, moment))
        return known[1]


async def _read(
    connection: Connection, opener: Vault, queues: Sequence[int], moment: Moment | None
) -> list[Field]:
    jobs = await _samples(connection, queues, moment)
    asked = {"jobs": jobs, "most": _LARGEST, "position": None if moment is None else moment.position}
    rows = await (await connection.execute(sql.load("field_bodies"), asked, binary=True)).fetchall()
    counted = Counter(path for row in rows for path in _paths(opener, row))
    return [Field(path, count) for path, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]


async def _samples(connection: Connection, queues: Sequence[int], moment: Moment | None) -> list[UUID]:
    each = max(1, min(_EACH, 2 * _JOBS // max(1, len(queues) * len(STATUSES))))
    given = {"queues": list(queues), "statuses": list(STATUSES), "each": each, "most": _JOBS}
    if moment is not None:
        given |= {**moment.parameters, "high": highest_id(moment)}
    query = sql.load("job_samples" if moment is None else "job_samples_at")
    return [row[0] for row in await (await connection.execute(query, given)).fetchall()]


def _paths(opener: Vault, row: Sequence[Any]) -> list[str]:
    """Of a row of field_bodies; nothing of what cannot be opened, or is too large."""
    job, slot, kek, salt, wrapped, body = row
    if body is None:
        return []
    try:
        key = opener.key_of(UUID(str(job)).bytes, salt, kek, wrapped)
        return search_terms.paths(key.open(slot, body))
    except (VaultError, *search_terms.UNREADABLE):
        return []
