"""Builds a projection anew beside the live one and lets it take over: readers see the old one until the
new one has caught up, and never a half.

    done = await rebuild(url, "jobs", progress=lambda position, head: ...)
    done = await rebuild_all(url, ["jobs", "rounds"], progress=...)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import psycopg
from msgspec import Struct
from psycopg import sql as composed

from .. import sql
from ..events.pool import Connection
from ..events.read import head
from . import checkpoint
from .checkpoint import Checkpoint, Step
from .definitions import Projection, named

BATCH = 100_000
_AT_ONCE = 2  # projections: each is one busy process of the database, beside live traffic
_TRIES = 10  # to take over: readers of the old tables may be in the way


class Rebuilt(Struct, frozen=True):
    """What came of it. `differences`: rows, by table, in which the old generation was not the new one;
    None where the old one stood elsewhere in the log, so that there was nothing to compare."""

    name: str
    generation: int
    position: int
    differences: dict[str, int] | None


async def rebuild(
    url: str,
    name: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    batch: int = BATCH,
    keep: bool = False,
) -> Rebuilt:
    """Fold the whole log again. `progress(position, head)` is called after every batch; `keep`: the old
    generation stays, as tables `<table>_g<n>`, until `drop_kept`.

    Raises KeyError for an unknown projection, psycopg.Error when the log cannot be folded: the live
    generation then stays as it was.
    """
    projection = named(name)
    connection = await checkpoint.connect(url)
    try:
        row = await (await connection.execute("select hivelog.projection_begin(%s)", (name,))).fetchone()
        assert row is not None
        at = Checkpoint(name, row[0], 0, 0, False, None)
        try:
            await _catch_up(connection, projection, at, progress, batch)
            await _index(connection, at)
            await _catch_up(connection, projection, at, progress, batch)
            return await _take_over(connection, projection, at, batch, keep)
        except BaseException:
            await _discard(connection, at)
            raise
    finally:
        await connection.close()


async def rebuild_all(
    url: str,
    names: Sequence[str],
    *,
    progress: Callable[[int, int], None] | None = None,
    keep: bool = False,
) -> list[Rebuilt]:
    """Several, two at a time; `progress` tells how far all of them together are. Raises as `rebuild`."""
    turn = asyncio.Semaphore(_AT_ONCE)
    reached = dict.fromkeys(names, (0, 0))

    async def one(name: str) -> Rebuilt:
        def told(position: int, head: int) -> None:
            reached[name] = position, head
            if progress is not None:
                progress(sum(at for at, _ in reached.values()), head * len(reached))

        async with turn:
            return await rebuild(url, name, progress=told, keep=keep)

    return await asyncio.gather(*map(one, names))


async def _catch_up(
    connection: Connection,
    projection: Projection,
    at: Checkpoint,
    progress: Callable[[int, int], None] | None,
    batch: int,
) -> None:
    while await checkpoint.advance(connection, projection, at, batch) is Step.MOVED:
        if progress is not None:
            progress(at.position, (await head(connection)).position)


async def drop_kept(url: str, name: str) -> list[int]:
    """Give up the old generations of a projection that were kept; answers their numbers."""
    projection = named(name)
    connection = await checkpoint.connect(url)
    try:
        query = "select hivelog.projection_drop_kept(%s)"
        row = await (await connection.execute(query, (projection.name,))).fetchone()
    finally:
        await connection.close()
    assert row is not None
    return list(row[0])


async def _index(connection: Connection, at: Checkpoint) -> None:
    """The indexes that only readers need: made of full tables, in a fraction of what they cost row by row."""
    silence, connection.silence = connection.silence, None
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("set local maintenance_work_mem = '256MB'")
        await connection.execute("select hivelog.projection_index(%s, %s)", (at.name, at.generation))
    connection.silence = silence


async def _take_over(
    connection: Connection, projection: Projection, at: Checkpoint, batch: int, keep: bool
) -> Rebuilt:
    for attempt in range(1, _TRIES + 1):
        try:
            done = await _swap(connection, projection, at, batch, keep)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == _TRIES:
                raise
            continue
        if done is not None:
            return done
    raise psycopg.OperationalError(f"projection {at.name} did not stand still for the take-over")


async def _swap(
    connection: Connection, projection: Projection, at: Checkpoint, batch: int, keep: bool
) -> Rebuilt | None:
    start, done = at.position, None
    async with connection.transaction() as transaction:
        # To compare millions of rows takes longer than any other statement of ours may.
        await connection.execute("set local statement_timeout = 0")
        connection.silence = None
        live = await _hold(connection, at.name)
        # Nobody else moves the live checkpoint now: bring both to the same place.
        await _fold_to(connection, projection, at, live.position, batch)
        await _lift(connection, projection, live, at.position, batch)
        query = "select hivelog.projection_retained(%s, %s)"
        await connection.execute(query, (at.name, at.generation))
        differences = await _compare(connection, projection, at, live)
        if await _swapped(connection, at, keep):
            done = Rebuilt(at.name, at.generation, at.position, differences)
        else:
            at.position = start
            raise psycopg.Rollback(transaction)
    return done


async def _fold_to(
    connection: Connection, projection: Projection, at: Checkpoint, position: int, batch: int
) -> None:
    while at.position < position:
        limit = min(batch, position - at.position)
        if await checkpoint.advance(connection, projection, at, limit) is not Step.MOVED:
            return


async def _lift(
    connection: Connection, projection: Projection, live: Checkpoint, position: int, batch: int
) -> None:
    """The same for the live generation. One that cannot go on is why people rebuild: it may stay behind."""
    if live.error is not None:
        return
    try:
        async with connection.transaction():
            await _fold_to(connection, projection, live, position, batch)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        await checkpoint.note(connection, live, str(error).splitlines()[0])


async def _swapped(connection: Connection, at: Checkpoint, keep: bool) -> bool:
    query = "select hivelog.projection_swap(%s, %s, %s)"
    row = await (await connection.execute(query, (at.name, at.generation, keep))).fetchone()
    return row == (True,)


async def _hold(connection: Connection, name: str) -> Checkpoint:
    """Lock the live checkpoint: its runner waits until this transaction ends."""
    query = (
        "select from hivelog.projections p join hivelog.checkpoints c using (name, generation)"
        " where p.name = %s and p.live for update"
    )
    await connection.execute(query, (name,))
    rows = await checkpoint.checkpoints(connection)
    return next(c for c in rows if c.name == name and c.live)


async def _compare(
    connection: Connection, projection: Projection, new: Checkpoint, live: Checkpoint
) -> dict[str, int] | None:
    if new.position != live.position:
        return None
    found = {}
    for table in projection.tables:
        query = composed.SQL(sql.load("projection_compare")).format(
            old=projection.table(table, live.generation, live=True),
            new=projection.table(table, new.generation, live=False),
        )
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        found[table] = int(row[0])
    return found


async def _discard(connection: Connection, at: Checkpoint) -> None:
    if not connection.closed:
        await connection.execute("select hivelog.projection_discard(%s, %s)", (at.name, at.generation))
