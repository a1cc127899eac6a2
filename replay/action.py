"""A replay as an action: what is meant, counted, begun, gone on with, and ended in the log.

    replays = Replays(engine)
    plan = await replays.plan("copy", {"type": "report"}, q=None, named=None)    # counts, changes nothing
    action = await replays.start(plan, actor="user:ann")
    async with replays.at_work(action) as hold:
        jobs = await replays.jobs(action)                                        # the oldest first
        await replays.finish(action, changed, refused, counts)

The set is that of the plan's position: jobs enqueued at or before it, to which nothing has happened since.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import Struct

from .. import sql
from ..broker.action_log import ActionLog
from ..broker.action_reads import Action, ActionReads
from ..broker.action_rules import Selection
from ..broker.engine import Engine
from ..broker.erasing import forget
from ..broker.errors import Rejected, invalid
from ..events.job import ENDED, RETRYABLE
from ..projections import search
from ..projections.runner import Runner
from ..web.found_jobs import FoundJobs
from .hold import Hold, held

MOST: Final = 1_000_000  # jobs of one replay
_PAGE: Final = 1000
# What the log tells beside the filter, as of other actions.
_NO_FILTERS: Final = ("status", "searched")

# Which states each way may take, and which it means when none is named.
WAYS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "redrive": (RETRYABLE, RETRYABLE),
    "copy": (ENDED, ENDED),
    "shadow": (ENDED, frozenset({"completed"})),
}


class Plan(Struct, frozen=True):
    """A dry run: `matched` jobs, exactly, at `selection.position`."""

    way: str
    selection: Selection
    matched: int


def _states(way: str, named: frozenset[str] | None) -> frozenset[str]:
    may, means = WAYS[way]
    if named is not None and (not named or not named <= may):
        raise invalid("state", f"must be some of {', '.join(sorted(may))} for {way}")
    return means if named is None else named


class Replays:
    """Raises Rejected, DatabaseUnavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        parts = (engine.pool, engine.names, engine.vault)
        self._finder = FoundJobs(*parts)
        self._log = ActionLog(engine.appender, engine.names, engine.pool, engine.vault)
        self.reads = ActionReads(engine.pool, engine.vault)

    async def plan(
        self, way: str, filter_: dict[str, Any], *, q: str | None, named: frozenset[str] | None
    ) -> Plan:
        chosen = _states(way, named)
        if way != "shadow" and not self._engine.settings.queue_enabled:
            raise Rejected("disabled", "MESSAGING_QUEUE_ENABLED is false: nothing is enqueued here")
        await self._catch_up(searched=q is not None)
        async with self._engine.pool.connection() as connection:
            row = await (await connection.execute(sql.load("head"))).fetchone()
        assert row is not None
        selection = Selection(filter_, q, chosen, int(row[0]), True)
        await self._finder.reach(selection.position, search=q is not None, patient=True)
        matched = await self._finder.count(selection)
        if matched > MOST:
            raise invalid("since", f"and until must be narrower: {matched} jobs match, {MOST} may")
        return Plan(way, selection, matched)

    async def _catch_up(self, *, searched: bool) -> None:
        """Where no server runs, nobody else moves what jobs are found by."""
        url = self._engine.settings.database_url
        assert url is not None
        runner = Runner(url)
        try:
            await runner.catch_up()
        finally:
            await runner.stop()
        if not searched:
            return
        indexer = search.Indexer(self._engine.pool, self._engine.vault)
        async with self._engine.pool.connection() as connection:
            at = await search.state(connection)
        if not indexer.has_key_of(at):  # what it cannot open it would take for empty
            raise Rejected("conflict", "jobs are encrypted: --filter needs MESSAGING_ENCRYPTION_KEY")
        await indexer.catch_up()

    async def start(self, plan: Plan, *, actor: str) -> Action:
        selection = plan.selection
        searched = True if selection.q is not None else None
        told = {**selection.filter, "status": sorted(selection.statuses), "searched": searched}
        return await self._log.started(
            str(uuid4()), plan.way, told, selection.position, plan.matched, actor, {"q": selection.q}
        )

    async def unfinished(self, action_id: str) -> Action:
        """To be gone on with."""
        found = await self.reads.one(action_id)
        if found is None or found.action not in WAYS:
            raise Rejected("not_found", f"there is no replay {action_id[:64]!r}")
        if found.finished is not None:
            raise Rejected("already_finished", "this replay has finished")
        if found.q is None and found.filter.get("searched"):
            # Without its q the filter means other jobs, and more of them.
            raise Rejected("conflict", "its --filter cannot be read: MESSAGING_ENCRYPTION_KEY is needed")
        return found

    @contextlib.asynccontextmanager
    async def at_work(self, action: Action) -> AsyncIterator[Hold]:
        """Alone, on an action that has not finished meanwhile."""
        async with held(self._engine.pool, action.action_id) as hold:
            await self.unfinished(action.action_id)
            yield hold

    async def jobs(self, action: Action) -> list[bytes]:
        """All that are meant, the oldest first."""
        kept = {name: value for name, value in action.filter.items() if name not in _NO_FILTERS}
        statuses = frozenset(action.filter["status"])
        selection = Selection(kept, action.q, statuses, action.position, True)
        await self._catch_up(searched=action.q is not None)
        found: list[bytes] = []
        after: str | None = None
        while True:
            page, after = await self._finder.page(selection, after, _PAGE)
            found += page
            if after is None:
                return found[::-1]

    async def finish(
        self, action: Action, changed: int, refused: int, counts: Counter[str] | dict[str, int]
    ) -> None:
        known = {name: count for name, count in counts.items() if count}
        await self._log.finished(action, changed, refused, known or None)
        if action.q is not None:  # it quotes payloads, and is needed no more
            await forget(self._engine.pool, [UUID(action.action_id).bytes])
