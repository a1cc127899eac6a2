"""Folds the log once more beside the live projections and compares row by row, for `hivelog diff`.

    async with connection.transaction():                  # REPEATABLE READ: one snapshot of log and tables
        async for table, subject, what, expected, found in differing(connection, most=100, told=...): ...

It folds into temporary tables with a checkpoint of its own, and rolls all of it back: nobody sees it, nobody
waits for it, and a rebuild may run meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from psycopg import sql as composed

from .. import sql
from ..events.pool import Connection
from . import checkpoint
from .checkpoint import Checkpoint, Step
from .definitions import PROJECTIONS, Projection

_BATCH: Final = 100_000
_KEYS: Final = {
    "jobs": ("id",), "queue_minutes": ("queue", "minute"), "queue_hours": ("queue", "hour"),
    "failures": ("fingerprint", "type", "hour"), "workers": ("id",), "rounds": ("job", "began"),
}  # fmt: skip

Row = tuple[str, str, str, Any, Any]  # table, the key's values, column, by the log, found


Told = Callable[[str, int], None]  # who, and up to which position


async def differing(connection: Connection, *, most: int, told: Told) -> AsyncIterator[Row]:
    """Rows of each live projection that are not what the log up to its checkpoint makes; `most` a table."""
    async with connection.transaction(force_rollback=True):
        await checkpoint.prepare(connection)
        live = {each.name: each for each in await checkpoint.checkpoints(connection) if each.live}
        for projection in PROJECTIONS:
            at = await _folded(connection, projection, live[projection.name].position, told)
            if at is None:
                continue  # it is ahead of the log, which is a difference by itself
            for table in projection.tables:
                for row in await _rows(connection, projection, at, table, most):
                    yield table, *row


async def _folded(
    connection: Connection, projection: Projection, position: int, told: Told
) -> Checkpoint | None:
    """The projection's tables anew, up to a position."""
    at = Checkpoint(projection.name, -connection.info.backend_pid, 0, 0, False, None)
    for table in projection.tables:
        text = "create temp table {} (like {} including all excluding indexes, primary key ({}))"
        await connection.execute(composed.SQL(text).format(
            composed.Identifier(table), projection.table(table, 0, live=True), _key(table)
        ))  # fmt: skip
    values = {"name": at.name, "generation": at.generation}
    await connection.execute(sql.load("diff_begin"), values)
    while at.position < position:
        limit = min(_BATCH, position - at.position)
        if await checkpoint.advance(connection, projection, at, limit) is not Step.MOVED:
            return None
        told(projection.name, at.position)
    query = "select hivelog.projection_retained(%(name)s, %(generation)s)"
    await connection.execute(query, values)
    return at


async def _rows(
    connection: Connection, projection: Projection, at: Checkpoint, table: str, most: int
) -> list[tuple[str, str, Any, Any]]:
    expected = projection.table(table, at.generation, live=False)
    found = projection.table(table, 0, live=True)
    quick = composed.SQL(sql.load("projection_compare")).format(old=found, new=expected)
    if await (await connection.execute(quick)).fetchone() == (0,):
        return []
    query = composed.SQL(sql.load("diff_rows")).format(expected=expected, found=found, key=_key(table))
    return await (await connection.execute(query, {"most": most})).fetchall()


def _key(table: str) -> composed.Composed:
    return composed.SQL(", ").join(map(composed.Identifier, _KEYS[table]))
