"""`hivelog queues`, `pause`, `resume`, `drain`, `config`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from . import output
from .api import Api, Target, ask, with_api
from .app import QUEUES, At, Data, Json, QueueName, Token, Url, Yes, app
from .errors import MISUSED, CommandError

Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.", show_default=False),
]


@app.command(rich_help_panel=QUEUES)
def queues(
    queue: Annotated[
        str | None, typer.Argument(metavar="QUEUE", help="This one with its settings.", show_default=False)
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", show_default=False,
                     help="Change a setting, or create the queue; may be repeated."),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the queue, which must be empty.")] = False,
    at: At = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """List the queues, show one, configure, create or delete one.

    Settings: priority, max_retries, retry_delay, retry_backoff, max_workers (how many jobs of the queue run
    at once, everywhere), timeout, scaling.

    **Examples**

    `hivelog queues`

    `hivelog queues reports --set max_workers=4 --set timeout=900`

    `hivelog queues imports --set retry_backoff=exponential`

    `hivelog queues --at 2030-01-31T14:03:00Z`
    """  # fmt: skip
    target = Target(url, token, data)
    if queue is None:
        if changes or delete:
            raise CommandError("which queue?", "name it: hivelog queues QUEUE ...", status=MISUSED)
        return _list(target, at, as_json)
    if at is not None and (changes or delete):
        raise CommandError("the past cannot be changed", "leave --at out", status=MISUSED)
    if delete:
        return _said(ask(target, "DELETE", f"/queue/{queue}"), as_json)
    if changes is not None:
        answer = ask(target, "PUT", f"/queue/{queue}", assignments(changes))
    else:
        answer = ask(target, "GET", f"/queue/{queue}", at=at)
    return _settings(answer, as_json)


def _list(target: Target, at: str | None, as_json: bool) -> int:
    async def work(api: Api) -> tuple[Any, Any]:
        return await api.get("/queues", at=at), await api.get("/queue/status", at=at)

    listed, status = with_api(target, work)
    stats = status["data"]["queues"]
    rows = [{**queue, "stats": stats.get(queue["name"])} for queue in listed["queues"]]
    if as_json:
        output.print_json({"queues": rows, "position": status["position"]})
        return 0
    columns = (
        "queue", ">pending", ">queued", ">running", ">limit", ">done today", ">failed", ">success %", ""
    )  # fmt: skip
    none = "No queues: `hivelog queues NAME --set priority=100` makes one."
    output.table(columns, (_row(row) for row in rows), empty=none)
    return 0


def _row(queue: dict[str, Any]) -> tuple[Any, ...]:
    stats = queue["stats"] or {}
    figures = ("pending", "queued", "processing")
    state = "paused" if queue["paused"] else ""
    return (
        queue["name"], *(stats.get(name) for name in figures), queue["config"].get("max_workers"),
        stats.get("completed_today"), stats.get("failed_today"), stats.get("success_rate"), state,
    )  # fmt: skip


def _settings(queue: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.print_json(queue)
        return 0
    output.say(f"[bold]{escape(queue['name'])}[/]{' (paused)' if queue['paused'] else ''}")
    for name, value in queue["config"].items():
        output.say(f"  [dim]{name:<14}[/] {escape(_value(value))}")
    return 0


def _value(value: Any) -> str:
    return value if isinstance(value, str) else output.json_text(value)


def assignments(given: Sequence[str]) -> dict[str, Any]:
    """`["timeout=900", "retry_backoff=fixed"]` as an object; a value that is no JSON is a text."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"{text!r} sets nothing", "write it as NAME=VALUE", status=MISUSED)
        try:
            found[name.strip()] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[name.strip()] = value
    return found


@app.command(rich_help_panel=QUEUES)
def pause(
    queue: QueueName,
    reason: Reason = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Let nothing of a queue start; what runs goes on, and jobs may still be enqueued.

    **Example**

    `hivelog pause reports --reason "the printer is on fire"`
    """
    body = {} if reason is None else {"reason": reason}
    return _said(ask(Target(url, token, data), "POST", f"/queue/{queue}/pause", body), as_json)


@app.command(rich_help_panel=QUEUES)
def resume(
    queue: QueueName,
    reason: Reason = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Let a paused queue go on.

    **Example**

    `hivelog resume reports`
    """
    body = {} if reason is None else {"reason": reason}
    return _said(ask(Target(url, token, data), "POST", f"/queue/{queue}/resume", body), as_json)


def _said(answer: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.print_json(answer)
    else:
        output.say(escape(answer["message"]))
    return 0


@app.command(rich_help_panel=QUEUES)
def drain(
    queue: QueueName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    position: Annotated[
        int | None,
        typer.Option("--position", metavar="P", show_default=False,
                     help="Only what was enqueued up to here, as a dry run said."),
    ] = None,
    yes: Yes = False,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Cancel every job that waits in a queue now: the queued, the scheduled and those between attempts.

    What runs goes on, and what is enqueued meanwhile stays.

    **Examples**

    `hivelog drain reports --dry-run`

    `hivelog drain reports --position 48211 --yes`
    """  # fmt: skip
    target = Target(url, token, data)
    answer = with_api(target, lambda api: _drain(api, queue, position, dry_run, yes, as_json))
    if as_json:
        output.print_json(answer)
    elif dry_run:
        these = f"hivelog drain {escape(queue)} --position {answer['position']}"
        output.say(f"{answer['matched']:,} jobs would be cancelled; exactly these: {these}")
    else:
        output.say(f"{answer['cancelled']:,} jobs of {escape(queue)} cancelled")
    return 0


async def _drain(
    api: Api, queue: str, position: int | None, dry_run: bool, yes: bool, quiet: bool
) -> dict[str, Any]:
    path, at = f"/queue/{queue}/drain", {} if position is None else {"position": position}
    counted: dict[str, Any] = await api.post(path, {**at, "dry_run": True})
    if dry_run:
        return counted
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Cancel {counted['matched']:,} waiting jobs of {queue}?", abort=True, err=True)
    # The set that was counted and agreed to, not what came while somebody thought about it.
    answer: dict[str, Any] = await api.post(path, {"position": counted["position"]})
    if "action_id" in answer:
        return await _finish(api, answer, quiet)
    return answer


async def _finish(api: Api, started: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """A big one goes on after the answer; we stay until it is done."""
    with output.progress("Cancelling", quiet=quiet) as report:
        while True:
            action = await api.get(f"/actions/{started['action_id']}")
            report(action["changed"], started["matched"])
            if action["finished_at"] is not None:
                return {**started, "cancelled": action["changed"]}
            await asyncio.sleep(0.2)


@app.command(rich_help_panel=QUEUES)
def config(
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings to change.", show_default=False),
    ] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Show the configuration of the whole system, or change some of it; live everywhere within two seconds.

    **Examples**

    `hivelog config`

    `hivelog config retention_days=60 max_message_size=2097152`
    """
    target = Target(url, token, data)
    wanted = assignments(changes or ())
    answer = ask(target, "PUT", "/config", wanted) if wanted else ask(target, "GET", "/config")
    if as_json:
        output.print_json(answer)
        return 0
    for name, value in answer.items():
        output.say(f"[dim]{name:<17}[/] {escape(_value(value))}")
    return 0
