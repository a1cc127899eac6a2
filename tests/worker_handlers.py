"""Handlers for the tests of the worker: good ones and all the others. Also loaded by real processes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from hivelog import JobContext
from hivelog.broker.registry import registry

handler = registry.handler


class Numbers(msgspec.Struct):
    a: int
    b: int


@handler("add")
async def add(ctx: JobContext, payload: Numbers) -> dict[str, int]:
    return {"sum": payload.a + payload.b}


@handler("note")
async def note(ctx: JobContext, payload: dict[str, Any]) -> None:
    """Leaves a line for each run, then takes its time, or waits for the file `until`."""
    with Path(payload["file"]).open("a") as file:
        file.write(f"{payload.get('n', 0)} {ctx.attempt}\n")
    await asyncio.sleep(payload.get("seconds", 0))
    while not Path(payload.get("until", "/")).exists():
        await asyncio.sleep(0.02)


# Opened by the test that waits behind it.
GATE = asyncio.Event()


@handler("gate")
async def gate(ctx: JobContext, payload: Any) -> dict[str, bool]:
    await GATE.wait()
    return {"through": True}


@handler("in_thread")
def in_thread(ctx: JobContext, payload: Any) -> dict[str, int]:
    return {"pid": os.getpid()}


@handler("in_process", isolation="process")
def in_process(ctx: JobContext, payload: Any) -> dict[str, int]:
    ctx.progress(50, "half")
    return {"pid": os.getpid()}


@handler("hang")
async def hang(ctx: JobContext, payload: Any) -> None:
    await asyncio.Event().wait()


@handler("hang_in_thread")
def hang_in_thread(ctx: JobContext, payload: Any) -> None:
    while not ctx.cancelled:
        time.sleep(0.02)
    raise RuntimeError("asked to stop")


@handler("hang_in_process", isolation="process")
def hang_in_process(ctx: JobContext, payload: Any) -> None:
    threading.Event().wait()


@handler("progress")
async def progress(ctx: JobContext, payload: Any) -> None:
    for percent in range(100):
        await ctx.progress(percent, f"step {percent}")
        await asyncio.sleep(0.012)
    await ctx.progress(100, "odd \ud800 end")


@handler("raise")
async def raise_(ctx: JobContext, payload: Any) -> None:
    raise ValueError("no luck \0 \ud800")


@handler("raise_in_thread")
def raise_in_thread(ctx: JobContext, payload: Any) -> None:
    raise StopIteration("none left")


@handler("exit")
async def exit_(ctx: JobContext, payload: Any) -> None:
    sys.exit(3)


@handler("exit_in_thread")
def exit_in_thread(ctx: JobContext, payload: Any) -> None:
    sys.exit(3)


@handler("deaf_in_thread")
def deaf_in_thread(ctx: JobContext, payload: Any) -> None:
    while True:
        time.sleep(0.05)


@handler("exit_in_process", isolation="process")
def exit_in_process(ctx: JobContext, payload: Any) -> None:
    sys.exit(3)


@handler("die_in_process", isolation="process")
def die_in_process(ctx: JobContext, payload: Any) -> None:
    os._exit(7)


@handler("unfit")
async def unfit(ctx: JobContext, payload: Any) -> Any:
    return object()


@handler("unfit_in_process", isolation="process")
def unfit_in_process(ctx: JobContext, payload: Any) -> Any:
    return object()


@handler("huge")
async def huge(ctx: JobContext, payload: Any) -> str:
    return "x" * 2_000_000


@handler("huge_in_process", isolation="process")
def huge_in_process(ctx: JobContext, payload: Any) -> str:
    return "x" * 2_000_000


async def wait_for_file(ctx: JobContext, payload: dict[str, str]) -> dict[str, int]:
    while not Path(payload["file"]).exists():
        await asyncio.sleep(0.02)
    return {"attempt": ctx.attempt}


def wait_for_file_blocking(ctx: JobContext, payload: dict[str, str]) -> dict[str, int]:
    while not Path(payload["file"]).exists():
        time.sleep(0.02)
    return {"attempt": ctx.attempt}


handler("file_on_loop")(wait_for_file)
handler("file_in_thread")(wait_for_file_blocking)
handler("file_in_process", isolation="process")(wait_for_file_blocking)
