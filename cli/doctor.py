"""`hivelog doctor`: looks at all that Hivelog stands on, and says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import psycopg
from rich.markup import escape

from ..events.pool import Connection
from ..settings import Settings
from . import output
from .app import LOG, Data, Json, app
from .errors import FAILED, CommandError, database, explain
from .findings import Finding, error, ok

_MARKS: Final = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}


@app.command(rich_help_panel=LOG)
def doctor(data: Data = None, as_json: Json = False) -> int:
    """Look at PostgreSQL, Redis, the schema and the log, and say what to do. Exit 1 on an error.

    Among much else: durability settings, a pooler between, clocks, migrations, lag, and whether any
    acknowledged job is neither live nor ended.

    **Examples**

    `hivelog doctor`

    `hivelog doctor --json | jq '.findings[] | select(.level != "ok")'`
    """
    import uvloop

    from .servers import load_settings, reachable

    settings = load_settings(quiet=True, data=data)
    if settings.database_url is None:
        from .running import find

        if find(settings.data) is None:
            hint = "start `hivelog up`, or set DATABASE_URL"
            raise CommandError(f"nothing runs on {settings.data}", hint)
    with reachable(settings) as found:
        findings = uvloop.run(_examine(found, as_json))
    failed = any(finding.level == "error" for finding in findings)
    if as_json:
        output.print_json({"healthy": not failed, "findings": findings})
    else:
        _sum_up(findings)
    return FAILED if failed else 0


async def _examine(settings: Settings, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if not quiet:
            show(finding)
    return findings


def show(finding: Finding) -> None:
    """One line, and what to do below it."""
    output.say(f"{_MARKS[finding.level]} {finding.what:<14} {escape(finding.said)}")
    if finding.todo is not None:
        output.say(f"{'':22} [dim]->[/] {escape(finding.todo)}")


def _sum_up(findings: list[Finding]) -> None:
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    output.say(f"\n{errors} errors, {warnings} warnings, {len(findings) - errors - warnings} ok")


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """All findings, in the order in which one explains the next."""
    from ..events import pool
    from .check_redis import check_redis
    from .check_server import check_server

    assert settings.database_url is not None
    assert settings.redis_url is not None
    async for finding in check_redis(settings.redis_url):
        yield finding
    try:
        connection = await pool.connect(settings.database_url, "hivelog doctor")
    except psycopg.OperationalError as problem:
        yield error("postgresql", database(problem).message, "start it; check DATABASE_URL")
        return
    try:
        async for finding in check_server(settings, connection):
            yield finding
        migrated = _migrations(settings)
        yield migrated
        if migrated.level == "ok":
            async for finding in _schema(settings, connection):
                yield finding
    finally:
        await connection.close()


def _migrations(settings: Settings) -> Finding:
    from ..sql import migrate

    assert settings.database_url is not None
    try:
        pending = migrate.check(settings.database_url)
    except migrate.MigrationError as problem:
        return error("schema", str(problem), "see above")
    if pending:
        said = f"{len(pending)} changes are missing, the first {pending[0]}"
        return error("schema", said, "hivelog migrate")
    return ok("schema", "up to date")


async def _schema(settings: Settings, connection: Connection) -> AsyncIterator[Finding]:
    from . import check_log
    from .check_server import check_rights, check_snapshots

    checks = (
        check_rights, check_snapshots, check_log.check_partitions, check_log.check_epoch,
        check_log.check_projections, check_log.check_outbox, check_log.check_seals, check_log.check_types,
        check_log.check_marks, check_log.check_jobs,
    )  # fmt: skip
    for check in checks:
        try:
            async for finding in check(connection):
                yield finding
        except psycopg.Error as problem:  # one check that cannot look must not hide the others
            name = check.__name__.removeprefix("check_")
            yield error(name, database(problem).message, "see the others first")
    async for finding in _feed(settings):
        yield finding


async def _feed(settings: Settings) -> AsyncIterator[Finding]:
    """With an engine, which also proves that the keys of this process open the vault."""
    from ..broker.connection import RedisUnavailable
    from ..broker.engine import Engine
    from .check_redis import check_feed

    try:
        async with Engine(settings, name="doctor", pool_size=2) as engine:
            on = "encryption is on, its key is here"
            yield ok("keys", on if settings.encryption_enabled else "encryption is off")
            async for finding in check_feed(engine):
                yield finding
    except RedisUnavailable:
        return  # said already
    except Exception as problem:
        known = explain(problem)
        if known is None:
            raise
        yield error("engine", str(known), "hivelog --debug doctor shows more")
