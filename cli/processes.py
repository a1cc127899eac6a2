"""Child processes of `up`, `demo` and `--reload`: started again when they die, ended with their parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from ..stopping import CLOSING

_PAUSES: Final = (0.5, 30.0)  # seconds before a child that died is started again: first, longest
_HEALTHY: Final = 20.0  # seconds after which a child counts as running well
_LAST: Final = 8.0  # seconds for a child that is to stop at once
_LAST_LINES: Final = 0.5  # seconds
_COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue")
_TOLD: Final = 500  # bytes of what a child says of its end
_LINE: Final = 256 * 1024  # bytes of a log line that are read at most

# Set for children: they end when their standard input does, which is when this process does, also by -9.
FOLLOW: Final = "--end-with-parent"


def command(*arguments: str) -> list[str]:
    """The command line of another `hivelog`, of this very installation."""
    # -P: the current folder may hold modules named like those of packages.
    return [sys.executable, "-P", "-m", "hivelog.cli", *arguments]


_last_words: list[str] = []
_followed = False  # whether standard input is our parent's line to us
# A signal may be quicker than the thread that hears what was said before it.
_heard = threading.Event()
_HEARING: Final = 0.5  # s


def why_stopped() -> str:
    """In a child: what its parent said last, for the log."""
    if _followed:
        _heard.wait(_HEARING)
    return _last_words[-1] if _last_words else "stopped"


def tell_parent(why: str) -> None:
    """In a child that fails: why, for a parent whose line goes both ways. A supervisor's does."""
    if _followed:
        with contextlib.suppress(OSError):
            os.write(0, why.encode("utf-8", "replace")[:_TOLD])


def end_with_parent() -> None:
    """In a child: send ourselves SIGTERM when standard input ends. A line there says why we are to stop."""
    global _followed
    _followed = True

    def watch() -> None:
        # Not by sys.stdin: a thread that waits in it makes Python abort when it ends.
        with contextlib.suppress(OSError):
            while said := os.read(0, 1024):
                _last_words.extend(said.decode("utf-8", "replace").splitlines())
                _heard.set()
        if not _last_words:
            _last_words.append("its parent process ended")
        _heard.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(float(os.environ.get("HIVELOG_GRACE_SECONDS") or 30) + CLOSING)
        os._exit(1)  # nobody is left who would kill what does not stop

    threading.Thread(target=watch, name="parent", daemon=True).start()


class Child:
    """One child: what it runs, and how often it died."""

    def __init__(self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.name, self._arguments, self._environment = name, arguments, dict(environment)
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def start(self) -> asyncio.subprocess.Process:
        """In a session of its own: Ctrl-C in the terminal is for the parent, which tells its children."""
        self.process = await asyncio.create_subprocess_exec(
            *command(FOLLOW, *self._arguments),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LINE,
        )
        self.starts += 1
        return self.process

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Children:
    """All children of one parent. The first is the server: `stop` ends it after all the others."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._copies: set[asyncio.Task[None]] = set()
        self._stopping = False

    def run(self, name: str, *arguments: str, environment: Mapping[str, str] = os.environ) -> Child:
        """Start a child and keep it running until `stop`."""
        child = Child(name, arguments, environment)
        colour = _COLOURS[len(self._children) % len(_COLOURS)]
        self._children.append(child)
        self._tasks.append(asyncio.create_task(self._keep(child, colour), name=f"child {name}"))
        return child

    async def stop(self, patience: float, hurry: asyncio.Event) -> None:
        """SIGTERM, and again when `hurry` is set; SIGKILL for what has not ended after `patience` seconds."""
        self._stopping = True
        await self._end(slice(1, None), patience, hurry)
        await self._end(slice(0, 1), patience, hurry)

    async def _end(self, which: slice, patience: float, hurry: asyncio.Event) -> None:
        children, tasks = self._children[which], self._tasks[which]
        if not tasks:
            return
        for child in children:
            child.signal(signal.SIGTERM)
        ended = asyncio.create_task(_all(tasks))
        hurried = asyncio.create_task(hurry.wait(), name="hurry")
        either: set[asyncio.Task[Any]] = {ended, hurried}
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if hurry.is_set():
            for child in children:
                child.signal(signal.SIGTERM)  # the second one: at once, and children of its own with it
            await asyncio.wait({ended}, timeout=_LAST)
        for child in children:
            child.signal(signal.SIGKILL)  # to those that live still
        await asyncio.wait({ended}, timeout=5)

    async def _keep(self, child: Child, colour: str) -> None:
        pause = _PAUSES[0]
        while not self._is_stopping():
            started = time.monotonic()
            process = await child.start()
            copying = asyncio.create_task(self._copy(process, child.name, colour))
            self._copies.add(copying)
            copying.add_done_callback(self._copies.discard)
            status = await _ended(process)
            await asyncio.wait({copying}, timeout=_LAST_LINES)
            if self._is_stopping():
                return
            pause = _PAUSES[0] if time.monotonic() - started > _HEALTHY else pause
            self._say(child.name, colour, f"ended with {_reason(status)}; starting again in {pause:g} s")
            await self._rest(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _rest(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < deadline:  # noqa: ASYNC110 - rare and short
            await asyncio.sleep(0.1)

    async def _copy(self, process: asyncio.subprocess.Process, name: str, colour: str) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than anything a log should hold
                continue
            if not line:
                return
            self._say(name, colour, line.decode("utf-8", "replace").rstrip("\n"))

    def _say(self, name: str, colour: str, line: str) -> None:
        width = max(len(child.name) for child in self._children)
        self._console.print(Text.assemble((f"{name:<{width}} | ", colour), line), soft_wrap=True)


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Its status. Not by `wait`, which waits for the end of its output too: processes that it made may hold
    that open for long."""
    while process.returncode is None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.1)
    return process.returncode


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _reason(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def stop_signals(loop: asyncio.AbstractEventLoop, on_signal: Callable[[], None]) -> None:
    """Call `on_signal` for Ctrl-C and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
