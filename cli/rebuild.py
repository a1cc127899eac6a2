"""`hivelog rebuild`, `diff`: what is made of the log, made anew, and held against it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import typer

from . import output
from .api import Target, database
from .app import LOG, Data, Json, app
from .errors import FAILED, MISUSED, CommandError
from .output import Report

_REDIS: Final = "redis"
_SEARCH: Final = "search"


@app.command(rich_help_panel=LOG)
def rebuild(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            show_default=False,
            help="jobs, failures, workers, rounds, redis or search; all unless named.",
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Let the old tables stay, as NAME_g1 ...")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Only drop the old tables that were kept.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Make what is derived from the log anew: the projections, Redis, and search.

    Readers see the old one until the new one has caught up. Says how many rows of the old one were
    not as they had to be; there should be none.

    **Examples**

    `hivelog rebuild`

    `hivelog rebuild jobs`

    `hivelog rebuild jobs --keep`

    `hivelog rebuild redis`
    """  # fmt: skip
    from ..projections.definitions import PROJECTIONS

    known = [*(projection.name for projection in PROJECTIONS), _REDIS, _SEARCH]
    wanted = names or known
    if unknown := [name for name in wanted if name not in known]:
        hint = f"there are {', '.join(known[:-1])} and {known[-1]}"
        raise CommandError(f"there is no projection {unknown[0]!r}", hint, status=MISUSED)
    if drop:
        if keep:
            raise CommandError("keep or drop?", "give one of --keep and --drop", status=MISUSED)
        return _drop(data, [name for name in wanted if name not in (_REDIS, _SEARCH)], as_json)
    import uvloop

    projections = [name for name in wanted if name not in (_REDIS, _SEARCH)]
    done = []
    with database(Target(None, None, data)) as settings:
        if projections:
            done += uvloop.run(_projections(settings, projections, keep, as_json))
        done += [
            uvloop.run(_other(settings, name, as_json)) for name in wanted if name not in projections
        ]
    if as_json:
        output.print_json({"rebuilt": done})
    return 0


async def _projections(
    settings: Any, names: list[str], keep: bool, as_json: bool
) -> list[dict[str, Any]]:
    from ..projections.rebuild import rebuild_all

    with output.progress(f"Rebuilding {', '.join(names)}", quiet=as_json) as report:
        made = await rebuild_all(settings.database_url, names, progress=report, keep=keep)
    return [
        _told({"name": each.name, "position": each.position, "differences": each.differences}, as_json)
        for each in made
    ]


async def _other(settings: Any, name: str, as_json: bool) -> dict[str, Any]:
    with output.progress(f"Rebuilding {name}", quiet=as_json) as report:
        made = await (_search(settings, report) if name == _SEARCH else _redis(settings))
    return _told(made, as_json)


def _told(made: dict[str, Any], as_json: bool) -> dict[str, Any]:
    if not as_json:
        differed = sum((made["differences"] or {}).values())
        told = f"; [red]{differed:,} rows had been wrong[/]" if differed else ""
        output.say(f"{made['name']} rebuilt up to position {made['position']:,}{told}")
    return made


def _drop(data: Any, names: list[str], as_json: bool) -> int:
    """The old generations that earlier rebuilds kept."""
    import uvloop

    from ..projections.rebuild import drop_kept

    with database(Target(None, None, data)) as settings:
        assert settings.database_url is not None
        dropped = {name: uvloop.run(drop_kept(settings.database_url, name)) for name in names}
    if as_json:
        output.print_json({"dropped": dropped})
        return 0
    for name, numbers in dropped.items():
        output.say(f"{name}: {len(numbers)} old generations dropped")
    return 0


async def _search(settings: Any, report: Report) -> dict[str, Any]:
    """Look the log through again here, up to its end as it is now. `serve` may help, and goes on."""
    from ..broker.engine import Engine
    from ..projections import search

    async with Engine(settings, name="cli", pool_size=2) as engine:
        indexer = search.Indexer(engine.pool, engine.vault)
        async with engine.pool.connection() as connection:
            at = await search.state(connection)
            if not indexer.has_key_of(at):
                hint = "set MESSAGING_ENCRYPTION_ENABLED and MESSAGING_ENCRYPTION_KEY as `serve` has them"
                raise CommandError("search cannot be rebuilt without the newest key", hint)
            while not await search.restart(connection, at):
                at = await search.state(connection)
            reached = at = search.State(0, at.kek, at.head)
            while reached.position < at.head:
                await indexer.step()
                reached = await search.state(connection)
                report(reached.position, at.head)
        return {"name": _SEARCH, "position": reached.position, "differences": None}


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

    with database(Target(None, None, data)) as settings:
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
            return await compare(connection, most=most, progress=report)
    finally:
        await connection.close()
