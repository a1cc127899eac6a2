"""`hivelog worker`: a process that runs handlers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from ..stopping import stop_tasks
from .app import RUN, Data, app
from .errors import FAILED, MISUSED, CommandError

Handlers = Annotated[
    list[str] | None,
    typer.Option(
        "--handlers", "-m", metavar="MODULE", show_default=False,
        help="A module with @handler functions; may be repeated. HIVELOG_HANDLERS unless given.",
    ),
]  # fmt: skip


@app.command(rich_help_panel=RUN)
def worker(
    handlers: Handlers = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", "-q", metavar="QUEUE", show_default=False,
            help="A queue to serve; may be repeated. Those of the handlers unless given.",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=10_000, help="Jobs that run at the same time.")
    ] = 10,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", show_default=False,
                     help="A label for people; host and process id unless given."),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a source file below here changes.")
    ] = False,
    data: Data = None,
) -> int:
    """Run the jobs of some queues.

    SIGTERM or Ctrl-C lets running jobs finish for HIVELOG_GRACE_SECONDS, then gives them back; a second one
    gives them back at once. Jobs that were given back do not count as attempts.

    **Examples**

    `hivelog worker --handlers shop.jobs --queue reports --concurrency 4`

    `hivelog worker -m shop.jobs -m shop.mail --reload`
    """  # fmt: skip
    from .servers import load_settings

    settings = load_settings(data=data)
    modules = tuple(handlers or settings.handlers)
    if not modules:
        raise CommandError("no handlers", "give --handlers MODULE, or set HIVELOG_HANDLERS", status=MISUSED)
    if reload:
        from .reload import run_and_reload

        return run_and_reload(_without_reload(sys.argv[1:]), Path.cwd())
    well, deaf = _run(modules, tuple(queue or ()), concurrency, name, data)
    status = 0 if well else FAILED
    _leave_stuck_handlers(deaf, status)
    return status


def _run(
    modules: tuple[str, ...], queues: tuple[str, ...], slots: int, name: str | None, data: Path | None
) -> tuple[bool, int]:
    """Answers whether it stopped because it was told to, and how many handlers are left that nothing ends."""
    import uvloop

    from ..broker.serving import WorkerOptions, run_worker
    from .processes import why_stopped
    from .servers import load_settings, reachable, require_migrated

    importable_from_here()
    with reachable(load_settings(data=data)) as settings:
        options = WorkerOptions(modules=modules, queues=queues, slots=slots, name=name, why=why_stopped)
        work = run_worker(settings, options, lambda: require_migrated(settings))
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        try:
            well, deaf = runner.run(_without_the_deaf(work))
        except KeyError as error:
            known = "`hivelog queues` lists them"
            raise CommandError(f"there is no queue {error.args[0]!r}", known) from error
        if not deaf:
            runner.close()
    return well, deaf


async def _without_the_deaf(work: Coroutine[Any, Any, bool]) -> tuple[bool, int]:
    """Do the work; answers what it came to, and how many tasks are left that swallow every cancellation.
    To close the loop would be to wait for them."""
    well = await work
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await stop_tasks(*left)
    return well, sum(not task.done() for task in left)


def _leave_stuck_handlers(deaf: int, status: int) -> None:
    """A thread cannot be killed, and Python waits for it at the end; nor can a task that swallows its
    cancellation. The job was given back and may run elsewhere already: the process goes without."""
    from ..broker.attempt import stuck_threads

    if stuck := len(stuck_threads()) + deaf:
        print(f"hivelog worker: left {stuck} handler(s) that did not return", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def importable_from_here() -> None:
    """`--handlers shop.jobs` means ./shop/jobs.py too. At the end of the path: a file here that is
    named like a package must not take its place."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    # Children of isolation="process" look for the same modules.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), here)))


def _without_reload(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--reload"]
