"""Doctor's look at what Hivelog keeps: partitions, projections, outbox, waiting types, and every job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from .. import sql
from ..events import epoch, outbox, partitions
from ..events.pool import Connection
from ..events.read import head
from ..projections.checkpoint import checkpoints
from .findings import Finding, error, ok, warning

_BEHIND: Final = 10_000  # positions
_OLD: Final = 30.0  # seconds in the outbox
_UNSEALED: Final = 30.0
_SAID: Final = {
    "missing": "were acknowledged and are neither live nor ended",
    "ended": "have ended in the log and are live still",
    "unknown": "are live and were never enqueued",
}


async def check_partitions(connection: Connection) -> AsyncIterator[Finding]:
    found = await partitions.status(connection)
    if found.default_rows:
        said = f"{found.default_rows:,} events are in the default partition"
        yield warning("partitions", said, "run `hivelog serve`, which makes partitions ahead")
    elif not found.ahead:
        yield warning("partitions", "none is ahead of the log", "run `hivelog serve`, which makes them")
    else:
        yield ok("partitions", f"{found.total}, {found.ahead} ahead of the log")


async def check_epoch(connection: Connection) -> AsyncIterator[Finding]:
    found = await epoch.check(connection)
    if isinstance(found, epoch.New):
        yield warning("epoch", f"this is another server than that of epoch {found.epoch} ({found.reason})",
                      "restored or failed over: the next process to start opens a new epoch")  # fmt: skip
    else:
        yield ok("epoch", f"{found.epoch}, on the server where it began")


async def check_projections(connection: Connection) -> AsyncIterator[Finding]:
    now = (await head(connection)).position
    for at in await checkpoints(connection):
        if not at.live:
            continue
        behind = now - at.position
        if at.error:
            yield error("projection", f"{at.name} stopped at {at.position:,}: {at.error.splitlines()[0]}",
                        f"hivelog rebuild {at.name}")  # fmt: skip
        elif behind > _BEHIND:
            yield warning("projection", f"{at.name} is {behind:,} positions behind the log",
                          "is `hivelog serve` running? it catches up by itself")  # fmt: skip
        else:
            yield ok("projection", f"{at.name} is {behind:,} positions behind the log")


async def check_outbox(connection: Connection) -> AsyncIterator[Finding]:
    found = await outbox.status(connection)
    if found.refused:
        yield warning("outbox", f"{found.refused:,} jobs enqueued from SQL were refused",
                      "see hivelog.outbox_refused; enqueue them anew and delete the rows")  # fmt: skip
    if (found.oldest_seconds or 0) > _OLD:
        said = f"{found.waiting:,} jobs wait in the outbox, the oldest for {found.oldest_seconds:,.0f} s"
        yield warning("outbox", said, "run `hivelog serve`, which relays them")
    elif not found.refused:
        yield ok("outbox", f"{found.waiting:,} jobs wait in it")


async def check_seals(connection: Connection) -> AsyncIterator[Finding]:
    rows = await _rows(connection, "seal_lag")
    behind, seconds, position, _ = rows[0]
    if not position and behind:
        yield warning("seals", "nothing of the log is sealed", "run `hivelog serve` where the signing key is")
    elif (seconds or 0) > _UNSEALED:
        said = f"{behind:,} events are not sealed, the oldest for {seconds:,.0f} s"
        yield warning("seals", said, "is `hivelog serve` running where the signing key is? see its log")
    else:
        yield ok("seals", f"sealed up to {position:,}; `hivelog audit verify` says whether it is so still")


async def check_types(connection: Connection) -> AsyncIterator[Finding]:
    rows = await _rows(connection, "unserved_types")
    for queue, kind in rows:
        yield warning("workers", f"{kind} waits in {queue}, and no live worker runs it there",
                      f"start one: hivelog worker --queue {queue} --handlers MODULE")  # fmt: skip
    if not rows:
        yield ok("workers", "every type that waits has a live worker")


async def check_marks(connection: Connection) -> AsyncIterator[Finding]:
    rows = await _rows(connection, "diff_marks")
    for queue, what, marked, counted in rows:
        yield error("depths", f"{queue} has {counted:,} {what}, and its mark says {marked:,}", _BUG)
    if not rows:
        yield ok("depths", "marks agree with the live tables")


async def check_jobs(connection: Connection) -> AsyncIterator[Finding]:
    """Over the whole log, so without a time limit."""
    await connection.execute("set statement_timeout = 0")
    connection.silence = None
    rows = await _rows(connection, "doctor_jobs")
    for what, jobs, sample in rows:
        todo = f"`hivelog job {sample} --history`; {_BUG}"
        yield error("jobs", f"{jobs:,} jobs {_SAID[what]}, such as {sample}", todo)
    if not rows:
        yield ok("jobs", "every acknowledged job is live or has ended")


_BUG: Final = "a bug of ours: please report it with the output of `hivelog diff --json`"


async def _rows(connection: Connection, query: str) -> list[Any]:
    return await (await connection.execute(sql.load(query))).fetchall()
