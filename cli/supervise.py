"""`hivelog supervise`: keeps the worker processes of this host."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from ..settings import Settings
from .app import RUN, Data, app
from .errors import MISUSED, CommandError
from .worker import Handlers, importable_from_here

if TYPE_CHECKING:
    from ..broker.supervisor import Options

Concurrency = Annotated[
    int, typer.Option("--concurrency", "-c", min=1, max=10_000, help="Jobs that one worker runs at once.")
]
MaxProcesses = Annotated[
    int | None,
    typer.Option("--max-processes", min=1, max=10_000, metavar="N", show_default=False,
                 help="Worker processes on this host, of all queues. Any number unless given."),
]  # fmt: skip


@app.command(rich_help_panel=RUN)
def supervise(
    handlers: Handlers = None,
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue", "-q", metavar="QUEUE", show_default=False,
            help="A queue to keep workers for; may be repeated. Those of the handlers unless given.",
        ),
    ] = None,
    concurrency: Concurrency = 1,
    max_processes: MaxProcesses = None,
    max_memory: Annotated[
        int | None,
        typer.Option("--max-memory", min=16, metavar="MIB", show_default=False,
                     help="Replace a worker that has more resident memory than this."),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option("--max-jobs", min=1, metavar="N", show_default=False,
                     help="Replace a worker that has run so many jobs."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", show_default=False,
                     help="A label for people, part of the workers' names; the host's name unless given."),
    ] = None,
    data: Data = None,
) -> int:
    """Keep worker processes running, for each queue as many as it needs.

    A queue begins with its `scaling.min` processes. One more is started while more than `scaling.threshold`
    jobs are ready or one has been ready for longer than `scaling.wait` (60) seconds, up to `scaling.max` and
    to what the queue's max_workers lets run. One is stopped when nothing has waited for a minute and a worker
    is idle.
    `hivelog queues reports --set scaling='{"max": 8}'` changes the bounds.

    `hivelog workers scale reports 5` sets the number by hand: it stays, also when supervisors restart, until
    `hivelog workers scale reports auto`. Every change is a `scaled` event with its reason: `hivelog events
    --type scaled`.

    Start one on each host, with the same handlers: they share the processes, and when one dies the others run
    its part after six seconds. A worker that crashes is started again, later each time; what it ran is free
    for others at once.

    SIGTERM or Ctrl-C stops all workers: running jobs may finish for HIVELOG_GRACE_SECONDS, the rest is given
    back. A second one gives it back at once. Workers of a supervisor that was killed stop by themselves.

    **Examples**

    `hivelog supervise --handlers shop.jobs`

    `hivelog supervise -m shop.jobs --concurrency 10 --max-processes 8 --max-memory 500 --max-jobs 10000`
    """  # fmt: skip
    from ..broker.supervisor import Options
    from ..broker.supervisor_restart import Limits
    from .servers import load_settings

    settings = load_settings(data=data)
    modules = tuple(handlers or settings.handlers)
    if not modules:
        raise CommandError("no handlers", "give --handlers MODULE, or set HIVELOG_HANDLERS", status=MISUSED)
    queues = queue or _queues_of(modules)
    options = Options(
        name=name or socket.gethostname(), host=socket.gethostname(), pid=os.getpid(),
        queues=None if queues is None else frozenset(queues), slots=concurrency, limit=max_processes,
        limits=Limits(max_memory, max_jobs),
    )  # fmt: skip
    _run(settings, modules, options)
    return 0


def _queues_of(modules: tuple[str, ...]) -> list[str] | None:
    """Imports the handlers, so that a mistake in them is said once and not by every worker."""
    from ..broker.registry import HandlerError, registry
    from ..broker.serving import queues_of

    importable_from_here()
    registry.load(list(modules))
    if not registry.handlers:
        raise HandlerError(f"no handler in {', '.join(modules)}")
    return queues_of(registry)


def _run(settings: Settings, modules: tuple[str, ...], options: Options) -> None:
    import uvloop

    from ..broker.supervisor_serving import run_supervisor
    from .processes import FOLLOW, command
    from .servers import reachable, require_migrated

    def worker(queue: str, name: str) -> list[str]:
        arguments = ["--queue", queue, "--name", name, "--concurrency", str(options.slots)]
        arguments += [word for module in modules for word in ("--handlers", module)]
        return command(FOLLOW, "worker", *arguments)

    with reachable(settings) as found:
        supervising = run_supervisor(
            found, options, worker, _environment(found), lambda: require_migrated(found)
        )
        uvloop.run(supervising)


def _environment(settings: Settings) -> dict[str, str]:
    """What the workers read: ours, with the servers that were found."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    ours = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "HIVELOG_DATA": str(settings.data),
    }
    files = {f"{name}_FILE" for name in ours}
    return {name: value for name, value in os.environ.items() if name not in files} | ours
