"""Big bulks: all or nothing, without holding the log's lock for all of it.

Ten thousand jobs in one append would make everybody else wait for a quarter of a second. So a big bulk is
written down first, whole and in one transaction: that is the moment it is accepted. Then it is appended
in chunks that let others through. If this process dies on the way, another one finishes it: a chunk that is
in the log already cannot be appended twice, its jobs' rows are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final
from uuid import UUID, uuid4

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from .. import sql
from ..events.appender import Appender
from ..events.batch import Enqueue, Part
from ..events.errors import DatabaseUnavailable
from ..events.pool import Pool

_log = structlog.get_logger(__name__)

CHUNK: Final = 500  # jobs an append
CHUNK_BYTES: Final = 1024 * 1024
# Above either of these a bulk is big; below, one append holds the lock for some 30 ms.
BIG: Final = 1000
BIG_BYTES: Final = 2 * 1024 * 1024
_HOLD: Final = 15.0  # seconds after which an unfinished bulk is another process's
_RENEW: Final = 5.0

_decoder = msgspec.msgpack.Decoder(list[Enqueue])


def is_big(enqueues: list[Enqueue]) -> bool:
    return len(enqueues) > BIG or sum(len(item.body) for item in enqueues) > BIG_BYTES


def chunks(enqueues: list[Enqueue]) -> Iterator[list[Enqueue]]:
    """In order, each within the bounds; one item larger than they are goes alone."""
    chunk: list[Enqueue] = []
    size = 0
    for item in enqueues:
        if chunk and (len(chunk) == CHUNK or size + len(item.body) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item.body)
    if chunk:
        yield chunk


class Bulks:
    """Appends big bulks, and finishes those that other processes left."""

    def __init__(self, appender: Appender, pool: Pool) -> None:
        self._appender = appender
        self._pool = pool
        self._tasks: set[asyncio.Task[int]] = set()

    async def append(self, enqueues: list[Enqueue]) -> int:
        """All of these jobs; answers the position of the last. Bodies are sealed already.

        Raises DatabaseUnavailable: then either none or, soon, all of them are in the log.
        """
        task = asyncio.create_task(self._accept(enqueues), name="bulk")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A caller who gives up must not leave half a bulk behind until another process looks.
        return await asyncio.shield(task)

    async def _accept(self, enqueues: list[Enqueue]) -> int:
        bulk = uuid4()
        body = msgspec.msgpack.encode(enqueues)
        await self._execute("bulk_insert", {"id": bulk, "body": body, "hold": _HOLD})
        return await self._append(bulk, enqueues)

    async def _append(self, bulk: UUID, enqueues: list[Enqueue]) -> int:
        position = 0
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        for chunk in chunks(enqueues):
            position = max(position, await self._append_chunk(chunk))
            if loop.time() - renewed > _RENEW:
                renewed = loop.time()
                await self._execute("bulk_hold", {"id": bulk, "hold": _HOLD})
        await self._execute("bulk_delete", {"id": bulk})
        return position

    async def _append_chunk(self, chunk: list[Enqueue]) -> int:
        try:
            outcome = await self._appender.submit(Part(enqueues=chunk))
        except psycopg.errors.UniqueViolation:
            return 0  # an earlier try reached the log
        for (_, index), why in outcome.refused.items():
            # Its queue was deleted after the bulk had been accepted.
            _log.error("bulk_item_refused", job=chunk[index].job.hex(), code=why.code)
        return outcome.positions["n"][-1] if outcome.positions["n"] else 0

    async def finish_abandoned(self) -> int:
        """Take over the bulks that nobody holds any more; answers how many. For a leader."""
        finished = 0
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.load("bulk_take"), {"hold": _HOLD})
            rows = await cursor.fetchall()
        for bulk, body in rows:
            _log.info("bulk_resumed", bulk=str(bulk))
            await self._append(bulk, _decoder.decode(body))
            finished += 1
        return finished

    async def _execute(self, query: str, parameters: dict[str, object]) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(sql.load(query), parameters, binary=True)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable(str(error)) from error

    async def stop(self) -> None:
        """Let what was accepted get into the log."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
