"""`isolation="process"`: one child process an attempt, so that it can be killed.

A fork server that has imported the handlers' modules once makes the children: a fork costs
milliseconds, shares the server's memory, and never inherits the worker's threads or connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import multiprocessing
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from .context import JobContext, JobInfo, Progress
from .registry import Handler, registry

_context = multiprocessing.get_context("forkserver")
_KILL_AFTER = 2.0  # seconds a child gets between SIGTERM and SIGKILL


class Died(Exception):
    """The child ended without an answer."""


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


async def run(handler: Handler, ctx: JobContext, body: bytes, result_limit: int) -> Any:
    """Call the handler in a child; cancelling this call kills it. Raises Raised or Died."""
    ours, theirs = _context.Pipe()
    arguments = (
        theirs, handler.function.__module__, handler.type, ctx.job, ctx.attempt, ctx.token, body,
        result_limit,
    )  # fmt: skip
    process = _context.Process(target=_main, args=arguments, daemon=True)
    # Starting talks to the fork server, which may be starting itself: not on the loop.
    starting = asyncio.ensure_future(asyncio.to_thread(process.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It starts all the same, and must not run on with nobody to kill it.
        starting.add_done_callback(lambda _: threading.Thread(target=_end, args=(process,)).start())
        ours.close()
        raise
    finally:
        theirs.close()
    try:
        return await _answer(ours, ctx)
    except EOFError:
        await asyncio.to_thread(process.join, _KILL_AFTER)
        raise Died(_obituary(process.exitcode)) from None
    finally:
        ours.close()
        await asyncio.shield(asyncio.to_thread(_end, process))


async def _answer(pipe: Connection, ctx: JobContext) -> Any:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        while True:
            await readable.wait()
            if not pipe.poll():  # a late reader callback: nothing there, and recv would block the loop
                readable.clear()
                continue
            kind, *rest = pipe.recv()
            if kind == "progress":
                ctx.progress(rest[0], rest[1])
            elif kind == "result":
                return rest[0]
            else:
                raise (Unfit if kind == "unfit" else Raised)(*rest)
    finally:
        loop.remove_reader(pipe.fileno())


def _end(process: Any) -> None:
    if process.is_alive():
        process.join(0.05)  # it has answered and is on its way out
    if process.is_alive():
        process.terminate()
        process.join(_KILL_AFTER)
    if process.is_alive():
        process.kill()
    process.join()
    process.close()


def _obituary(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"the handler's process was killed by {signal.Signals(-exitcode).name}"
    return f"the handler's process ended with status {exitcode} and no answer"


def _main(
    pipe: Connection, module: str, type_: str, job: JobInfo, attempt: int, token: int, body: bytes,
    result_limit: int,
) -> None:  # fmt: skip
    """In the child: run the handler, send progress and the answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle

    def report(_: int, progress: Progress) -> None:
        pipe.send(("progress", progress.percent, progress.message))

    kind = "error"
    try:
        registry.load([module])
        handler = registry.handlers[type_]
        ctx = JobContext(lambda _: job, attempt, token, {}, report)
        result = handler.function(ctx, handler.decoder.decode(body))
        if inspect.isawaitable(result):
            result = asyncio.run(_await(result))
        kind = "unfit"
        pipe.send(("result", _encoded(result, result_limit)))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        pipe.send((kind, type(error).__name__, str(error), text))


def _encoded(result: Any, limit: int) -> Any:
    """JSON already here: what cannot be encoded, or is too large, never crosses the pipe."""
    if result is None:
        return None
    encoded = msgspec.json.encode(result)
    if len(encoded) > limit:
        raise ValueError(f"the result has {len(encoded)} bytes, the limit is {limit}: store it elsewhere")
    return msgspec.Raw(encoded)


async def _await(awaitable: Any) -> Any:
    return await awaitable
