"""`hivelog retention`: what is too old goes from the log, archived first. `serve` does it by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .api import Target, account, database
from .app import LOG, Data, Json, app
from .errors import CommandError

if TYPE_CHECKING:
    from ..events.retention import Done
    from ..events.retention_plan import Plan
    from ..settings import Settings


@app.command(rich_help_panel=LOG)
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Take what is older than the retention time from the log now, archived first.

    `hivelog serve` does it by itself, every ten minutes. Whole partitions of the log go; the events of live
    jobs, queues and workers stay, and statistics. Vault and job list follow. HIVELOG_ARCHIVE says where the
    archive is; it must be set here as it is for `serve`.

    **Examples**

    `hivelog retention --dry-run`

    `hivelog config retention_days=90`
    """
    import uvloop

    with database(Target(None, None, data)) as settings:
        told = uvloop.run(_plan(settings) if dry_run else _run(settings, as_json))
    if as_json:
        output.print_json(told)
        return 0
    output.say(_said(told))
    return 0


def _said(told: dict[str, Any]) -> str:
    lines = [f"{told['events']:,} events {told['what']}, up to position {told['edge']:,}"]
    if told.get("carried"):
        lines.append(f"{told['carried']:,} events stay of what lives, {told['jobs']:,} jobs are forgotten")
    if told["archive"] is not None:
        lines.append(f"archive: {told['archive']}")
    if told["waits"]:
        lines.append(f"[yellow]older ones wait:[/] {told['waits']}")
    return "\n".join(lines)


async def _plan(settings: Settings) -> dict[str, Any]:
    from ..broker.engine import Engine
    from ..events.retention_plan import read_plan

    async with Engine(settings, name="cli", pool_size=2) as engine:
        days = (await engine.configuration.current()).retention_days
        async with engine.pool.connection() as connection:
            plan = await read_plan(connection, days)
    return _told(settings, plan, "would go", plan.edge, plan.count)


async def _run(settings: Settings, quiet: bool) -> dict[str, Any]:
    from ..broker.engine import Engine
    from ..broker.retention import Retaining
    from ..events.archive import ArchiveError
    from ..events.retention import Busy, Unsealed

    assert settings.database_url is not None
    with output.progress("Retaining", quiet=quiet) as report:
        async with Engine(settings, name="cli", pool_size=2) as engine:
            retaining = Retaining(
                settings.database_url, engine.configuration, engine.names, engine.appender.submit,
                settings.archive_to, actor=f"user:{account()}",
                progress=lambda step, done, total: report(done, total),
            )  # fmt: skip
            try:
                done = await retaining.once()
            except (Busy, ArchiveError) as error:
                raise CommandError(str(error)) from None
            except Unsealed as error:
                raise CommandError(str(error), "is `hivelog serve` running, with its signing key?") from None
    return _finished(settings, done)


def _finished(settings: Settings, done: Done) -> dict[str, Any]:
    assert done.plan is not None
    told = _told(settings, done.plan, "are gone", done.edge, done.dropped)
    return {**told, "carried": done.carried, "jobs": done.jobs}


def _told(settings: Settings, plan: Plan, what: str, edge: int, events: int) -> dict[str, Any]:
    archive = None if settings.archive_to is None else str(settings.archive_to)
    return {
        "what": what, "edge": edge, "events": events, "before": plan.cutoff.isoformat(), "archive": archive,
        "waits": plan.reason,
    }  # fmt: skip
