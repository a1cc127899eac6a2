"""`hivelog events`: the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from . import output
from .api import Api, Target, with_api
from .app import LOG, Data, Json, Token, Url, app
from .errors import MISUSED, CommandError

_PAGE: Final = 1000
_LOOK: Final = 0.5  # seconds between two looks for new events


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
    archive: Annotated[
        Path | None, _filter("--archive", "Read what retention has archived there instead.", "DIR")
    ] = None,
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

    `hivelog events --archive /var/lib/hivelog/archive --job 0193a5f2-7c1e-7000-8000-000000000000`
    """
    chosen = {"type": type, "queue": queue, "job": job, "actor": actor}
    if archive is not None:
        if follow:
            raise CommandError("an archive does not grow: leave out --follow", status=MISUSED)
        _archived(archive, after, limit, chosen, as_json)
        return 0

    async def work(api: Api) -> None:
        start = after if after is not None else await _near_end(api, limit, chosen)
        async for event in _events(api, start, None if follow else limit, chosen):
            _print(event, as_json)

    with_api(Target(url, token, data), work)
    return 0


def _archived(
    directory: Path, after: int | None, limit: int, chosen: dict[str, str | None], as_json: bool
) -> None:
    from ..events import archive

    try:
        if after is None:
            whole = any(chosen.values())
            after = 0 if whole else max(0, archive.manifests(directory)[-1].last - limit)
        found = (event for event in archive.events(directory, after) if _matches(event, chosen))
        for event in islice(found, limit):
            _print(event, as_json)
    except archive.ArchiveError as error:
        raise CommandError(str(error), "is it the directory of HIVELOG_ARCHIVE?") from None


def _matches(event: dict[str, Any], chosen: dict[str, str | None]) -> bool:
    types = chosen["type"]
    if types is not None and event["type"] not in types.split(","):
        return False
    return all(chosen[name] in (None, event[name]) for name in ("queue", "job", "actor"))


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
