"""One attempt of one job: decode, call the handler where it belongs, turn what happens into an ending.

Nothing that a handler does may harm the worker: whatever it raises, SystemExit included, is an outcome.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Literal

import msgspec
from msgspec import Struct

from . import child
from .context import JobContext
from .registry import Function, Handler

_ERROR_BYTES = 64 * 1024
# Names of the threads that handlers run in begin so.
JOB_THREADS = "job"

Cause = Literal["error", "timeout", "payload", "result", "cancelled"]


class Success(Struct, gc=False):
    """The handler returned; `result` is JSON, None for no result."""

    result: bytes | None


class Failure(Struct, gc=False):
    """The attempt did not succeed; `text` is what people read, never part of the log."""

    cause: Cause
    error_type: str
    message: str
    text: str


Ending = Success | Failure


class Runner:
    """Runs attempts for one worker: its middleware, threads and result limit."""

    def __init__(
        self,
        threads: Executor,
        middleware: list[Function],
        result_limit: int,
        child_memory_mib: int | None = None,
    ) -> None:
        self._threads = threads
        self._middleware = middleware
        self._result_limit = result_limit
        self._child_memory_mib = child_memory_mib
        self._encode = msgspec.json.Encoder().encode
        # Threads cannot be killed: one that outlives its attempt goes on using a slot.
        self.stuck_threads = 0
        self._all_stuck_since: float | None = None

    async def run(self, handler: Handler, ctx: JobContext, body: bytes, timeout: float | None) -> Ending:
        """Never raises; a cancelled task answers Failure("cancelled")."""
        try:
            payload = handler.decoder.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            return _failure("payload", error)
        limit = handler.timeout if timeout is None else min(timeout, handler.timeout or timeout)
        if limit is not None:
            return await self._bounded(handler, ctx, payload, body, limit)
        try:
            # The plain case without a detour: most jobs are this, and each coroutine more costs them.
            if handler.isolation == "loop" and not self._middleware:
                return self._success(await handler.function(ctx, payload))
            return self._success(await self._call(handler, ctx, payload, body))
        except BaseException as error:
            return _raised(error)

    async def _bounded(
        self, handler: Handler, ctx: JobContext, payload: Any, body: bytes, limit: float
    ) -> Ending:
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                return self._success(await self._call(handler, ctx, payload, body))
        except BaseException as error:
            if isinstance(error, TimeoutError) and clock.expired():
                return Failure("timeout", "TimeoutError", f"timed out after {limit:g} s", _text(error))
            return _raised(error)

    async def _call(self, handler: Handler, ctx: JobContext, payload: Any, body: bytes) -> Any:
        if not self._middleware:
            return await self._invoke(handler, ctx, payload, body)

        async def innermost(ctx: JobContext, payload: Any) -> Any:
            return await self._invoke(handler, ctx, payload, body)

        call: Callable[..., Any] = innermost
        for layer in reversed(self._middleware):
            call = _wrap(layer, call)
        return await call(ctx, payload)

    async def _invoke(self, handler: Handler, ctx: JobContext, payload: Any, body: bytes) -> Any:
        if handler.isolation == "loop":
            return await handler.function(ctx, payload)
        if handler.isolation == "thread":
            return await self._in_thread(handler, ctx, payload)
        return await child.run(
            handler, ctx, body, result_limit=self._result_limit, memory_mib=self._child_memory_mib
        )

    async def _in_thread(self, handler: Handler, ctx: JobContext, payload: Any) -> Any:
        loop = asyncio.get_running_loop()
        _ = ctx.job  # now: a thread that outlives its attempt may ask when nobody knows any more
        work = self._threads.submit(_guarded, handler.function, ctx, payload)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if not work.cancel() and not work.done():
                self.stuck_threads += 1
                work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._unstick))
            raise

    def _unstick(self) -> None:
        self.stuck_threads -= 1

    def all_stuck(self, slots: int, seconds: float) -> bool:
        """Whether that many threads have outlived their attempts for so long. To be asked now and then."""
        now = time.monotonic()
        if self.stuck_threads < slots:
            self._all_stuck_since = None
            return False
        self._all_stuck_since = self._all_stuck_since or now
        return now - self._all_stuck_since >= seconds

    def _success(self, result: Any) -> Ending:
        if result is None:
            return Success(None)
        try:
            encoded = self._encode(result)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            return _failure("result", error)
        if len(encoded) > self._result_limit:
            message = f"the result has {len(encoded)} bytes, the limit is {self._result_limit}"
            return Failure("result", "ResultTooLarge", message, message)
        return Success(encoded)


def stuck_threads() -> list[threading.Thread]:
    """Threads of handlers that still run after their worker has ended."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(JOB_THREADS)]
    deadline = time.monotonic() + 0.5  # an idle thread needs a moment to hear of the end
    for thread in ours:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in ours if thread.is_alive()]


def _wrap(layer: Function, inner: Callable[..., Any]) -> Callable[..., Any]:
    async def call(ctx: JobContext, payload: Any) -> Any:
        return await layer(ctx, payload, inner)

    return call


class _Escaped(Exception):
    """SystemExit and its like from a thread; the executor would otherwise lose or spread them."""


def _guarded(function: Function, ctx: JobContext, payload: Any) -> Any:
    try:
        return function(ctx, payload)
    except StopIteration as error:
        # No future can carry it: the attempt would never end.
        raise RuntimeError("the handler raised StopIteration") from error
    except Exception:
        raise
    except BaseException as error:
        raise _Escaped(f"{type(error).__name__}: {error}") from error


def _text(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # a __str__ that raises must not lose the attempt
        text = f"{type(error).__name__} (its text could not be formatted)"
    return _bounded_text(text)


def _bounded_text(text: str) -> str:
    return text.replace("\0", "\\0")[-_ERROR_BYTES:]


def _raised(error: BaseException) -> Failure:
    if isinstance(error, asyncio.CancelledError):
        return _failure("cancelled", error)
    if isinstance(error, child.Died):
        return Failure("error", "ProcessDied", _clean(str(error)), _bounded_text(error.text))
    if isinstance(error, child.Unfit):
        return Failure("result", error.error_type, _clean(error.message), _bounded_text(error.text))
    if isinstance(error, child.Raised):
        return Failure("error", error.error_type, _clean(error.message), _bounded_text(error.text))
    return _failure("error", error)


def _failure(cause: Cause, error: BaseException) -> Failure:
    try:
        message = str(error)
    except Exception:
        message = "(no text)"
    return Failure(cause, type(error).__name__, _clean(message), _text(error))


def _clean(message: str) -> str:
    """What JSON and PostgreSQL take: no NUL, no half of a surrogate pair."""
    return message[:2000].replace("\0", "\\0").encode("utf-8", "replace").decode()
