"""`hivelog bench`: the measurements of the source checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import typer

from .app import RUN, app
from .errors import CommandError

_ROOT: Final = Path(__file__).resolve().parent.parent


@app.command(
    rich_help_panel=RUN,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> int:
    """Measure Hivelog beside PgQueuer on this machine, as `make bench` does; needs the source checkout.

    Options go to the bench itself: `hivelog bench -- --help` lists them.

    **Example**

    `hivelog bench`
    """
    if not (_ROOT / "tests" / "bench" / "__main__.py").is_file():
        raise CommandError("the bench is not part of the installed package", "run it in the source checkout")
    arguments = [argument for argument in context.args if argument != "--"]
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode
