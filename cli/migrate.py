"""`hivelog migrate`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from . import output
from .app import RUN, Data, Json, app
from .errors import FAILED


@app.command(rich_help_panel=RUN)
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if there is work.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Bring the database's schema to this version.

    Runs as the owner of HIVELOG_MIGRATE_URL, else as the user of DATABASE_URL. Any number may run at once:
    one works, the others wait and find nothing to do.

    **Examples**

    `hivelog migrate`

    `hivelog migrate --check || echo "deploy the migration first"`
    """
    from ..sql import migrate as migrations
    from .servers import load_settings, reachable

    with reachable(load_settings(quiet=True, data=data), quiet=as_json) as settings:
        owner = settings.migrate_url or settings.database_url
        assert owner is not None
        if check:
            return _checked(migrations.check(owner), as_json)
        with output.busy("Migrating", quiet=as_json):
            app_url = settings.database_url if settings.migrate_url else None
            report = migrations.migrate(owner, app_url=app_url)
    _print(report, as_json)
    return 0


def _checked(pending: list[str], as_json: bool) -> int:
    if as_json:
        output.print_json({"up_to_date": not pending, "pending": pending})
    else:
        for name in pending:
            output.say(f"would apply {name}")
        output.say("[yellow]Run `hivelog migrate`.[/]" if pending else "Up to date.")
    return FAILED if pending else 0


def _print(report: object, as_json: bool) -> None:
    from ..sql.migrate import Report

    assert isinstance(report, Report)
    if as_json:
        found = {"migrations": report.migrations, "replaced": report.replaced, "warnings": report.warnings}
        output.print_json(found)
        return
    for name in (*report.migrations, *report.replaced):
        output.say(f"applied {name}")
    for warning in report.warnings:
        output.note(f"[yellow]warning:[/] {escape(warning)}")
    output.say("Migrated." if report.changed else "Up to date.")
