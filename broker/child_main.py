"""What runs inside a child process: one handler, within its memory, and never longer than its worker."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

import msgspec
from msgspec import Struct

from . import sandbox
from .child_end import end_with_the_other_end
from .context import JobContext, JobInfo, Progress
from .registry import registry

HEADER = 4  # bytes that say how long a message is
MESSAGE_BYTES = 2000
TEXT_BYTES = 64 * 1024
_sending = threading.Lock()  # a handler may report from threads of its own


class Task(Struct, frozen=True):
    """What a child is told. `memory_mib`: the most it may write to, None for no limit."""

    module: str
    type: str
    job: JobInfo
    attempt: int
    token: int
    body: bytes
    result_limit: int
    memory_mib: int | None
    shadow: bool = False  # nothing of it may reach the log


def main(link: socket.socket, output: Connection, life: Connection, task: Task) -> None:
    """Run the handler; send progress and the answer. The worker holds the other end of `life`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    os.setpgid(0, 0)  # what the handler starts is ended with it
    end_with_the_other_end(life)
    _write_to(output)
    answer = _attempt(link, task)
    sys.stdout.flush()
    send(link, *answer)


def send(link: socket.socket, kind: str, *rest: Any) -> None:
    message = msgspec.msgpack.encode([kind, *rest])
    with _sending:
        link.sendall(len(message).to_bytes(HEADER, "big") + message)


def _write_to(output: Connection) -> None:
    """Standard output and error: to the worker, which bounds them."""
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _attempt(link: socket.socket, task: Task) -> tuple[Any, ...]:
    kind = "error"
    if task.shadow:
        sandbox.active = sandbox.Recorder(lambda queue, of: send(link, "enqueued", queue, of))
    try:
        registry.load([task.module])
        _limit(task.memory_mib)
        result = _call(link, task)
        kind = "unfit"
        return ("result", _encoded(result, task.result_limit))
    except MemoryError as error:
        _limit(None)  # what is left to do needs some
        return _told("error", error, task.memory_mib)
    except Exception as error:
        return _told(kind, error, None)


def _call(link: socket.socket, task: Task) -> Any:
    def report(_: int, progress: Progress) -> None:
        send(link, "progress", progress.percent, progress.message)

    handler = registry.handlers[task.type]
    ctx = JobContext(lambda _: task.job, task.attempt, task.token, {}, report)
    result = handler.function(ctx, handler.decoder.decode(task.body))
    return asyncio.run(_await(result)) if inspect.isawaitable(result) else result


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _limit(mebibytes: int | None) -> None:
    """Of the memory that can be written to: what is only mapped, or shared, costs nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard if mebibytes is None else mebibytes << 20, hard))


def _encoded(result: Any, limit: int) -> bytes | None:
    """JSON already here: what cannot be encoded, or is too large, never gets to the worker."""
    if result is None:
        return None
    encoded = msgspec.json.encode(result)
    if len(encoded) > limit:
        raise ValueError(f"the result has {len(encoded)} bytes, the limit is {limit}: store it elsewhere")
    return encoded


def _told(kind: str, error: BaseException, memory_mib: int | None) -> tuple[str, str, str, str]:
    """Bounded here: an error may carry the hundred megabytes that caused it."""
    try:
        message, text = str(error), "".join(traceback.format_exception(error))
    except Exception:  # a __str__ that raises must not lose the attempt
        message = text = "(no text)"
    if memory_mib is not None:
        message = f"the handler needed more than its {memory_mib} MiB of memory. {message}"
        text = f"{text}{message}"
    return kind, type(error).__name__, _sendable(message[:MESSAGE_BYTES]), _sendable(text[-TEXT_BYTES:])


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
