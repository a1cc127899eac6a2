"""The client without async: the same methods, from any thread.

The work is done by one event loop in a thread of its own, so the calls of many threads share appends.
What forks must make its client afterwards: a thread does not survive a fork, and here that is said
instead of waiting for ever.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from ..settings import Settings
from . import Client, checked_options, transaction
from .job import Done, Event, History, Item, Job, Options, Queue, Status
from .listing import SyncListing
from .transaction import Call, Connection

T = TypeVar("T")


class SyncClient:
    """Arguments and methods of Client. Opened with `with` (or `open` and `close`)."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        redis_url: str | None = None,
        name: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._client = Client(url, token=token, redis_url=redis_url, name=name, settings=settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        self._loop, self._pid, self._over = _new_loop(), os.getpid(), asyncio.Event()
        turning = (self._loop, self._over)
        self._thread = threading.Thread(target=_turn, args=turning, name="hivelog client", daemon=True)
        self._thread.start()
        try:
            self._run(self._client.open())
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Writes what waits, then lets go. In a forked child: only forgets."""
        if self._loop is not None and self._pid == os.getpid():
            try:
                self._run(self._client.close())
            finally:
                self._stop()
        self._loop = None

    def _stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._usable())
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: nobody waits for it any more
            raise

    def _usable(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the client is not open: use it with `with`, or call open()")
        if self._pid != os.getpid():
            raise RuntimeError("this client was opened before the fork: open one in each process")
        if threading.current_thread() is self._thread:
            raise RuntimeError("called from its own event loop: use the async Client there")
        return self._loop

    # -- enqueue -----------------------------------------------------------------------------------------

    def enqueue(
        self,
        queue: str,
        type: str,  # noqa: A002 - the contract's word
        payload: object,
        *,
        idempotency_key: str | None = None,
        connection: Connection | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """As Client.enqueue; `connection` is used in the calling thread, where its transaction lives."""
        if connection is None:
            return self._run(
                self._client.enqueue(queue, type, payload, idempotency_key=idempotency_key, **options)
            )
        call = Call(queue, type, payload, checked_options(options), idempotency_key)
        inline = self._client._backend.enqueue_within(connection, call)
        return inline or transaction.enqueue(connection, call)

    def enqueue_many(self, items: Iterable[Item], *, idempotency_key: str | None = None) -> list[str]:
        return self._run(self._client.enqueue_many(items, idempotency_key=idempotency_key))

    # -- one job -----------------------------------------------------------------------------------------

    def job(self, id: str) -> Job:  # noqa: A002 - the contract's word
        return self._run(self._client.job(id))

    def history(self, id: str) -> History:  # noqa: A002
        return self._run(self._client.history(id))

    def why(self, id: str) -> list[dict[str, Any]]:  # noqa: A002
        return self._run(self._client.why(id))

    def wait(self, id: str, timeout: float | None = None) -> Job:  # noqa: A002
        return self._run(self._client.wait(id, timeout))

    def cancel(self, id: str, *, reason: str | None = None) -> Done:  # noqa: A002
        return self._run(self._client.cancel(id, reason=reason))

    def retry(self, id: str, **changes: Any) -> Done:  # noqa: A002
        return self._run(self._client.retry(id, **changes))

    def reschedule(
        self,
        id: str,  # noqa: A002
        *,
        priority: int | None = None,
        scheduled_for: datetime | str | None = None,
    ) -> Done:
        return self._run(self._client.reschedule(id, priority=priority, scheduled_for=scheduled_for))

    def act(
        self,
        action: Literal["cancel", "retry", "erase"],
        *,
        reason: str | None = None,
        dry_run: bool = False,
        position: int | None = None,
        **filters: Any,
    ) -> dict[str, Any]:
        return self._run(
            self._client.act(action, reason=reason, dry_run=dry_run, position=position, **filters)
        )

    def action(self, action_id: str) -> dict[str, Any]:
        return self._run(self._client.action(action_id))

    def undo(self, action_id: str, *, reason: str | None = None) -> dict[str, Any]:
        return self._run(self._client.undo(action_id, reason=reason))

    # -- lists and queues --------------------------------------------------------------------------------

    def jobs(
        self,
        *,
        queue: str | None = None,
        status: Status | str | None = None,
        limit: int = 100,
        **filters: str | datetime | None,
    ) -> SyncListing[Job]:
        listing = self._client.jobs(queue=queue, status=status, limit=limit, **filters)
        return SyncListing(listing, self._run)

    def events(self, *, after: int = 0, limit: int = 500, **filters: str | None) -> SyncListing[Event]:
        return SyncListing(self._client.events(after=after, limit=limit, **filters), self._run)

    def failures(self, *, since: datetime | str | None = None, **filters: str) -> list[dict[str, Any]]:
        return self._run(self._client.failures(since=since, **filters))

    def workers(self) -> dict[str, Any]:
        return self._run(self._client.workers())

    def scale(self, queue: str, workers: int | Literal["auto"]) -> dict[str, Any]:
        return self._run(self._client.scale(queue, workers))

    def queues(self) -> list[Queue]:
        return self._run(self._client.queues())

    def stats(self, queue: str) -> dict[str, Any]:
        return self._run(self._client.stats(queue))

    def series(
        self,
        *,
        queue: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        step: str | None = None,
        group: Literal["queue"] | None = None,
    ) -> dict[str, Any]:
        asked = self._client.series(queue=queue, since=since, until=until, step=step, group=group)
        return self._run(asked)

    def pause(self, queue: str, *, reason: str | None = None) -> None:
        self._run(self._client.pause(queue, reason=reason))

    def resume(self, queue: str, *, reason: str | None = None) -> None:
        self._run(self._client.resume(queue, reason=reason))

    def drain(
        self, queue: str, *, position: int | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        return self._run(self._client.drain(queue, position=position, dry_run=dry_run))

    def configure(self, queue: str, **config: Any) -> Queue:
        return self._run(self._client.configure(queue, **config))

    def config(self) -> dict[str, Any]:
        return self._run(self._client.config())


def _turn(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """Until it is over. What runs then still (readings beside the callers) is cancelled and waited for: left
    behind, asyncio would complain of it in the middle of whatever the program does next."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(over.wait())


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()
