"""`--reload`: a worker that starts again when its source changes.

By looking at modification times, twice a second, below the current folder: a few ms each time, for
development only, and no package that watches files is needed for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .output import note
from .processes import command

_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "build", "dist"})
_EVERY: Final = 0.5  # seconds
_TO_END: Final = 40.0  # seconds: longer than the grace of running jobs


def run_and_reload(arguments: list[str], folder: Path) -> int:
    """Run `hivelog ARGUMENTS` until it is told to stop; answers its exit status."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    while True:
        seen = snapshot(folder)
        process = subprocess.Popen(command(*arguments), start_new_session=True)
        # One that ended by itself has an error in its source: the next change may mend it.
        if not _until(lambda was=seen: snapshot(folder) != was, asked):  # type: ignore[misc]
            return _end(process)
        note("[dim]source changed: starting again[/]")
        _end(process)


def snapshot(folder: Path) -> dict[str, int]:
    """Modification times of the Python files below, hidden folders left out."""
    found = {}
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(where, name)
                try:
                    found[path] = os.stat(path).st_mtime_ns
                except OSError:
                    continue  # an editor was replacing it
    return found


def _until(changed: Callable[[], bool], asked: threading.Event) -> bool:
    """True when something changed, False when it is time to stop."""
    while not asked.wait(_EVERY):
        if changed():
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
