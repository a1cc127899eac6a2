"""The command lines of what is run by `python -m tests.<..>`: help that teaches, and every option also as a variable,
for `make`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any


class Options(argparse.ArgumentParser):
    """Of the module `name`; the help begins with `text`, lines as they are."""

    def __init__(self, name: str, text: str | None) -> None:
        super().__init__(
            prog=f"python -m {name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def variable(self, name: str, default: Any, text: str, kind: Callable[[str], Any] = int) -> None:
        """CHAOS_SECONDS is --seconds too, which wins. An empty variable is one that is not set."""
        flag = name.partition("_")[2].lower().replace("_", "-")
        said = f", {default} unless given" if default not in (None, "") else ""
        self.add_argument(
            f"--{flag}", metavar="X,.." if kind is str else "N", type=kind,
            default=os.environ.get(name) or default, help=f"{text} ({name}{said})",
        )  # fmt: skip
