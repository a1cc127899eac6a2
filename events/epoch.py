"""Epochs: one unbroken life of the log each.

A database that was restored, copied or failed over may have lost its tail and give positions out again.
It shows in the system identifier or the timeline, or in somebody who remembers a position beyond the head.
Then a new epoch begins, and every token, position and checkpoint of the old one is void.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from .. import sql
from .batch import Part, Record
from .log import Log
from .memory import Memory
from .names import SYSTEM_STREAM
from .pool import Connection

_log = structlog.get_logger(__name__)


class Identity(Struct, frozen=True):
    """Which server, and on which of its timelines (0 where it does not tell)."""

    system_identifier: str
    timeline: int


class Same(Struct, frozen=True):
    """The server on which the last epoch began."""

    epoch: int
    identity: Identity


class New(Struct, frozen=True):
    """Another one: `epoch` is over, the last one that anybody here has seen. `reason` is `system_identifier`,
    `timeline`, or `ahead`: what was seen of the log is not in it any more."""

    epoch: int
    identity: Identity
    reason: str


class End(Struct, frozen=True):
    """Of the log, now. `log`: its name; empty before the first start. `cut`: it was another before."""

    epoch: int
    head: int
    log: str
    cut: bool


async def identity(conn: Connection) -> Identity:
    """The server's, now."""
    cursor = await conn.execute("select * from hivelog.server_identity()")
    row = await cursor.fetchone()
    assert row is not None
    return Identity(*row)


async def check(conn: Connection, memory: Memory | None = None) -> Same | New:
    """Compare server, log and what is remembered of it; the very first call writes down where epoch 1 began.

    Sets `memory.log`.
    """
    memory = Memory() if memory is None else memory
    before = memory.seen[0]
    row = await _state(conn)
    if row[0] is None:
        await conn.execute("select hivelog.first_epoch()")
        row = await _state(conn)
    last, end = memory.seen[0], await end_of_log(conn, memory)
    memory.log = end.log
    epoch, stored, live = row[0], Identity(*row[1:3]), Identity(*row[3:5])
    # An epoch that began in the lost tail has its number for ever.
    over = max(epoch, before)
    if stored.system_identifier != live.system_identifier:
        return New(over, live, "system_identifier")
    # Not told is not different: a standby that is asked too early must not end an epoch.
    if 0 not in (stored.timeline, live.timeline) and stored.timeline != live.timeline:
        return New(over, live, "timeline")
    if end.cut:
        return New(max(epoch, last), live, "ahead")
    return Same(epoch, live)


async def end_of_log(conn: Connection, memory: Memory) -> End:
    """Where the log ends, and whether it lost what is remembered of it: its end, or (it has grown again) that
    batch."""
    seen, at, batch = memory.seen, memory.at, memory.batch
    cursor = await conn.execute(sql.load("epoch_evidence"), {"at": at[1]})
    row = await cursor.fetchone()
    assert row is not None
    head, epoch, log, kept, found = row
    # Where nothing older is kept, the row may have gone because of its age.
    another = kept and at[0] == epoch and batch != (None if found is None else found.bytes)
    return End(epoch, head, log or "", cut=seen > (epoch, head) or another)


async def _state(conn: Connection) -> tuple[Any, ...]:
    cursor = await conn.execute(sql.load("epoch_state"))
    row = await cursor.fetchone()
    assert row is not None
    return row


async def ensure(log: Log, conn: Connection, actor: int) -> int:
    """The epoch to work in: a new one, opened here or by another process, if the server changed or the log
    lost its tail."""
    found = await check(conn, log.memory)
    if isinstance(found, Same):
        return found.epoch
    return await open_epoch(log, found.identity, found.epoch, actor, found.reason)


async def open_epoch(log: Log, where: Identity, ended: int, actor: int, reason: str) -> int:
    """End epoch `ended`; answers the number of the next. Harmless when others do the same at once.

    `reason` as in `New`, or `ahead`: somebody knows a position that the log has not reached. `log` is
    this call's own, and afterwards in the new epoch; other logs of the process must be opened again.
    """
    data = {
        "epoch": ended + 1,
        "system_identifier": where.system_identifier,
        "timeline": where.timeline,
        "reason": reason,
    }
    record = Record(
        str(UUID(bytes=SYSTEM_STREAM)), "epoch_started", actor, data=msgspec.Raw(msgspec.json.encode(data))
    )
    appended = await log.append([Part(records=[record])])
    if ("r", 0) not in appended.outcomes[0].refused:
        _log.error(
            "new epoch: the database was restored or failed over, and may have lost the end of its log; "
            "tokens, cursors and Redis of the old epoch are void",
            **data,
        )
    await log.open()
    return log.epoch
