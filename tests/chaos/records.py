"""Records that outlive a kill -9: a line of JSON a fact, written by one system call, never buffered.

What was written is in the kernel's hands and survives the process; nothing here cuts the power.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

Fact = dict[str, Any]


class Record:
    """One process's own file. `note` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        """`t` is monotonic and the same for all processes of a machine, whatever is done to their clocks."""
        os.write(self._file, msgspec.json.encode({"what": what, "t": time.monotonic(), **facts}) + b"\n")


def read(folder: Path, pattern: str) -> Iterator[Fact]:
    """All lines of all files; a last line that a kill cut short is no fact."""
    for path in sorted(folder.glob(pattern)):
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield {"by": path.stem, **msgspec.json.decode(line)}
