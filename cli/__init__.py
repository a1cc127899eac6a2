"""The command `hivelog`.

    hivelog.cli.main(["jobs", "reports", "--status", "failed"])      # the exit status

One file a family of commands; heavy modules are imported by the command that needs them, so that
`hivelog --help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import typer
from rich.markup import escape
from typer.exceptions import TyperException

from . import audit as audit  # each family registers its commands
from . import bench as bench
from . import demo as demo
from . import doctor as doctor
from . import enqueue as enqueue
from . import erase as erase
from . import jobs as jobs
from . import key as key
from . import log as log
from . import migrate as migrate
from . import queues as queues
from . import rebuild as rebuild
from . import replay as replay
from . import retention as retention
from . import serve as serve
from . import signing_key as signing_key
from . import supervise as supervise
from . import up as up
from . import worker as worker
from . import workers as workers
from .app import app
from .errors import FAILED, MISUSED, explain
from .output import err
from .processes import tell_parent

__all__ = ["main"]

_INTERRUPTED = 130

# What is left goes with the process: to search it for cycles took a fifth of a short command's CPU.
atexit.register(gc.freeze)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit status: 0 done, 1 not done, 2 not understood."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = typer.main.get_command(app)
        status = command.main(given, prog_name="hivelog", standalone_mode=False)
    except TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        if "--debug" in given[:1]:
            raise
        return _failed(error)
    return status if isinstance(status, int) else 0


def _misused(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    message = getattr(error, "format_message", lambda: str(error))()
    if context is not None and not message.strip():
        return MISUSED  # no command at all: the help was shown
    help_of = f"{context.command_path} --help" if context is not None else "hivelog --help"
    said = " ".join(message.split()).rstrip(".")
    err().print(f"[red]hivelog:[/] {escape(said)}: see `{escape(help_of)}`", highlight=False)
    return int(getattr(error, "exit_code", MISUSED))


def _failed(error: Exception) -> int:
    known = explain(error)
    if known is None:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        text, status = f"{said} (a bug of ours; `hivelog --debug ...` shows where)", FAILED
    else:
        text, status = " ".join(str(known).split()), known.status
    err().print(f"[red]hivelog:[/] {escape(text)}", highlight=False)
    tell_parent(text)
    return status


def _closed_pipe() -> int:
    """`hivelog events | head` closed our end: not an error, and Python must not complain at exit."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - closed with it
    return 0
