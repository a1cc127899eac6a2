"""What people do to the number of worker processes: start one, stop one, set it, give it back.

Each is a `scaled` event on the queue's stream; supervisors on every host read it within a second or two. A
number that somebody has set is pinned: automatic scaling leaves it alone until it is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import fields
from ..events.pool import Pool
from ..events.queue import MOST_WORKERS
from ..events.types import Scaled
from .errors import Rejected, checked, unknown_queue
from .scales import Scale, Scales, Supervisor, running, scales, supervisors

_ATTEMPTS: Final = 3


class Scaling(Struct, frozen=True):
    """What is wanted now, and what runs at this moment. `raised`: max_workers, where this raised it."""

    queue: str
    desired: int
    running: int
    pinned: bool
    position: int
    raised: int | None
    supervised: bool  # whether a living supervisor serves the queue


class ScaleCommands:
    """Raises Rejected (unknown_queue, not_found, invalid_field, conflict) and errors of the log."""

    def __init__(self, scales: Scales, pool: Pool) -> None:
        self._scales, self._pool = scales, pool

    async def scale(self, queue: str, workers: int | None, *, actor: str) -> Scaling:
        """So many processes, pinned; None: the number scales by itself again, from where it is."""
        if workers is None:
            return await self._change(queue, _automatic, actor)
        with checked():
            fields.whole("workers", workers, 0, MOST_WORKERS)
        return await self._change(queue, lambda _: Scaled(workers, reason="set by hand", pinned=True), actor)

    async def start(self, queue: str, *, actor: str) -> Scaling:
        """One more process, pinned."""

        def one_more(scale: Scale) -> Scaled:
            if scale.desired >= MOST_WORKERS:
                raise Rejected("conflict", f"a queue has {MOST_WORKERS} workers at most")
            return Scaled(scale.desired + 1, reason="one started by hand", pinned=True)

        return await self._change(queue, one_more, actor)

    async def stop(self, queue: str, *, actor: str) -> Scaling:
        """One process fewer, pinned: the one with the least to do."""

        def one_fewer(scale: Scale) -> Scaled:
            if scale.desired == 0:
                raise Rejected("conflict", f"queue {queue} has no worker to stop", {"queue": queue})
            return Scaled(scale.desired - 1, reason="one stopped by hand", pinned=True)

        return await self._change(queue, one_fewer, actor)

    async def stop_session(
        self, session: str, *, actor: str, queues: Collection[str] | None = None
    ) -> Scaling:
        """This worker goes, and no other takes its place. `queues`: those the caller may see (None: all)."""
        name, queue = await self._supervised(session, queues)

        def without(scale: Scale) -> Scaled:
            left = max(0, scale.desired - 1)
            return Scaled(left, reason=f"{name} stopped by hand", pinned=True, session=session)

        return await self._change(queue, without, actor)

    async def _supervised(self, text: str, visible: Collection[str] | None) -> tuple[str, str]:
        """(name, queue) of a supervisor's worker."""
        try:
            session = UUID(text)
        except ValueError:
            raise Rejected("not_found", "there is no such worker") from None
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("session_process"), {"session": session})
            row = await cursor.fetchone()
            among = await supervisors(connection)
        if row is None or (visible is not None and not set(row[2]) <= set(visible)):
            raise Rejected("not_found", "there is no such worker")
        host, pid, _, name = row
        for each in among:
            for queue, pids in each.processes.items():
                if each.host == host and pid in pids:
                    return name, queue
        raise Rejected(
            "conflict", "no supervisor keeps this worker: stop its process itself", {"host": host, "pid": pid}
        )

    async def _change(self, queue: str, decide: Callable[[Scale], Scaled], actor: str) -> Scaling:
        for _ in range(_ATTEMPTS):
            scale, among = await self._read(queue)
            scaled = raising(scale, decide(scale))
            position = await self._scales.change(scale, scaled, actor)
            if position is not None:
                served = any(each.member.serves(queue) for each in among)
                now, raised = running(queue, among), scaled.max_workers
                return Scaling(queue, scaled.workers, now, scaled.pinned, position, raised, served)
        raise Rejected("conflict", "the queue changed at the same time; try again")

    async def _read(self, queue: str) -> tuple[Scale, list[Supervisor]]:
        async with self._pool.connection() as connection:
            found = {scale.queue: scale for scale in await scales(connection)}
            among = await supervisors(connection)
        if queue not in found:
            raise unknown_queue(queue)
        return found[queue], among


def raising(scale: Scale, scaled: Scaled) -> Scaled:
    """More processes than jobs may run at once would be of no use: `max_workers` is raised with them."""
    limit: int | None = scale.config.max_workers
    if limit is None or scaled.workers <= limit or not scaled.pinned:
        return scaled
    return msgspec.structs.replace(scaled, max_workers=scaled.workers)


def _automatic(scale: Scale) -> Scaled:
    bounds = scale.config.scaling
    return Scaled(min(max(scale.desired, bounds.min), bounds.max), reason="scales by itself again")


