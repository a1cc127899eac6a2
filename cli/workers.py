"""`hivelog workers`: who works, and how many worker processes each queue has."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from . import output
from .api import Target, ask
from .app import QUEUES, Data, Json, QueueName, Token, Url, app
from .errors import MISUSED, CommandError

workers = typer.Typer(no_args_is_help=True)
app.add_typer(workers, name="workers", rich_help_panel=QUEUES)


@workers.callback()
def about() -> None:
    """Who works, and how many worker processes each queue has.

    `hivelog supervise` runs the processes; these commands tell every supervisor, through the log, how many.

    **Examples**

    `hivelog workers status`

    `hivelog workers scale reports 5`
    """


@workers.command()
def status(url: Url = None, token: Token = None, data: Data = None, as_json: Json = False) -> int:
    """Show the workers that live, and for each queue the wanted and the running processes.

    **Example**

    `hivelog workers status`
    """
    answer = ask(Target(url, token, data), "GET", "/workers/status")
    if as_json:
        output.print_json(answer)
        return 0
    columns = ("worker", "host", ">pid", "queues", ">slots", ">busy", ">MiB", "since", "state")
    output.table(columns, map(_worker, answer["workers"]), empty="No worker lives.")
    numbers = ("queue", ">wanted", ">running", ">min", ">max", "set", "why")
    output.table(numbers, map(_queue, answer["scaling"]), empty="There are no queues.")
    count = len(answer["supervisors"])
    output.say(f"{count} supervisor{'' if count == 1 else 's'}")
    for each in answer["supervisors"]:
        for queue, crashing in each.get("crashes", {}).items():
            output.say(escape(_crashing(each["name"], queue, crashing)))
    return 0


def _crashing(supervisor: str, queue: str, told: dict[str, Any]) -> str:
    times = f"{told['in_a_row']} in a row, the next start in {told['again_in']:g} s"
    return f"{supervisor}: workers of {queue} crash ({times}): {told['reason']}"


def _worker(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["name"], row["host"], str(row["pid"]), " ".join(row["queues"]), row["slots"], row["busy"],
        row["memory_mib"], output.clock(row["started_at"]), "silent" if row["stale"] else "alive",
    )  # fmt: skip


def _queue(row: dict[str, Any]) -> tuple[Any, ...]:
    how = "by hand" if row["pinned"] else "by itself"
    return (row["queue"], row["desired"], row["running"], row["min"], row["max"], how, row["reason"])


@workers.command()
def start(
    queue: QueueName, url: Url = None, token: Token = None, data: Data = None, as_json: Json = False
) -> int:
    """Start one more worker process for a queue. The number stays until `scale QUEUE auto`.

    **Example**

    `hivelog workers start reports`
    """
    return _told(ask(Target(url, token, data), "POST", "/workers/start", {"queue": queue}), as_json)


@workers.command()
def stop(
    queue: Annotated[
        str | None, typer.Argument(metavar="QUEUE", help="One worker of this queue.", show_default=False)
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="This worker; `status --json` has the id.",
                     show_default=False),
    ] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Stop one worker process; it finishes what it runs. The number stays until `scale QUEUE auto`.

    **Examples**

    `hivelog workers stop reports`

    `hivelog workers stop --session 2e9d3277-94c9-4d4c-9c4f-3a1f1b6a1a52`
    """
    if (queue is None) == (session is None):
        raise CommandError("which worker?", "name a queue, or give --session ID", status=MISUSED)
    body = {"queue": queue} if session is None else {"session": session}
    return _told(ask(Target(url, token, data), "POST", "/workers/stop", body), as_json)


@workers.command()
def scale(
    queue: QueueName,
    count: Annotated[
        str, typer.Argument(metavar="NUMBER|auto", help="Processes on all hosts.", show_default=False)
    ],
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Set how many worker processes a queue has, on all hosts together; `auto` lets it scale by itself again.

    More than the queue's max_workers raises that too, or they could not run anything.

    **Examples**

    `hivelog workers scale reports 5`

    `hivelog workers scale reports auto`
    """
    if count != "auto" and not (count.isascii() and count.isdigit()):
        raise CommandError(f"{count!r} is no number of workers", "give a number, or auto", status=MISUSED)
    wanted: int | str = count if count == "auto" else int(count)
    body = {"queue": queue, "workers": wanted}
    return _told(ask(Target(url, token, data), "POST", "/workers/scale", body), as_json)


def _told(answer: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.print_json(answer)
    else:
        output.say(escape(f"{answer['message']}; {answer['running']} running now"))
    return 0
