"""The supervisor's edge: real processes, small ones instead of workers; no database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hivelog.broker.supervisor_restart import Crashes
from hivelog.broker.supervisor_workers import WorkerProcesses
from hivelog.stopping import stop_tasks

from .supervised import alive
from .web_world import until

# Each tells its process id in the folder, when signals find it ready.
TELL = "import os, signal, sys\ndef tell(more=''): open(f'{folder}/{os.getpid()}{more}', 'w').close()\n"
STAY = "tell()\nwhile True: signal.pause()"
GOOD = f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n{STAY}"
DEAF = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STAY}"
TWICE = (
    "def once(*_):\n signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n tell('.once')\n"
    f"signal.signal(signal.SIGTERM, once)\n{STAY}"
)
FORKS = f"os.fork()\n{STAY}"


class Small(WorkerProcesses):
    """Runs `code` for each worker."""

    def __init__(self, code: str, folder: Path, patience: float = 20.0) -> None:
        told = f"folder = {str(folder)!r}\n{TELL}"
        super().__init__(
            lambda queue, name: [sys.executable, "-c", told + code], os.environ, "here", patience
        )
        self._folder = folder

    def started(self) -> list[int]:
        """Process ids of those that are ready by now."""
        return [int(path.name) for path in self._folder.iterdir() if not path.suffix]

    def told_once(self) -> int:
        """How many of TWICE have had their first signal."""
        return len(list(self._folder.glob("*.once")))

    async def begun(self, count: int) -> None:
        await until(lambda: len(self.all) == count and all(w.pid in self.started() for w in self.all), 30)


@contextlib.asynccontextmanager
async def kept(workers: Small) -> AsyncIterator[Small]:
    task = asyncio.create_task(workers.keep(pause=0.05))
    try:
        yield workers
    finally:
        await stop_tasks(task)
        for worker in workers.all:
            worker.handle.kill()
        await until(lambda: not workers.all)


async def test_as_many_as_wanted_each_under_its_own_name(tmp_path: Path) -> None:
    async with kept(Small(GOOD, tmp_path)) as workers:
        workers.wanted = Counter(mail=3, reports=2)
        await workers.begun(5)
        assert sorted(w.name for w in workers.all) == [
            "mail-1@here", "mail-2@here", "mail-3@here", "reports-1@here", "reports-2@here",
        ]  # fmt: skip
        assert {queue: len(pids) for queue, pids in workers.processes().items()} == {"mail": 3, "reports": 2}
        busy = workers.of("mail")[0]
        busy.busy = 1
        workers.wanted = Counter(mail=1)
        await until(lambda: [w.name for w in workers.all] == [busy.name])  # the one with work stays
        assert workers.crashed == []


async def test_a_crash_is_told_started_again_and_its_children_do_not_survive(tmp_path: Path) -> None:
    async with kept(Small(FORKS, tmp_path)) as workers:
        workers.wanted = Counter(mail=1)
        await workers.begun(1)
        [worker] = workers.all
        await until(lambda: len(_group(worker.pid)) == 2)
        members = _group(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in members))
        await until(lambda: [w.pid for w in workers.all] not in ([worker.pid], []))
        [crash] = workers.crashed
        assert (crash.name, crash.pid, crash.how) == ("mail-1@here", worker.pid, "killed by SIGKILL")


def _group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(entry.name)) == leader and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


async def test_what_crashes_at_once_is_started_later_each_time(tmp_path: Path) -> None:
    async with kept(Small("raise SystemExit(3)", tmp_path)) as workers:
        workers.wanted = Counter(mail=1)
        await until(lambda: len(workers.crashed) >= 3, 30)
        assert {crash.how for crash in workers.crashed} == {"ended with status 3"}
        told = workers.crashes()["mail"]
        assert (told.in_a_row, told.reason) == (len(workers.crashed), "ended with status 3")
        assert told.again_in <= 2.0 ** (told.in_a_row - 2)
        workers.wanted = Counter(other=1)  # another queue does not wait for it
        await until(lambda: any(crash.name == "other-1@here" for crash in workers.crashed))


async def test_one_that_does_not_stop_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    async with kept(Small(DEAF, tmp_path, patience=0.5)) as workers:
        workers.wanted = Counter(mail=1)
        await workers.begun(1)
        [worker] = workers.all
        workers.wanted = Counter()
        await until(lambda: worker.leaving == "scaled down")
        await until(lambda: not workers.all)
        assert not alive(worker.pid)
        assert [crash.how for crash in workers.crashed] == ["killed by SIGKILL"]  # its session lives on
        assert workers._crashes.get("mail", Crashes()).count == 0


@pytest.mark.parametrize(("code", "hows"), [(TWICE, []), (DEAF, ["killed by SIGKILL"] * 2)])
async def test_in_a_hurry_they_are_told_twice_and_then_killed(
    tmp_path: Path, code: str, hows: list[str]
) -> None:
    workers = Small(code, tmp_path)
    workers.wanted = Counter(mail=2)
    await workers.round()
    await workers.begun(2)
    hurry = asyncio.Event()
    began = time.monotonic()
    stopping = asyncio.create_task(workers.stop_all(hurry))
    await until(lambda: all(worker.leaving for worker in workers.all))
    if code == TWICE:  # of two signals that come before the first is taken, the system makes one
        await until(lambda: workers.told_once() == 2)
    hurry.set()
    await stopping
    assert time.monotonic() - began < 18, "not as patient as otherwise"
    assert workers.all == []
    assert [crash.how for crash in workers.crashed] == hows


async def test_a_command_that_cannot_be_run_does_not_end_the_others(tmp_path: Path) -> None:
    good = Small(GOOD, tmp_path)
    command = good._command
    good._command = lambda queue, name: ["/nowhere/at/all"] if queue == "bad" else command(queue, name)
    async with kept(good) as workers:
        workers.wanted = Counter(bad=1, mail=1)
        await workers.begun(1)
        await until(lambda: workers._crashes["bad"].count >= 2)
        assert [w.queue for w in workers.all] == ["mail"]
