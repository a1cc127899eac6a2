"""The command line's root, and the options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="hivelog",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

RUN = "Run it"
JOBS = "Jobs"
QUEUES = "Queues"
LOG = "The log, and what is made of it"

Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", show_default=False,
        help="Ask this server, such as http://localhost:8889, instead of the database itself.",
    ),
]  # fmt: skip
Token = Annotated[
    str | None,
    typer.Option(
        "--token", metavar="TOKEN", show_default=False,
        help="The token for --url; HIVELOG_ADMIN_TOKEN unless given.",
    ),
]  # fmt: skip
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", show_default=False,
        help="Where the embedded servers keep their data; HIVELOG_DATA, else in your state directory.",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME|POSITION", show_default=False,
        help="As it was then: an RFC 3339 time, or a position of the log.",
    ),
]  # fmt: skip
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    end_with_parent: Annotated[bool, typer.Option("--end-with-parent", hidden=True)] = False,
) -> None:
    """Hivelog: a job queue that keeps its whole history.

    Start with `hivelog demo`, or with `hivelog up` for work of your own. Commands about jobs and queues talk
    to DATABASE_URL, else to the `hivelog up` of this machine, or with --url to a server.

    The exit status is 0 when it was done, 1 when it could not be done, 2 when it was not understood.
    """
    if end_with_parent:
        from .processes import end_with_parent as follow

        follow()
