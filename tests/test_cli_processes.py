"""A child of `up` and `demo` ends with its parent, and otherwise as if nobody watched."""

from __future__ import annotations

import signal
import subprocess
import sys

CHILD = "import sys, time\nfrom hivelog.cli.processes import end_with_parent\nend_with_parent()\n"


def child(then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD + then],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_child_that_ends_first_ends_well() -> None:
    process = child("time.sleep(0.2)")
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
