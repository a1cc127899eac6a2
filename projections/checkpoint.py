"""Moves one generation of one projection along the log, batch by batch.

The statement that folds a batch also moves the checkpoint, by compare-and-set: whoever comes second with
the same batch writes nothing. So it does not matter how many runners there are, or where one died.
"""

from __future__ import annotations

import enum
from datetime import datetime

from msgspec import Struct

from .. import sql
from ..events import pool
from ..events.log import milliseconds
from ..events.pool import Connection
from .definitions import Projection

BATCH = 50_000  # positions: some 0.3 s of work, so that a stop or a failure costs no more

# Batches differ a thousandfold and tables grow meanwhile: every look-up has its key, so a plan made for a
# small table must not scan a large one.
_SETTINGS = (
    "select set_config('enable_seqscan', 'off', false), set_config('enable_mergejoin', 'off', false),"
    " set_config('random_page_cost', '1.1', false), set_config('work_mem', '64MB', false),"
    # Planned once: that takes longer than to fold a few events, and each batch is planned for thousands.
    " set_config('plan_cache_mode', 'force_generic_plan', false)"
)


class Step(enum.Enum):
    """What an attempt to move came to."""

    MOVED = "moved"
    OVERTAKEN = "overtaken"  # another runner was first
    AT_HEAD = "at_head"
    AHEAD = "ahead"  # the log ends before the checkpoint: it was restored, and this was not


class Checkpoint(Struct):
    """A generation of a projection, and how far it is. Times in ms since 1970. `filling`: it was added to a
    log with a past and has not reached the present yet, so nobody waits for it who does not read it."""

    name: str
    generation: int
    position: int
    updated_at: int
    live: bool
    error: str | None
    filling: bool = False


async def connect(url: str) -> Connection:
    """A connection for folding."""
    connection = await pool.connect(url, "hivelog projections")
    connection.prepare_threshold = 0
    await prepare(connection)
    return connection


async def prepare(connection: Connection) -> None:
    """Have it plan as folding needs it; within a transaction that is rolled back, only until then."""
    await connection.execute(_SETTINGS)


async def checkpoints(connection: Connection) -> list[Checkpoint]:
    """All of them, every generation."""
    rows = await (await connection.execute(sql.load("projection_state"))).fetchall()
    return [
        Checkpoint(name, generation, position, _ms(updated_at), live, error, filling)
        for name, generation, position, updated_at, live, error, filling in rows
    ]


def _ms(moment: datetime) -> int:
    return milliseconds(moment)


async def advance(connection: Connection, projection: Projection, at: Checkpoint, limit: int = BATCH) -> Step:
    """Fold the next batch of up to `limit` positions (a longer append counts whole); moves `at`."""
    span = {"after": at.position, "upto": at.position + limit}
    row = await (await connection.execute(sql.load("projection_batch_end"), span)).fetchone()
    assert row is not None
    upto, head = row
    if upto is None:
        return Step.AHEAD if head < at.position else Step.AT_HEAD
    statement = projection.statement(at.generation, live=at.live)
    values = {"generation": at.generation, "after": at.position, "upto": upto}
    answer = await (await connection.execute(statement, values)).fetchone()
    if answer != (True,):
        return Step.OVERTAKEN
    at.position = upto
    if at.error is not None:
        await note(connection, at, None)
    return Step.MOVED


async def filled(connection: Connection, at: Checkpoint) -> None:
    """Write down that an added projection has reached the present."""
    values = {"name": at.name, "generation": at.generation}
    await connection.execute(sql.load("projection_filled"), values)
    at.filling = False


async def note(connection: Connection, at: Checkpoint, error: str | None) -> None:
    """Write down why a projection stands still, for /health and `hivelog doctor`."""
    values = {"name": at.name, "generation": at.generation, "error": error}
    await connection.execute(sql.load("projection_error"), values)
    at.error = error
