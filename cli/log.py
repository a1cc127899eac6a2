"""`hivelog events`, `rebuild`, `diff`: the log, and what is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from . import output
from .api import Api, Target, with_api
from .app import LOG, Data, Json, Token, Url, app
from .errors import FAILED, MISUSED, CommandError
from .output import Report

_PAGE: Final = 1000
_LOOK: Final = 0.5  # seconds between two looks for new events
_REDIS: Final = "redis"


def _filter(name: str, text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


@app.command(rich_help_panel=LOG)
def events(
    after: Annotated[int | None, _filter("--after", "Events after this position, oldest first.", "P")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    type: Annotated[str | None, _filter("--type", "Event types: failed,lost ...")] = None,  # noqa: A002
    queue: Annotated[str | None, _filter("--queue", "Only of this queue.", "QUEUE")] = None,
    job: Annotated[str | None, _filter("--job", "Only of this job.", "JOB")] = None,
    actor: Annotated[str | None, _filter("--actor", "Who did it, such as user:ann.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new ones, until Ctrl-C.")
    ] = False,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Read the log: by itself its end, with --after any part of it. --json prints an event a line.

    **Examples**

    `hivelog events`

    `hivelog events --follow --type failed,retry_scheduled`

    `hivelog events --after 0 --limit 1000000 --json > log.ndjson`
    """
    chosen = {"type": type, "queue": queue, "job": job, "actor": actor}

    async def work(api: Api) -> None:
        start = after if after is not None else await _near_end(api, limit, chosen)
        async for event in _events(api, start, None if follow else limit, chosen):
            _print(event, as_json)

    with_api(Target(url, token, data), work)
    return 0


async def _near_end(api: Api, limit: int, chosen: dict[str, str | None]) -> int:
    """With a filter nobody knows how far back its events are: then from the beginning."""
    if any(chosen.values()):
        return 0
    return max(0, int((await api.get("/queue/status"))["position"]) - limit)


async def _events(
    api: Api, after: int, limit: int | None, chosen: dict[str, str | None]
) -> AsyncIterator[dict[str, Any]]:
    """Page by page; without a limit for ever."""
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = await api.get("/events", after=after, limit=size, **chosen)
        for event in page["events"]:
            yield event
            after = event["position"]
        left = None if left is None else left - len(page["events"])
        if page["next"] is not None:
            after = page["next"]
        elif left is None:
            await asyncio.sleep(_LOOK)
        else:
            return


def _print(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_line(event)
        return
    about = event["queue"] or ""
    data = output.json_text(event["data"]) if event["data"] else ""
    output.say(
        f"[dim]{event['position']:>9,} {output.clock(event['recorded_at'])}[/] "
        f"[{_style(event['type'])}]{event['type']:<16}[/] {escape(f'{about:<14}')} {event['job']} "
        f"[dim]{escape(event['actor'])}[/] {escape(data)}"
    )


def _style(event: str) -> str:
    styles = {"retry_scheduled": "yellow", "lost": "red", "cancel_requested": "magenta"}
    return output.STATUS_STYLES.get(event) or styles.get(event, "bold")


@app.command(rich_help_panel=LOG)
def rebuild(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="jobs, failures, workers or redis; all unless named.",
                       show_default=False),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Make what is derived from the log anew: the projections, and Redis.

    Readers see the old one until the new one has caught up. Says how many rows of the old one were
    not as they had to be; there should be none.

    **Examples**

    `hivelog rebuild`

    `hivelog rebuild jobs`

    `hivelog rebuild redis`
    """  # fmt: skip
    from ..projections.definitions import PROJECTIONS

    known = [projection.name for projection in PROJECTIONS]
    wanted = names or [*known, _REDIS]
    if unknown := [name for name in wanted if name not in (*known, _REDIS)]:
        hint = f"there are {', '.join(known)} and {_REDIS}"
        raise CommandError(f"there is no projection {unknown[0]!r}", hint, status=MISUSED)
    import uvloop

    with _servers(data) as settings:
        done = [uvloop.run(_rebuild(settings, name, as_json)) for name in wanted]
    if as_json:
        output.print_json({"rebuilt": done})
    return 0


def _servers(data: Path | None) -> Any:
    """These work beside the API, on the database itself."""
    from .api import database

    return database(Target(None, None, data))


async def _rebuild(settings: Any, name: str, as_json: bool) -> dict[str, Any]:
    with output.progress(f"Rebuilding {name}", quiet=as_json) as report:
        made = await (_redis(settings) if name == _REDIS else _projection(settings, name, report))
    if not as_json:
        differed = sum((made["differences"] or {}).values())
        told = f"; [red]{differed:,} rows had been wrong[/]" if differed else ""
        output.say(f"{name} rebuilt up to position {made['position']:,}{told}")
    return made


async def _projection(settings: Any, name: str, report: Report) -> dict[str, Any]:
    from ..projections.rebuild import rebuild as rebuild_projection

    made = await rebuild_projection(settings.database_url, name, progress=report)
    return {"name": name, "position": made.position, "differences": made.differences}


async def _redis(settings: Any) -> dict[str, Any]:
    """Ask for it, then wait until the checkpoint has reached what the log was at that moment."""
    from ..broker.engine import Engine
    from ..events.read import head

    async with Engine(settings, name="cli", pool_size=2) as engine:
        async with engine.pool.connection() as connection:
            wanted = (await head(connection)).position
        engine.feeder.catch_up(anew=True)
        deadline = asyncio.get_running_loop().time() + 600
        while not engine.feeder.available or engine.feeder.lag.checkpoint < wanted:
            if engine.redis.error or asyncio.get_running_loop().time() > deadline:
                why = engine.redis.error or "it took too long"
                raise CommandError(f"Redis was not rebuilt ({why})", "`hivelog doctor` looks at it")
            await asyncio.sleep(0.05)
        return {"name": _REDIS, "position": engine.feeder.lag.checkpoint, "differences": None}


@app.command(rich_help_panel=LOG)
def diff(
    most: Annotated[int, typer.Option("--most", min=1, help="Stop after so many differences.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Hold all that is derived from the log against the log: every job, every count.

    Exit 1 if they differ. There are no differences. `hivelog rebuild` mends a projection; a difference in
    a live table or in a mark is a bug worth a report.

    **Example**

    `hivelog diff --json`
    """  # fmt: skip
    import uvloop

    with _servers(data) as settings:
        compared = uvloop.run(_compare(settings, most, as_json))
    if as_json:
        output.print_json(compared)
        return FAILED if compared.differences else 0
    rows = ((d.where, d.subject, d.what, str(d.expected), str(d.found)) for d in compared.differences)
    columns = ("where", "job or queue", "what", "by the log", "found")
    none = f"No differences in {compared.jobs:,} jobs, at position {compared.position:,}."
    output.table(columns, rows, empty=none)
    return FAILED if compared.differences else 0


async def _compare(settings: Any, most: int, quiet: bool) -> Any:
    """Projections that merely trail by a moment are no difference: let them catch up first."""
    from ..events import pool
    from ..projections.diff import diff as compare
    from ..projections.runner import Runner

    runner = Runner(settings.database_url)
    try:
        await runner.catch_up()
    finally:
        await runner.stop()
    connection = await pool.connect(settings.database_url, "hivelog diff")
    try:
        with output.progress("Comparing", quiet=quiet) as report:
            return await compare(connection, most=most, progress=lambda jobs: report(jobs, 0))
    finally:
        await connection.close()
