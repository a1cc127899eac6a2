"""Worker sessions: those that live, with what they run now, and those that ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from ..events.log import milliseconds
from ..events.pool import Connection


class Worker(Struct, frozen=True):
    """A session. Times in ms since 1970; `jobs`: id, queue, type and started_at (RFC 3339) of what it runs,
    at most 100; completed and failed count attempts, as projected. ended_by: stopped or lost."""

    session: str
    name: str
    host: str
    pid: int
    queues: list[str]
    types: list[str]
    slots: int
    busy: int
    jobs: list[dict[str, Any]]
    started_at: int
    last_heartbeat: int | None
    memory_mib: int | None
    loop_blocked: int | None
    stale: bool
    ended_at: int | None
    ended_by: str | None
    completed: int
    failed: int


async def workers(connection: Connection, *, ended_since: int | None = None) -> list[Worker]:
    """Living sessions by name, straight from the live tables; with `ended_since` also later ended ones."""
    since = None if ended_since is None else datetime.fromtimestamp(ended_since / 1000, UTC)
    cursor = await connection.execute(sql.load("worker_status"), {"since": since})
    return [_worker(row) for row in await cursor.fetchall()]


def _worker(row: TupleRow) -> Worker:
    values: list[Any] = [milliseconds(x) if isinstance(x, datetime) else x for x in row]
    return Worker(str(values[0]), *values[1:])
