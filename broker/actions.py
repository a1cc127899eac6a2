"""Bulk actions: cancel, retry or erase the jobs of a filter that came before a position; undo a cancel.

Each is in the log: `action_started`, an event a job, `action_finished`. A small one is done when the call
answers; a big one goes on beside the caller, in chunks that give way, and another process takes it up when
this one dies: every step is guarded, and a job that was dealt with is not found again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import structlog
from msgspec import Struct

from .. import sql
from ..events.appender import Appender
from ..events.names import Names
from ..events.pool import Pool
from ..events.vault import Vault
from ..stopping import stop_tasks
from .action_log import ActionLog, duty
from .action_reads import Action, ActionReads
from .action_rules import RULES, Rule, Selection, statuses
from .action_steps import Steps
from .drain import AT_ONCE
from .erasing import forget
from .errors import Rejected, invalid
from .leadership import Leadership

_log = structlog.get_logger(__name__)

PAGE: Final = 1000  # jobs that are looked for at once
CHUNK: Final = 250  # events an append, see drain.CHUNK
_PASSES: Final = 5  # of an action whose set may still move
# What the log tells beside the filter: the states meant, and that the vault has a `q` too.
_NO_FILTERS: Final = ("status", "searched")


class Finder(Protocol):
    """Knows jobs by filter: the read models, which the broker does not import."""

    async def reach(self, position: int, *, search: bool, patient: bool) -> None: ...
    async def count(self, selection: Selection) -> int: ...
    async def page(
        self, selection: Selection, after: str | None, limit: int
    ) -> tuple[list[bytes], str | None]: ...


class Result(Struct, frozen=True):
    """`changed` None: not done (dry run) or not done yet (then `action_id` names it)."""

    position: int
    matched: int
    changed: int | None = None
    refused: int = 0
    action_id: str | None = None


class Actions:
    """Raises Rejected (invalid_field, not_found, conflict), Overloaded, DatabaseUnavailable, the finder's."""

    def __init__(
        self, appender: Appender, names: Names, pool: Pool, sealer: Vault, finder: Finder, *,
        at_once: int = AT_ONCE, chunk: int = CHUNK,
    ) -> None:  # fmt: skip
        self._pool, self._log = pool, ActionLog(appender, names, pool, sealer)
        self._finder, self._at_once, self._chunk = finder, at_once, chunk
        self._reads = ActionReads(pool, sealer)
        self._steps = Steps(appender, names, pool)
        self._leadership = Leadership(pool)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(
        self, kind: str, filter_: dict[str, Any], *, actor: str, named: frozenset[str] | None = None,
        q: str | None = None, reason: str | None = None, position: int | None = None, dry_run: bool = False,
    ) -> Result:  # fmt: skip
        """Do it to the filter's jobs enqueued at or before `position` (None: now); a dry run only counts."""
        rule = RULES[kind]
        chosen = statuses(rule, named)
        if not chosen:
            raise invalid("filter.status", f"must be some of {', '.join(sorted(rule.may))}")
        until = await self._until(position)
        selection = Selection(filter_, q, chosen, until, rule.settled, rule.gone)
        await self._finder.reach(until, search=q is not None, patient=False)
        matched = await self._finder.count(selection)
        if dry_run:
            return Result(until, matched)
        told = {**filter_, "status": sorted(chosen), "searched": True if q is not None else None}
        action = await self._started(kind, told, until, matched, actor, {"q": q, "reason": reason})
        return await self._go(action, matched)

    async def undo(self, action_id: str, *, actor: str, reason: str | None = None) -> Result:
        """Bring back the jobs that a cancel ended, those that nothing happened to since."""
        undone = await self._reads.one(action_id)
        if undone is None:
            raise Rejected("not_found", "there is no such action")
        if undone.action != "cancel" or undone.finished is None:
            raise Rejected("conflict", "only a cancel that has finished can be undone")
        matched = await self._reads.changed(undone, "cancelled", upto=undone.finished)
        told = {"undoes": action_id, "started": undone.started, "queues": undone.filter.get("queues")}
        secret = {"reason": reason}
        action = await self._started("undo", told, await self._until(None), matched, actor, secret)
        return await self._go(action, matched)

    async def read(self, action_id: str) -> Action | None:
        """With its secrets (q, reason), as far as the vault still has them."""
        return await self._reads.one(action_id)

    async def _until(self, position: int | None) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.load("head"))).fetchone()
        assert row is not None
        head = int(row[0])
        if position is not None and not 0 <= position <= head:
            raise invalid("position", f"must be from 0 to {head}, the end of the log")
        return head if position is None else position

    async def _started(
        self, kind: str, told: dict[str, Any], until: int, matched: int, actor: str, secret: dict[str, Any]
    ) -> Action:
        action_id = str(uuid4())
        await self._leadership.claim([duty(action_id)])
        return await self._log.started(action_id, kind, told, until, matched, actor, secret)

    async def _go(self, action: Action, matched: int) -> Result:
        task = asyncio.create_task(self._finish(action, resumed=False), name=action.action_id)
        self._tasks[action.action_id] = task
        task.add_done_callback(self._over)
        if matched > self._at_once:
            return Result(action.position, matched, action_id=action.action_id)
        await asyncio.shield(task)  # whoever hangs up does not stop it half-way
        done = await self._reads.one(action.action_id)
        assert done is not None
        return Result(action.position, matched, done.changed, done.refused, action.action_id)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task.get_name(), None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays unfinished in the log; the leader takes it up again.
            _log.warning("action_interrupted", action=task.get_name(), error=str(error))

    async def _finish(self, action: Action, *, resumed: bool) -> None:
        changed, refused = await self._work(action)
        if resumed:
            event = RULES[action.action].event if action.action in RULES else "requeued"
            changed = await self._reads.changed(action, event, upto=None)
        if resumed and action.action == "erase":
            await self._forget(action)
        await self._log.finished(action, changed, refused)
        if action.action == "erase":  # its filter quotes what it erased
            await forget(self._pool, [UUID(action.action_id).bytes])
        await self._leadership.release([duty(action.action_id)])

    async def _forget(self, action: Action) -> None:
        """The process that died may have erased jobs and not have come to what erasures leave to do."""
        after = None
        while True:
            jobs, after = await self._reads.jobs(action, "payload_erased", after, PAGE)
            await forget(self._pool, jobs)
            if after is None:
                return

    async def _work(self, action: Action) -> tuple[int, int]:
        rule = RULES.get(action.action)
        changed = refused = 0
        for _ in range(_PASSES if rule is not None and not rule.settled else 1):
            met, last, after = 0, 0, None
            while True:
                jobs, after = await self._page(action, rule, after)
                for first in range(0, len(jobs), self._chunk):
                    some = jobs[first : first + self._chunk]
                    done = await self._steps.take(action, rule, some, self._selection(action, rule))
                    met, refused, last = met + done.changed, refused + done.refused, max(last, done.position)
                    await asyncio.sleep(0)  # others' appends come first
                await self._leadership.claim([duty(action.action_id)])
                if after is None:
                    break
            changed += met
            if not met:
                break
            await self._finder.reach(last, search=False, patient=True)
        return changed, refused

    async def _page(
        self, action: Action, rule: Rule | None, after: str | None
    ) -> tuple[list[bytes], str | None]:
        selection = self._selection(action, rule)
        if selection is not None:
            return await self._finder.page(selection, after, PAGE)
        undone = await self._reads.one(action.filter["undoes"])
        assert undone is not None
        return await self._reads.jobs(undone, "cancelled", after, PAGE)

    def _selection(self, action: Action, rule: Rule | None) -> Selection | None:
        if rule is None:
            return None
        kept = {name: value for name, value in action.filter.items() if name not in _NO_FILTERS}
        chosen = frozenset(action.filter["status"])
        return Selection(kept, action.q, chosen, action.position, rule.settled, rule.gone)

    async def resume_unfinished(self) -> int:
        """Take up the actions whose process died; answers how many. For a leader, now and then."""
        resumed = 0
        for action in await self._reads.open([*RULES, "undo"]):
            if action.q is None and action.filter.get("searched"):
                # Without its q the filter means other jobs, and more of them. Somebody may have the key.
                _log.error("action_is_unreadable", action=action.action_id)
                continue
            mine = action.action_id in self._tasks
            if mine or not await self._leadership.claim([duty(action.action_id)]):
                continue
            _log.info("action_resumed", action=action.action_id)
            task = asyncio.create_task(self._again(action), name=action.action_id)
            self._tasks[action.action_id] = task
            task.add_done_callback(self._over)
            resumed += 1
        return resumed

    async def _again(self, action: Action) -> None:
        await self._finder.reach(action.position, search=action.q is not None, patient=True)
        await self._finish(action, resumed=True)

    async def stop(self) -> None:
        """Leave what runs to other processes."""
        tasks = dict(self._tasks)
        await stop_tasks(*tasks.values())
        if tasks:
            await self._leadership.release([duty(action_id) for action_id in tasks])
