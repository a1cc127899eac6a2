"""Which jobs a bulk action means: its filter, answered from the read models, for the broker's Actions."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from ..broker.action_rules import Selection
from ..events import ids, times
from ..events.names import Names
from ..events.pool import Connection, Pool
from ..events.vault import Vault
from ..projections import search, search_terms
from ..projections.checkpoint import checkpoints
from ..projections.jobs import Filter, count, named, page
from .errors import Problem, invalid
from .job_filter import with_jobs

_LONGEST: Final = 5.0  # s a caller waits for the projections
_LOOK: Final = 0.05


class FoundJobs:
    """A Finder (broker/actions.py)."""

    def __init__(self, pool: Pool, names: Names, sealed: Vault) -> None:
        self._pool, self._names, self._vault = pool, names, sealed

    async def reach(self, position: int, *, search: bool, patient: bool) -> None:
        """Wait until what is found includes everything up to a position. Raises projection_behind."""
        deadline = time.monotonic() + _LONGEST
        while True:
            async with self._pool.connection() as connection:
                if await _reached(connection, position, searched=search):
                    return
            if not patient and time.monotonic() > deadline:
                text = f"the job list has not reached {position} yet"
                raise Problem("projection_behind", text, {"position": position})
            await asyncio.sleep(_LOOK)

    async def count(self, selection: Selection) -> int:
        chosen = await self.filter(selection)
        async with self._pool.connection() as connection:
            return await count(connection, chosen, selection.position, settled=selection.settled)

    async def page(
        self, selection: Selection, after: str | None, limit: int
    ) -> tuple[list[bytes], str | None]:
        chosen = await self.filter(selection)
        async with self._pool.connection() as connection:
            if chosen.ids is not None:
                rows, following = await named(connection, chosen), None
            else:
                found = await page(connection, chosen, limit=limit, after=after)
                rows, following = [(r.id, r.enqueued, r.position) for r in found.rows], found.next
        until = selection.position
        return [
            job for job, enqueued, last in rows
            if enqueued <= until and (not selection.settled or last <= until)
        ], following  # fmt: skip

    async def filter(self, selection: Selection) -> Filter:
        """Names as numbers. Raises Problem for what names nothing or cannot be asked."""
        given = selection.filter
        kind = given.get("type")
        return Filter(
            queues=await self._queues(given, gone=selection.gone), statuses=sorted(selection.statuses),
            type=None if kind is None else await self._names.find_type(kind),
            since=_instant(given, "since"), until=_instant(given, "until"), tag=given.get("tag"),
            source=given.get("source"), correlation=given.get("correlation_id"),
            worker=given.get("worker"), fingerprint=given.get("fingerprint"),
            started=_instant(given, "started_since"), search=self._search(selection.q),
            ids=None if given.get("ids") is None else [ids.from_text(text) for text in given["ids"]],
        )  # fmt: skip

    async def _queues(self, given: dict[str, Any], *, gone: bool) -> list[int]:
        name, among = given.get("queue"), given.get("queues")
        if gone:
            there = await self._names.queue_names()
        else:
            there = {queue.id: queue.name for queue in await self._names.queues()}
        meant = [
            number for number, each in there.items()
            if (name is None or each == name) and (among is None or each in among)
        ]  # fmt: skip
        return await with_jobs(self._pool, self._names, meant)

    def _search(self, q: str | None) -> str | None:
        if q is None:
            return None
        try:
            return search_terms.ask(q, self._vault.keys, exact=self._vault.encrypts)
        except ValueError as error:
            raise invalid("filter.q", str(error)) from None


async def _reached(connection: Connection, position: int, *, searched: bool) -> bool:
    if searched and (await search.state(connection)).position < position:
        return False
    found = await checkpoints(connection)
    return all(of.position >= position for of in found if of.live and of.name == "jobs")


def _instant(given: dict[str, Any], name: str) -> int | None:
    return None if given.get(name) is None else times.from_text(given[name])
