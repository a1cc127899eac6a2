"""A child ends when its worker does: else its job would run elsewhere too, and nobody would end this one.

The worker holds the writing end of a pipe into which it never writes; the system closes it however the
worker ends. On Linux the kernel then kills the child's group by itself, also while a C function holds the
interpreter or the group is stopped. Elsewhere a thread does it, which needs the interpreter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection


def end_with_the_other_end(pipe: Connection) -> None:
    """Kill our process group when the other end of `pipe` is closed. We must be the group's leader."""
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(pipe,), daemon=True).start()
        return
    number = pipe.fileno()
    fcntl.fcntl(number, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)
    looked = select.poll()
    looked.register(number, 0)
    if looked.poll(0):  # it was closed before
        os.killpg(0, signal.SIGKILL)


def _watch(pipe: Connection) -> None:
    with contextlib.suppress(OSError):
        os.read(pipe.fileno(), 1)
    os.killpg(0, signal.SIGKILL)
