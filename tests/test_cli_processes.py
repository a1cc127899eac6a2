"""A child of `up` and `demo` ends with its parent, and otherwise as if nobody watched."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hivelog.cli import processes
from rich.console import Console

from .web_world import until

CHILD = "import sys, time\nfrom hivelog.cli.processes import end_with_parent\nend_with_parent()\n"


def child(then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD + then],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_child_that_ends_first_ends_well() -> None:
    process = child("time.sleep(0.2)")  # its thread waits for the parent by then
    assert process.stdout is not None
    assert process.wait(20) == 0
    assert process.stdout.read() == ""


def test_a_child_ends_with_its_parent() -> None:
    process = child("print('here', flush=True)\ntime.sleep(60)")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "here\n"
    process.stdin.close()  # as the system does it when the parent dies
    assert process.wait(20) == -signal.SIGTERM


async def test_a_child_is_started_again_though_its_own_children_hold_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "pids"
    code = (
        "import os, sys, time\n"
        f"made = os.fork()\nopen({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "print('hello', flush=True)\ntime.sleep(60)"
    )
    monkeypatch.setattr(processes, "command", lambda *_: [sys.executable, "-c", code])
    said = io.StringIO()
    children = processes.Children(Console(file=said))
    child = children.run("x", "whatever")
    await until(lambda: told.exists() and len(told.read_text().split()) == 2)
    assert child.process is not None
    began = time.monotonic()
    child.process.kill()
    await until(lambda: child.starts == 2 and len(told.read_text().split()) == 4)
    assert time.monotonic() - began < 10
    assert "ended with signal SIGKILL; starting again" in said.getvalue()
    assert "x | hello" in said.getvalue()
    hurry = asyncio.Event()
    hurry.set()
    await children.stop(5, hurry)
    for pid in told.read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    await until(lambda: not children._copies)
