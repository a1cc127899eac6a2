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
    """Another one: `epoch` is over. `reason` is `system_identifier` or `timeline`."""

    epoch: int
    identity: Identity
    reason: str


async def identity(conn: Connection) -> Identity:
    """The server's, now."""
    cursor = await conn.execute("select * from hivelog.server_identity()")
    row = await cursor.fetchone()
    assert row is not None
    return Identity(*row)


async def check(conn: Connection) -> Same | New:
    """Compare server and log; the very first call writes down where epoch 1 began."""
    row = await _state(conn)
    if row[0] is None:
        await conn.execute("select hivelog.first_epoch()")
        row = await _state(conn)
    epoch, stored, live = row[0], Identity(*row[1:3]), Identity(*row[3:5])
    if stored.system_identifier != live.system_identifier:
        return New(epoch, live, "system_identifier")
    # Not told is not different: a standby that is asked too early must not end an epoch.
    if 0 not in (stored.timeline, live.timeline) and stored.timeline != live.timeline:
        return New(epoch, live, "timeline")
    return Same(epoch, live)


async def _state(conn: Connection) -> tuple[Any, ...]:
    cursor = await conn.execute(sql.load("epoch_state"))
    row = await cursor.fetchone()
    assert row is not None
    return row


async def ensure(log: Log, conn: Connection, actor: int) -> int:
    """The epoch to work in: a new one, opened here or by another process, if the server changed."""
    found = await check(conn)
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
