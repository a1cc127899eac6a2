"""`isolation="process"`: one child process an attempt, so that it can be killed.

A fork server that has imported the handlers' modules once makes the children: a fork costs
milliseconds, shares the server's memory, and never inherits the worker's threads or connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import threading
from typing import Any

import msgspec

from . import child_main, sandbox
from .child_main import HEADER, Task
from .child_output import ChildOutput
from .context import JobContext
from .registry import Handler

_context = multiprocessing.get_context("forkserver")
_LEAVE_WITHIN = 0.5  # seconds that a child may take to end after it has answered
_KILL_AFTER = 2.0  # seconds a child gets between SIGTERM and SIGKILL


class Died(Exception):
    """The child ended without an answer. `text`: with the last that it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.text = f"{message}\n\nIt printed last:\n{output}" if output else message


class Raised(Exception):
    """The handler raised in the child; type, message and traceback are those of there."""

    def __init__(self, error_type: str, message: str, text: str) -> None:
        super().__init__(message)
        self.error_type, self.message, self.text = error_type, message, text


class Unfit(Raised):
    """The handler returned what cannot be encoded, or is too large."""


def preload(modules: list[str]) -> None:
    """Import the handlers' modules once, in the fork server."""
    _context.set_forkserver_preload(["hivelog", *modules])


async def run(
    handler: Handler, ctx: JobContext, body: bytes, *, result_limit: int, memory_mib: int | None
) -> Any:
    """Call the handler in a child; cancelling this call kills it and what it started. Raises Raised or Died.

    `memory_mib` bounds handlers that name no limit of their own.
    """
    task = Task(
        handler.function.__module__, handler.type, ctx.job, ctx.attempt, ctx.token, body, result_limit,
        handler.memory_mib or memory_mib, shadow=sandbox.active is not None,
    )  # fmt: skip
    ours, theirs = socket.socketpair()
    printed, printing = _context.Pipe(duplex=False)
    theirs_too, life = _context.Pipe(duplex=False)
    process = _context.Process(target=child_main.main, args=(theirs, printing, theirs_too, task), daemon=True)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    output = ChildOutput(printed, ctx.job.id)
    try:
        await _start(process, theirs, printing, theirs_too)
        return await _supervised(process, reader, ctx, output, task.memory_mib)
    finally:
        life.close()  # the child ends at once, if it has not
        writer.close()
        output.close()


async def _start(process: Any, *theirs: Any) -> None:
    """Starting talks to the fork server, which may be starting itself: not on the loop."""

    def start() -> None:
        try:
            process.start()
        finally:
            for end in theirs:
                end.close()

    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It starts all the same, and must not run on with nobody to kill it.
        starting.add_done_callback(lambda done: _unwanted(process, done))
        raise


def _unwanted(process: Any, started: asyncio.Future[None]) -> None:
    if started.exception() is None:
        threading.Thread(target=_kill, args=(process,)).start()


async def _supervised(
    process: Any, reader: asyncio.StreamReader, ctx: JobContext, output: ChildOutput, memory_mib: int | None
) -> Any:
    end = _kill
    try:
        answer = await _answer(reader, ctx)
        end = _let_go
        return answer
    except Raised:
        end = _let_go
        raise
    except (asyncio.IncompleteReadError, OSError):
        await asyncio.to_thread(process.join, _KILL_AFTER)
        raise Died(_obituary(process.exitcode, memory_mib), output.tail) from None
    finally:
        await asyncio.shield(asyncio.to_thread(end, process))


async def _answer(reader: asyncio.StreamReader, ctx: JobContext) -> Any:
    """A child that stops in the middle of a message keeps nobody but itself waiting."""
    while True:
        size = int.from_bytes(await reader.readexactly(HEADER), "big")
        kind, *rest = msgspec.msgpack.decode(await reader.readexactly(size))
        if kind == "progress":
            ctx.progress(rest[0], rest[1])
        elif kind == "enqueued":
            if sandbox.active is not None:
                sandbox.active.enqueue(*rest)
        elif kind == "result":
            return None if rest[0] is None else msgspec.Raw(rest[0])
        else:
            raise (Unfit if kind == "unfit" else Raised)(*rest)


def _let_go(process: Any) -> None:
    """It has answered and is on its way out."""
    process.join(_LEAVE_WITHIN)
    _kill(process)


def _kill(process: Any) -> None:
    if process.is_alive():
        _signal(process, signal.SIGTERM)
        process.join(_KILL_AFTER)
        _signal(process, signal.SIGKILL)  # also for what the handler started and that did not listen
    process.join()
    process.close()


def _signal(process: Any, number: signal.Signals) -> None:
    """To the child and all that it started; it is the leader of its group once it runs."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        with contextlib.suppress(ProcessLookupError):
            if process.is_alive():
                os.kill(process.pid, number)


def _obituary(exitcode: int | None, memory_mib: int | None) -> str:
    limit = "" if memory_mib is None else f"; it had {memory_mib} MiB of memory"
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-exitcode).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the handler's process was killed by {name}{hint}{limit}"
    return f"the handler's process ended with status {exitcode} and no answer{limit}"
