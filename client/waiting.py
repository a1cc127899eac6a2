"""Waiting for jobs to end, without asking for each: one look at the log, shared by all who wait.

The server picks the few events that matter, so a busy log costs this process nothing; when nobody waits,
nothing is asked.
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from .. import sql
from ..events.pool import Pool
from ..events.read import head
from ..stopping import stop_tasks

_QUICK: Final = 0.01  # s between looks after something was found
_SLOW: Final = 0.1  # s after a while of nothing


class Watcher:
    """`ended` answers once the log says that the job has, or may have, ended."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[bytes, tuple[int, asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def position(self) -> int:
        """Take it before reading the job: what ends it later is then never missed."""
        async with self._pool.connection() as connection:
            return (await head(connection)).position

    async def ended(self, job: bytes, after: int) -> None:
        """Until an event after the position ends the job. Raises psycopg.Error, PoolTimeout."""
        if job not in self._waiting:
            self._waiting[job] = (after, asyncio.get_running_loop().create_future())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="job watcher")
        await asyncio.shield(self._waiting[job][1])

    async def stop(self) -> None:
        await stop_tasks(self._task)

    async def _look(self) -> None:
        pause = _QUICK
        try:
            while self._waiting:
                pause = _QUICK if await self._once() else min(pause * 1.3, _SLOW)
                await asyncio.sleep(pause)
        except BaseException as error:
            waiting, self._waiting = self._waiting, {}
            for _, future in waiting.values():
                if isinstance(error, Exception):
                    future.set_exception(error)
                    future.exception()  # whoever waits re-raises it; nobody waiting is no news
                else:
                    future.cancel()
            if not isinstance(error, Exception):
                raise

    async def _once(self) -> bool:
        asked = list(self._waiting)
        after = min(self._waiting[job][0] for job in asked)
        parameters = {"jobs": [UUID(bytes=job) for job in asked], "after": after}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("ended_since"), parameters)
            rows = await cursor.fetchall()
        found = {row[1].bytes for row in rows if row[1] is not None}
        for job in asked:
            since, future = self._waiting[job]
            if job in found:
                del self._waiting[job]
                future.set_result(None)
            else:
                self._waiting[job] = (max(since, rows[0][0]), future)
        return bool(found)
