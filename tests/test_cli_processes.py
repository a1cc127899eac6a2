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
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hivelog.cli import processes
from rich.console import Console

from .web_world import until

CHILD = "import signal\nfrom hivelog.cli import processes\nprocesses.end_with_parent()\n"


@contextlib.contextmanager
def child(then: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """It, and both ends of its line to us."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD + then],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def test_a_child_that_ends_first_ends_well() -> None:
    with child("processes._heard.wait()") as (process, told, said):
        print("its thread waits for more by then", file=told, flush=True)
        assert process.wait(20) == 0
        assert said.read() == ""


def test_a_child_ends_with_its_parent() -> None:
    with child("print('here', flush=True)\nsignal.pause()") as (process, told, said):
        assert said.readline() == "here\n"
        told.close()  # as the system does it when the parent dies
        assert process.wait(20) == -signal.SIGTERM


async def test_a_child_is_started_again_though_its_own_children_hold_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "pids"
    code = (
        "import os, sys\n"
        f"made = os.fork()\nopen({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "print('hello', flush=True)\nsys.stdin.read()"  # until we are gone
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
