"""Doctor's look at PostgreSQL itself: version, durability, rights, poolers, clocks, old snapshots."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from psycopg.rows import dict_row

from .. import sql
from ..events import pool, snapshots
from ..events.pool import Connection
from ..settings import Settings
from .findings import Finding, error, ok, warning

_OLDEST: Final = 15
_SKEW: Final = 1.0  # seconds
_CONNECTIONS: Final = 0.8  # of max_connections


class Session(Struct, frozen=True):
    """What a self-test saw: the process id that the server announced and the one that answered, whether a
    setting outlived its transaction, and whether a notification arrived."""

    announced_pid: int
    answering_pid: int
    keeps_settings: bool
    hears: bool


async def check_server(settings: Settings, connection: Connection) -> AsyncIterator[Finding]:
    """Everything that needs no schema."""
    for finding in server_findings(await _row(connection, "doctor_server")):
        yield finding
    assert settings.database_url is not None
    yield pooler_finding(await probe_session(settings.database_url))
    yield await _clock(connection)


async def _row(connection: Connection, query: str) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql.load(query))
        row = await cursor.fetchone()
    assert row is not None
    return row


def server_findings(row: dict[str, Any]) -> list[Finding]:
    """Pure: a row of sql/queries/doctor_server.sql."""
    version = f"PostgreSQL {row['version'] // 10_000}.{row['version'] % 10_000}"
    found = [ok("postgresql", f"{version}, as {row['user_name']}")]
    if row["version"] // 10_000 < _OLDEST:
        found[0] = error("postgresql", f"{version} is too old", f"use PostgreSQL {_OLDEST} or newer")
    if row["standby"]:
        todo = "point DATABASE_URL to the primary"
        found.append(error("standby", "this is a standby, which cannot be written", todo))
    found.append(_durability(row))
    if row["superuser"]:
        todo = "connect as a user of its own (see hivelog migrate)"
        said = f"{row['user_name']} is a superuser: nothing guards the log from it"
        found.append(warning("role", said, todo))
    if row["connections"] > _CONNECTIONS * row["max_connections"]:
        said = f"{row['connections']} of {row['max_connections']} connections are in use"
        found.append(warning("connections", said, "raise max_connections, or run fewer processes"))
    return found


def _durability(row: dict[str, Any]) -> Finding:
    off = [name for name in ("fsync", "full_page_writes") if not row[name]]
    if off:
        return error("durability", f"{', '.join(off)} off: a crash can lose or damage acknowledged jobs",
                     "set it to on in postgresql.conf")  # fmt: skip
    if row["synchronous_commit"] == "off":
        return error("durability", "synchronous_commit is off: a crash loses the last acknowledged jobs",
                     "alter role ... set synchronous_commit = on, at least for this user")  # fmt: skip
    return ok("durability", f"fsync on, synchronous_commit {row['synchronous_commit']}")


async def probe_session(url: str) -> Session:
    """Use a session as our processes do. A second connection holds a transaction meanwhile, so that a
    pooler that lends server connections by the transaction must lend us another one."""
    one, other = await pool.connect(url, "hivelog doctor"), await pool.connect(url, "hivelog doctor")
    try:
        return await _probe(one, other)
    finally:
        await one.close()
        await other.close()


async def _probe(one: Connection, other: Connection) -> Session:
    mark, channel = secrets.token_hex(8), f"hivelog_doctor_{secrets.token_hex(4)}"
    await one.execute("select set_config('hivelog.doctor', %s, false)", (mark,))
    await one.execute(f"listen {channel}".encode())
    async with other.transaction():
        await other.execute("select 1")
        cursor = await one.execute("select pg_backend_pid(), current_setting('hivelog.doctor', true)")
        row = await cursor.fetchone()
    assert row is not None
    await other.execute("select pg_notify(%s, '')", (channel,))
    heard = [note async for note in one.notifies(timeout=2, stop_after=1)]
    return Session(one.info.backend_pid, row[0], row[1] == mark, bool(heard))


def pooler_finding(session: Session) -> Finding:
    """Pure: what follows from a self-test."""
    if not session.keeps_settings or not session.hears:
        lost = "settings" if not session.keeps_settings else "notifications"
        return error("pooler", f"a pooler in transaction mode is between: it loses a session's {lost}",
                     "connect to PostgreSQL itself, or set pool_mode = session")  # fmt: skip
    if session.announced_pid != session.answering_pid:
        return warning("pooler", "a pooler is between, in session mode: it works, and costs latency",
                       "connect to PostgreSQL itself; Hivelog pools by itself")  # fmt: skip
    return ok("pooler", "none between: sessions keep their settings and hear notifications")


async def _clock(connection: Connection) -> Finding:
    """Only the database's clock decides; but ids are minted from ours, and people compare logs."""
    before = time.monotonic()
    row = await (await connection.execute("select clock_timestamp()")).fetchone()
    trip = time.monotonic() - before
    assert row is not None
    skew = (datetime.now(UTC) - row[0]).total_seconds() - trip / 2
    if abs(skew) > _SKEW:
        how = "ahead of" if skew > 0 else "behind"
        return warning("clock", f"this machine is {abs(skew):.1f} s {how} the database", "run NTP on both")
    return ok("clock", f"{abs(skew) * 1000:.0f} ms apart, {trip * 1000:.1f} ms away")


async def check_snapshots(connection: Connection) -> AsyncIterator[Finding]:
    """Needs the schema."""
    found = await snapshots.held(connection)
    for each in found:
        yield warning("old snapshots", f"{each}: dead rows behind it make claims by SQL slow",
                      "end it, or let it commit more often")  # fmt: skip
    if not found:
        yield ok("old snapshots", f"no transaction is older than {snapshots.OLD:.0f} s")


async def check_rights(connection: Connection) -> AsyncIterator[Finding]:
    """Needs the schema."""
    rights = await _row(connection, "doctor_rights")
    if not rights["may_append"] or not rights["may_read"]:
        missing = "call hivelog.append" if not rights["may_append"] else "read hivelog.events"
        todo = "run `hivelog migrate` with HIVELOG_MIGRATE_URL set to the owner's URL"
        yield error("rights", f"this user may not {missing}", todo)
    elif rights["owner"] or rights["may_write"]:
        said = "this user owns the log: only triggers keep it append-only, and it could drop them"
        yield warning("rights", said, "HIVELOG_MIGRATE_URL for the owner, DATABASE_URL for another user")
    else:
        yield ok("rights", "this user can append to the log and cannot rewrite it")
