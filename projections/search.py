"""Keeps `hivelog.search` up with the log: a duty of a process that can open the vault.

    indexer = Indexer(pool, vault)
    appender.listeners.append(lambda appended: indexer.wake())
    await indexer.run()

For each job that an event may have changed, the terms are made anew from what the vault holds now, and
replaced. So nothing depends on the order of steps, a second look does no harm, and what was erased is gone.
Nobody waits for it: it takes a quarter of one processor at most, and trails the log when there is more to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from msgspec import Struct

from .. import sql
from ..events import vault
from ..events.pool import Connection, Pool
from ..events.vault import JobKey, Vault, VaultError
from . import search_terms

_log = structlog.get_logger(__name__)

STEP: Final = 1000  # positions
LARGEST: Final = 256 * 1024  # bytes of a body that is looked into
_SLICE: Final = 50  # jobs whose bodies are held, and worked on without a pause
_POLL: Final = 1.0  # s
_PAUSE: Final = 0.05  # s between steps, so that a busy log makes larger ones
_SHARE: Final = 3  # rest so many times as long as the work took
_SWEEP_EVERY: Final = 10.0  # s
_SWEEP: Final = 2000  # rows


class State(Struct, frozen=True):
    """Up to where the log was looked through, the key of the hashes, and the log's end."""

    position: int
    kek: int | None
    head: int


async def state(connection: Connection) -> State:
    row = await (await connection.execute(sql.load("search_state"))).fetchone()
    assert row is not None
    return State(*row)


async def restart(connection: Connection, at: State, kek: int | None = None) -> bool:
    """Have the whole log looked through again; what is there stays until then. False: it moved meanwhile."""
    cursor = await connection.execute(
        sql.load("search_restart"), {"position": at.position, "kek": at.kek if kek is None else kek}
    )
    return cursor.rowcount == 1


class Indexer:
    """Follows the log. Any number may run: a step is taken once."""

    def __init__(self, pool: Pool, opener: Vault) -> None:
        self._pool = pool
        self._vault = opener
        self._woken = asyncio.Event()
        self._swept = UUID(int=0)
        self._sweep_at = 0.0

    def wake(self) -> None:
        """There may be something new in the log."""
        self._woken.set()

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            self._woken.clear()
            more = await self.step()
            if began > self._sweep_at:
                self._sweep_at = began + _SWEEP_EVERY
                await self.sweep()
            await asyncio.sleep(max(_PAUSE, _SHARE * (time.monotonic() - began)))
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await self._woken.wait()

    async def catch_up(self) -> None:
        """To the end of the log as it is now, without rest."""
        while await self.step():
            pass

    async def step(self) -> bool:
        """The next positions. True when there may be more at once."""
        async with self._pool.connection() as connection:
            at = await state(connection)
            if self._must_restart(at):
                await restart(connection, at, self._kek())
                return True
            if at.position == at.head:
                return False
            upto = min(at.position + STEP, at.head)
            rows = await connection.execute(sql.load("search_events"), {"after": at.position, "upto": upto})
            jobs = [row[0] for row in await rows.fetchall()]
            terms: list[str] = []
            for start in range(0, len(jobs), _SLICE):
                terms += await self._terms(connection, jobs[start : start + _SLICE])
            step = {"after": at.position, "upto": upto, "jobs": jobs, "terms": terms}
            await connection.execute(sql.load("search_write"), step)
        return True

    def has_key_of(self, at: State) -> bool:
        """False: it lacks the newest key; encrypted jobs would go missing or be hashed under an old one."""
        return (self._kek() or 0) >= (at.kek or 0)

    def _kek(self) -> int | None:
        return self._vault.keys.first.number if self._vault.keys is not None else None

    def _must_restart(self, at: State) -> bool:
        """The log was restored from an older copy; or its jobs have a newer first key, and the old may go.

        Keys are numbered as they come, so that a process that has not got the new one yet changes nothing.
        """
        return at.position > at.head or (self._kek() or 0) > (at.kek or 0)

    async def _terms(self, connection: Connection, jobs: Sequence[UUID]) -> list[str]:
        """A tsvector's text for each job: what it carries, if that can be opened, and the end of its id."""
        given = {"jobs": list(jobs), "most": LARGEST}
        cursor = await connection.execute(sql.load("search_bodies"), given, binary=True)
        carried: dict[UUID, list[Any]] = {}
        for row in await cursor.fetchall():
            carried.setdefault(row[0], []).append(row[1:])
        found = [(job, self._vector(job, carried.get(job, []))) for job in jobs]
        return [f"{vector} {search_terms.tail(str(job))}".lstrip() for job, vector in found]

    def _vector(self, job: UUID, rows: list[Any]) -> str:
        if not rows or rows[0][0] != vault.PAYLOAD:
            return ""
        try:
            _, _, kek, salt, wrapped, _ = rows[0]
            key = self._vault.key_of(job.bytes, salt, kek, wrapped)
            payload, errors = _opened(key, rows)
            terms = search_terms.terms_of(payload, errors)
        except (VaultError, *search_terms.UNREADABLE) as error:
            # Its step is written all the same: what can never be read must not stop what can.
            _log.warning("job_not_searchable", job=str(job), error=type(error).__name__)
            return ""
        keys = self._vault.keys
        # A job without a data key was enqueued in plain text and stays so.
        hashed_under = keys.first if kek is not None and keys is not None else None
        return search_terms.vector(terms, hashed_under)

    async def sweep(self) -> None:
        """Forget a slice of what the vault no longer holds: past retention, mostly."""
        async with self._pool.connection() as connection:
            given = {"after": self._swept, "limit": _SWEEP}
            row = await (await connection.execute(sql.load("search_sweep"), given)).fetchone()
        self._swept = (row and row[0]) or UUID(int=0)


def _opened(key: JobKey, rows: list[Any]) -> tuple[bytes | None, list[str]]:
    """The payload, None when it is too large, and the error texts."""
    bodies = [(row[0], None if row[5] is None else key.open(row[0], row[5])) for row in rows]
    errors = [body.decode("utf-8", "replace") for slot, body in bodies[1:] if body is not None]
    return bodies[0][1], errors
