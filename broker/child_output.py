"""What a child process prints: passed on to the worker's own output, as far as it is reasonable."""

from __future__ import annotations

import asyncio
import os
import sys
from multiprocessing.connection import Connection
from typing import Final

LIMIT: Final = 1 << 20  # bytes an attempt
_TAIL: Final = 4096
_CHUNK: Final = 1 << 16


class ChildOutput:
    """Reads the pipe as long as the child writes, so that it never waits; keeps the end of it."""

    def __init__(self, pipe: Connection, job: str) -> None:
        self._pipe, self._job = pipe, job
        self._written = 0
        self._tail = b""
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    @property
    def tail(self) -> str:
        """The last words, 4 KiB at most."""
        return self._tail.decode("utf-8", "replace")

    def close(self) -> None:
        """What has been written so far is still passed on."""
        while self._read():
            pass
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._pipe.fileno())
            return False
        self._tail = (self._tail + chunk)[-_TAIL:]
        self._pass_on(chunk)
        return True

    def _pass_on(self, chunk: bytes) -> None:
        room = LIMIT - self._written
        if room < 0:
            return
        self._written += len(chunk)
        sys.stdout.write(chunk[:room].decode("utf-8", "replace"))
        if len(chunk) > room:
            sys.stdout.write(f"\n[job {self._job} printed over {LIMIT >> 20} MiB; the rest is dropped]\n")
        sys.stdout.flush()
