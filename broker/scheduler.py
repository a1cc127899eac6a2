"""Makes due jobs ready, and ends waiting ones that were not started in time.

A leader duty. Every step names the row that it saw, so a second scheduler at work only gets refusals.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from math import inf
from typing import Any, Final
from uuid import UUID

import msgspec

from .. import sql
from ..events import types
from ..events.appender import Appender
from ..events.batch import Appended, Move, Part
from ..events.names import Names
from ..events.pool import Pool

# Events an append: what others wait for meanwhile.
BATCH: Final = 250
POLL: Final = 1.0
_SHORTEST: Final = 0.01
# What was due longer ago than that was moved, and lies dead before the rest. Beside an old snapshot that is
# much, so it is gone through only now and then, for jobs that came in late (of a worker that could not reach
# the database, say), and when the database's clock has jumped ahead: its machine, or ours, was suspended.
_BACK: Final = 60.0  # seconds
_ALL: Final = 1e9
_LOOK_FOR_ALL: Final = 10.0  # seconds
_JUMP: Final = _BACK / 2

_EXPIRED: Final = msgspec.Raw(types.encode(types.Expired("expires_at")) or b"")
_BEGINNING: Final = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


class Scheduler:
    """`run` until cancelled; `appended` may be given to the appender, so that it wakes in time."""

    def __init__(
        self, appender: Appender, names: Names, pool: Pool, *, actor: str = "leader"
    ) -> None:
        self._appender = appender
        self._names = names
        self._pool = pool
        self._actor = actor
        self._wake = asyncio.Event()
        self._all_at = self._looked_at = 0.0
        self._ahead = inf  # the database's clock, of ours

    def appended(self, appended: Appended) -> None:
        """Something in this process may now be due before the next poll."""
        for part in appended.parts:
            if any(item.due is not None for item in part.ends) or any(
                item.due is not None or item.expires is not None for item in part.enqueues
            ):
                self._wake.set()
                return

    async def run(self) -> None:
        while True:
            self._wake.clear()
            moved = await self.tick()
            try:
                async with asyncio.timeout(await self._pause(moved > 0)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _pause(self, moved: bool) -> float:
        """Seconds until the next due time, at most the poll: another process may add an earlier one."""
        async with self._pool.connection() as connection:
            parameters = {"back": _BACK, "ahead": POLL}
            row = await (await connection.execute(sql.load("next_due"), parameters)).fetchone()
        assert row is not None
        seconds: float | None = row[0]
        if self._jumped(row[1]):
            return 0
        # What is overdue and yet did not move is nothing to hurry after.
        if seconds is None or (seconds <= 0 and not moved):
            return POLL
        return min(POLL, max(_SHORTEST, seconds))

    def _jumped(self, now: float) -> bool:
        """Whether jobs may be due from further back than a look reaches; then the next looks at all."""
        before, self._ahead = self._ahead, now - asyncio.get_running_loop().time()
        if self._ahead - before < _JUMP:
            return False
        self._all_at = 0.0
        return True

    async def tick(self) -> int:
        """Move all that is due and expire all that is too late; answers how many moved."""
        actor = await self._names.actor_id(self._actor)
        now = asyncio.get_running_loop().time()
        back = _ALL if now >= self._all_at else _BACK + now - self._looked_at
        moved = await self._make_ready(actor, back)
        while True:
            # What was refused is not due any more, or was moved by somebody else.
            expired, seen = await self._expire(actor, back)
            moved += expired
            if seen < BATCH or expired == 0:
                break
        self._looked_at = now
        if back == _ALL:
            self._all_at = now + _LOOK_FOR_ALL
        return moved

    async def _make_ready(self, actor: int, back: float) -> int:
        moved = 0
        after: tuple[datetime, UUID] = _BEGINNING
        # Pages after the last key: what a page has moved lies dead before it, and is not read again.
        while True:
            async with self._pool.connection() as connection:
                parameters = {"due": after[0], "job": after[1], "back": back, "limit": BATCH}
                cursor = await connection.execute(sql.load("due_pending"), parameters, binary=True)
                rows = await cursor.fetchall()
            if rows:
                moved += await self._submit([_due(row, actor) for row in rows])
                after = (rows[-1][0], rows[-1][1])
            if len(rows) < BATCH:
                return moved

    async def _expire(self, actor: int, back: float) -> tuple[int, int]:
        async with self._pool.connection() as connection:
            parameters = {"back": back, "limit": BATCH}
            cursor = await connection.execute(sql.load("expired_waiting"), parameters, binary=True)
            rows = await cursor.fetchall()
        moves = [_expired(row, actor) for row in rows]
        moved = 0
        for start in range(0, len(moves), BATCH):
            moved += await self._submit(moves[start : start + BATCH])
        return moved, len(rows)

    async def _submit(self, moves: list[Move]) -> int:
        outcome = await self._appender.submit(Part(moves=moves))
        return len(outcome.positions["m"])


def _due(row: Any, actor: int) -> Move:
    due_at, job, queue, kind, priority, version, too_late = row
    # With type and priority the feed need not look it up.
    move = Move(
        job=str(job), event="queued", source="pending", target="ready", version=version,
        actor=actor, queue=queue, type=kind, priority=priority, due_at=due_at.isoformat(),
    )  # fmt: skip
    if too_late:
        move.event, move.target, move.data = "expired", "none", _EXPIRED
    return move


def _expired(row: Any, actor: int) -> Move:
    source, job, queue, kind, priority, due_at, version = row
    return Move(
        job=str(job), event="expired", source=source, target="none", version=version, actor=actor,
        queue=queue, type=kind, priority=priority, data=_EXPIRED,
        due_at=None if due_at is None else due_at.isoformat(),
    )  # fmt: skip
