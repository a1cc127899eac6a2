"""`hivelog replay`: recorded work once more, and recorded load under other limits."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Final

import typer

from . import output
from .api import Target, database
from .app import LOG, Data, Json, Yes, app
from .errors import MISUSED, CommandError
from .replay_print import print_what_if
from .replay_run import Asked, run
from .worker import Handlers

_SPANS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(r"(\d{1,6})([smhd])")


def _option(name: str, text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


@app.command(rich_help_panel=LOG)
def replay(
    limits: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LIMIT]...", show_default=False, help="More limits of --what-if."),
    ] = None,
    way: Annotated[
        str | None,
        _option("--as", "redrive (the same jobs), copy (new ones) or shadow (compare only).", "WAY"),
    ] = None,
    type: Annotated[str | None, _option("--type", "Jobs of this type.")] = None,  # noqa: A002
    queue: Annotated[str | None, _option("--queue", "Only of this queue.", "QUEUE")] = None,
    since: Annotated[
        str | None, _option("--since", "Created at or after; or so long ago: 2h, 30m.", "TIME")
    ] = None,
    until: Annotated[str | None, _option("--until", "Created before; now unless given.", "TIME")] = None,
    filter: Annotated[  # noqa: A002
        str | None, _option("--filter", "Payload fields (user_id:u1) and words, as `hivelog jobs --q`.")
    ] = None,
    state: Annotated[
        str | None, _option("--state", "Only jobs in these: failed,expired ...", "STATES")
    ] = None,
    rate: Annotated[str | None, _option("--rate", "No more than so many: 50/s, 100/m.", "N/s")] = None,
    handlers: Handlers = None,
    ignore: Annotated[
        list[str] | None,
        _option(
            "--ignore", "A path of results that --as shadow does not compare: made_at, files.*.name.", "PATH"
        ),
    ] = None,
    slower: Annotated[
        float, typer.Option("--slower", min=1, help="Shadow runs so many times as long are told as slower.")
    ] = 1.5,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=1000, help="Shadow runs at once.")
    ] = 4,
    resume: Annotated[
        str | None, _option("--resume", "Go on with an action that was interrupted.", "ACTION")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
    what_if: Annotated[
        list[str] | None,
        _option("--what-if", "Simulate: workers=N, slots=N (of each), max_workers=N or none.", "LIMIT"),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Run recorded jobs again, or simulate recorded load under other limits.

    *redrive* gives failed, expired and cancelled jobs new attempts; *copy* makes new jobs with the same
    payload and options, whose `parent_id` is the recorded job; *shadow* runs the handlers of the present code
    on recorded payloads, writes no jobs, and tells what comes out differently (exit 1). Counts first, asks.

    *--what-if* lets the load of a window happen again in simulated time: waits and depths, then and so.

    **Examples**

    `hivelog replay --as redrive --type mail --since 2h --rate 50/s`

    `hivelog replay --as copy --type mail --since 2h --until 30m --filter user_id:u1`

    `hivelog replay --as shadow --handlers shop.jobs --type mail --since 1d --ignore sent_at`

    `hivelog replay --what-if workers=3 max_workers=5 --queue reports --since 2h`
    """  # fmt: skip
    now = round(time.time() * 1000)
    if what_if:
        window = (_instant("--since", since, now), _instant("--until", until or "0s", now))
        return _what_if([*what_if, *(limits or [])], queue, window, data, as_json)
    if limits:
        raise CommandError(f"{limits[0]!r} is no option", "limits come after --what-if", status=MISUSED)
    asked = Asked(
        way=way, resume=resume, filter=_filter(type, queue, since, until, now, resume), q=filter,
        states=state, rate=rate, handlers=tuple(handlers or ()), ignored=tuple(ignore or ()), slower=slower,
        concurrency=concurrency, dry_run=dry_run, yes=yes, as_json=as_json,
    )  # fmt: skip
    return run(asked, data)


def _filter(
    kind: str | None, queue: str | None, since: str | None, until: str | None, now: int, resume: str | None
) -> dict[str, Any]:
    """As POST /jobs/actions takes it. An action that is gone on with has its own."""
    from ..events import times

    if resume is not None:
        return {}
    low, high = _instant("--since", since, now), _instant("--until", until or "0s", now)
    given = {"type": kind, "queue": queue, "since": times.to_text(low), "until": times.to_text(high)}
    return {name: value for name, value in given.items() if value is not None}


def _instant(name: str, text: str | None, now: int) -> int:
    """RFC 3339, or a span before now; milliseconds."""
    from ..events import times

    if text is None:
        raise CommandError(
            f"{name} is missing", f"such as {name} 2h, or {name} 2030-01-31T09:00:00Z", status=MISUSED
        )
    if found := _SPAN.fullmatch(text):
        return now - int(found[1]) * _SPANS[found[2]] * 1000
    try:
        return times.from_text(text)
    except ValueError as error:
        raise CommandError(f"{name} {error}, or a span such as 2h", status=MISUSED) from None


def _what_if(limits: list[str], queue: str | None, window: tuple[int, int], data: Any, as_json: bool) -> int:
    import uvloop

    from ..replay.whatif import read_limits

    if queue is None:
        raise CommandError("--queue is missing", "a simulation is of one queue", status=MISUSED)
    if window[0] >= window[1]:
        raise CommandError("--since must be before --until", status=MISUSED)
    try:
        asked = read_limits(limits)
    except ValueError as error:
        raise CommandError(str(error), status=MISUSED) from None
    with database(Target(None, None, data)) as settings:
        answer = uvloop.run(_simulated(settings, queue, window, asked, as_json))
    if as_json:
        output.print_json(answer)
    else:
        print_what_if(answer)
    return 0


async def _simulated(settings: Any, queue: str, window: tuple[int, int], asked: Any, quiet: bool) -> Any:
    from ..events import pool
    from ..events.names import Names
    from ..replay.whatif import simulate_window

    async with pool.make_pool(settings.database_url, name="hivelog replay", size=1) as connections:
        found = await Names(connections).queue(queue)
        if found is None:
            raise CommandError(f"there is no queue {queue!r}", "`hivelog queues` lists them")
        async with connections.connection() as connection:
            with output.progress("Reading what was recorded", quiet=quiet) as report:
                return await simulate_window(connection, found, *window, asked, report)
