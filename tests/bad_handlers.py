"""Handlers that misbehave. Also loaded by real processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hivelog import JobContext
from hivelog.broker.registry import registry

handler = registry.handler
# A program that goes on for an hour, far beyond any test: only who kills it ends it.
HELPER = [sys.executable, "-c", "import time; time.sleep(3600)"]


@handler("spin", isolation="process")
def spin(ctx: JobContext, payload: Any) -> None:
    while True:
        pass


@handler("deaf_spin", isolation="process")
def deaf_spin(ctx: JobContext, payload: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


@handler("with_helper", isolation="process")
def with_helper(ctx: JobContext, payload: dict[str, str]) -> None:
    """Starts a program, leaves its process id, and waits for it."""
    helper = subprocess.Popen(HELPER)
    Path(payload["file"]).write_text(str(helper.pid))
    helper.wait()


@handler("hog", isolation="process", memory_mib=256)
def hog(ctx: JobContext, payload: Any) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))


@handler("greedy", isolation="process")
def greedy(ctx: JobContext, payload: Any) -> int:
    return len(bytearray(400 << 20))


@handler("suicide", isolation="process")
def suicide(ctx: JobContext, payload: Any) -> None:
    print("these were my last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@handler("loud", isolation="process")
def loud(ctx: JobContext, payload: Any) -> str:
    for _ in range(100):
        sys.stdout.write("x" * (1 << 20))
    return "said"


@handler("loud_error", isolation="process")
def loud_error(ctx: JobContext, payload: Any) -> None:
    raise ValueError("x" * (100 << 20))


@handler("tick", isolation="process")
def tick(ctx: JobContext, payload: dict[str, str]) -> None:
    while True:
        with Path(payload["file"]).open("a") as file:
            file.write(".")
        time.sleep(0.02)


@handler("compute_in_c", isolation="process")
def compute_in_c(ctx: JobContext, payload: dict[str, str]) -> None:
    """Never gives the interpreter back, so no thread of the child runs any more."""
    Path(payload["file"]).write_text(str(os.getpid()))
    sum(itertools.repeat(0, 1 << 60))


@handler("stop_itself", isolation="process")
def stop_itself(ctx: JobContext, payload: dict[str, str]) -> None:
    """Stopped, with a program that it has started."""
    helper = subprocess.Popen(HELPER)
    Path(payload["file"]).write_text(f"{helper.pid} {os.getpid()}")
    os.kill(os.getpid(), signal.SIGSTOP)


@handler("block")
async def block(ctx: JobContext, payload: dict[str, float]) -> None:
    time.sleep(payload["seconds"])


@handler("deaf")
async def deaf(ctx: JobContext, payload: Any) -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@handler("kill_worker")
async def kill_worker(ctx: JobContext, payload: dict[str, bool]) -> str:
    if payload.get("harmless"):
        return "fine"
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"
