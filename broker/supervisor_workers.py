"""The worker processes of one supervisor: started, stopped, started again. A thin edge without a database.

A worker's standard input is a socket to us. A line there says why it is to stop, and its end says that we
are no more: then it stops by itself, gracefully. So a supervisor that is killed leaves nothing behind. The
other way a worker that fails says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from asyncio.subprocess import Process as Handle
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import structlog
from msgspec import Struct

from .supervisor_restart import Crash, Crashes, Crashing, obituary

_log = structlog.get_logger(__name__)

Command = Callable[[str, str], Sequence[str]]  # queue and name of a worker -> its command line

_AT_ONCE: Final = 4  # processes started in one round: a start costs a second of processor time
_LAST_WORDS: Final = 500  # bytes
_LAST: Final = 5.0  # seconds for those that are to stop at once


class WorkerProcess(Struct, eq=False):
    """A process. `leaving`: why it was told to stop; then it claims nothing any more and does not count."""

    queue: str
    number: int
    name: str
    handle: Handle
    link: socket.socket  # its standard input
    started_at: float
    leaving: str | None = None
    kill_at: float = float("inf")
    # As the database has it:
    session: str | None = None
    busy: int = 0
    memory_mib: int | None = None
    jobs: int = 0  # attempts that have ended

    @property
    def pid(self) -> int:
        return self.handle.pid


class WorkerProcesses:
    """Keeps `wanted` processes of each queue running. `patience`: seconds that a worker has to stop."""

    def __init__(self, command: Command, environment: Mapping[str, str], label: str, patience: float) -> None:
        self._command, self._environment = command, dict(environment)
        self._label, self._patience = label, patience
        self.wanted: Counter[str] = Counter()
        self.all: list[WorkerProcess] = []
        self.crashed: list[Crash] = []
        self._crashes: dict[str, Crashes] = {}
        self._ended = asyncio.Event()
        self._watches: dict[int, asyncio.Task[None]] = {}

    def of(self, queue: str) -> list[WorkerProcess]:
        """Those of a queue that work."""
        return [w for w in self.all if w.queue == queue and w.leaving is None]

    def processes(self) -> dict[str, list[int]]:
        """Queue -> process ids of those that work."""
        found: dict[str, list[int]] = {}
        for worker in self.all:
            if worker.leaving is None:
                found.setdefault(worker.queue, []).append(worker.pid)
        return found

    def crashes(self) -> dict[str, Crashing]:
        """Queue -> what its processes end of again and again."""
        now = time.monotonic()
        told = {queue: crashes.told(now) for queue, crashes in self._crashes.items() if self.wanted[queue]}
        return {queue: each for queue, each in told.items() if each is not None}

    async def keep(self, *, pause: float = 0.5) -> None:
        """Until cancelled: as many as wanted."""
        while True:
            await self.round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._ended.wait()
            self._ended.clear()

    async def round(self) -> None:
        """Start what is missing, stop what is too many, kill what does not stop."""
        self._kill_late()
        for worker in self._surplus():
            self.stop(worker, "scaled down")
        for queue in list(self._missing())[:_AT_ONCE]:
            await self._start(queue)

    def _missing(self) -> Iterator[str]:
        now = time.monotonic()
        for queue, wanted in sorted(self.wanted.items()):
            if now >= self._crashes.get(queue, Crashes()).not_before:
                yield from [queue] * (wanted - len(self.of(queue)))

    def _surplus(self) -> list[WorkerProcess]:
        """Those with the least to do go first, of these the youngest."""
        surplus: list[WorkerProcess] = []
        for queue in {worker.queue for worker in self.all}:
            working = sorted(self.of(queue), key=lambda w: (w.busy, -w.started_at))
            surplus += working[: max(0, len(working) - self.wanted[queue])]
        return surplus

    async def _start(self, queue: str) -> None:
        number = _lowest_free({w.number for w in self.all if w.queue == queue})
        name = f"{queue}-{number}@{self._label}"
        try:
            handle, link = await self._spawn(queue, name)
        except OSError as error:  # no memory, no process ids left: the others must go on
            now = time.monotonic()
            self._crashes[queue] = self._crashes.get(queue, Crashes()).another(0.0, now, str(error))
            _log.error("worker_process_not_started", name=name, error=str(error))
            return
        worker = WorkerProcess(queue, number, name, handle, link, time.monotonic())
        self.all.append(worker)
        watch = asyncio.create_task(self._watch(worker), name=f"worker {name}")
        self._watches[worker.pid] = watch
        _log.info("worker_process_started", name=name, pid=worker.pid)

    async def _spawn(self, queue: str, name: str) -> tuple[Handle, socket.socket]:
        """In a session of its own: Ctrl-C is for us, and its children can be ended with it."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                handle = await asyncio.create_subprocess_exec(
                    *self._command(queue, name),
                    env=self._environment, stdin=theirs.fileno(), start_new_session=True,
                )  # fmt: skip
        except OSError:
            ours.close()
            raise
        return handle, ours

    async def _watch(self, worker: WorkerProcess) -> None:
        status = await worker.handle.wait()
        # What it left behind: a killed worker's handler processes would go on with jobs that run elsewhere.
        _signal_group(worker.pid, signal.SIGKILL)
        self.all.remove(worker)
        del self._watches[worker.pid]
        how = _with_last_words(obituary(status), worker.link)
        worker.link.close()
        if worker.leaving is None or status < 0:
            self._mourn(worker, how)
        else:
            _log.info("worker_process_stopped", name=worker.name, why=worker.leaving)
        self._ended.set()

    def _mourn(self, worker: WorkerProcess, how: str) -> None:
        now = time.monotonic()
        self.crashed.append(Crash(worker.name, worker.pid, how))
        if worker.leaving is not None:
            return
        crashes = self._crashes.get(worker.queue, Crashes()).another(now - worker.started_at, now, how)
        self._crashes[worker.queue] = crashes
        _log.warning(
            "worker_process_crashed", name=worker.name, pid=worker.pid, how=how, in_a_row=crashes.count,
            again_in=round(crashes.not_before - now, 1),
        )  # fmt: skip

    def stop(self, worker: WorkerProcess, why: str) -> None:
        """Let it finish what it runs within its grace time, then give the rest back. Again: at once."""
        if worker.leaving is None:
            worker.leaving = why
            worker.kill_at = time.monotonic() + self._patience
            _log.info("worker_process_stopping", name=worker.name, why=why)
            with contextlib.suppress(OSError):
                worker.link.send(why.encode() + b"\n")
        with contextlib.suppress(ProcessLookupError):
            worker.handle.send_signal(signal.SIGTERM)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for worker in self.all:
            if now >= worker.kill_at:
                worker.kill_at = float("inf")
                _log.error("worker_process_killed", name=worker.name, why="it did not stop in time")
                with contextlib.suppress(ProcessLookupError):
                    worker.handle.kill()

    async def stop_all(self, hurry: asyncio.Event) -> None:
        """All of them, within `patience`; at once when `hurry` is set. `keep` must not run any more."""
        for worker in self.all:
            self.stop(worker, "the supervisor stops")
        gone = asyncio.create_task(self._gone())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({gone, hurried}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if hurry.is_set():
            for worker in self.all:
                self.stop(worker, "the supervisor stops at once")
            await asyncio.wait({gone}, timeout=_LAST)
        for worker in self.all:
            with contextlib.suppress(ProcessLookupError):
                worker.handle.kill()
        await asyncio.wait({gone}, timeout=_LAST)

    async def _gone(self) -> None:
        while self._watches:
            await asyncio.wait(set(self._watches.values()))


def _lowest_free(taken: Collection[int]) -> int:
    return next(n for n in range(1, len(taken) + 2) if n not in taken)


def _with_last_words(how: str, link: socket.socket) -> str:
    with contextlib.suppress(OSError):
        if said := link.recv(_LAST_WORDS):
            return f"{how}: {' '.join(said.decode('utf-8', 'replace').replace(chr(0), '').split())}"
    return how


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
