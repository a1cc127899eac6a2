"""Jobs in memory: enqueued by any client of the test, run when the test says so. No servers."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from ..broker.attempt import Runner
from ..broker.context import JobContext, Progress
from ..broker.registry import Registry
from ..broker.registry import registry as registered
from ..client import Client, checked_options
from ..client.job import Job
from ..events import vault
from ..events.job import DueNow, Expire
from .backend import LARGEST, InlineBackend
from .life import Life, Timeline
from .queues import Queues

T = TypeVar("T")

_MOST: Final = 10_000  # attempts a drain; past it, jobs enqueue each other without an end


class Inline:
    """What the fixture gives. `jobs`: everything enqueued, in order; `client`: to enqueue by hand."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry or registered
        self.backend = InlineBackend(self)
        self.lives: dict[str, Life] = {}
        self.line = Timeline(round(time.time() * 1000))
        self.queues = Queues(self.line)
        self.state: dict[str, Any] = {}
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="job")
        self._started = False

    @property
    def jobs(self) -> list[Job]:
        return [life.job() for life in self.lives.values()]

    @property
    def paused(self) -> set[str]:
        """Names of queues from which nothing is run."""
        return self.queues.paused

    @property
    def client(self) -> InlineClient:
        """Plain functions: they work in sync and async tests alike."""
        return InlineClient(self.backend)

    def advance(self, seconds: float) -> None:
        """Let time pass; what became due is run by the next drain."""
        self.line.now += round(seconds * 1000)

    def drain(self, *, with_scheduled: bool = False) -> list[Job]:
        """Run what is ready, and what that enqueues, until nothing is; answers the jobs that were run, as
        they are now. `with_scheduled`: let time pass for those that wait for theirs, or for another try.

        Raises LookupError for a job whose type has no handler. In async tests use `drain_async`.
        """
        return _run(self.drain_async(with_scheduled=with_scheduled))

    async def drain_async(self, *, with_scheduled: bool = False) -> list[Job]:
        """`drain` on the running loop, so that handlers may use what the test made on it."""
        await self._start()
        ran: dict[str, Life] = {}
        for _ in range(_MOST):
            life = self._next(with_scheduled)
            if life is None:
                return [life.job() for life in ran.values()]
            ran[life.text_id] = life
            await self._attempt(life)
        raise RuntimeError(f"{_MOST} attempts and no end: do jobs enqueue each other, or retry for ever?")

    def _next(self, with_scheduled: bool) -> Life | None:
        """The ready job whose turn it is: higher priority first, then the order they came in."""
        self._time_passed()
        if (life := self._first_ready()) is not None or not with_scheduled:
            return life
        waiting = [
            life.state.due_at
            for life in self.lives.values()
            if life.state.status == "pending" and life.state.due_at is not None
            and life.queue not in self.paused
        ]  # fmt: skip
        if not waiting:
            return None
        self.line.now = max(self.line.now, min(waiting))
        self._time_passed()
        return self._first_ready() or self._next(with_scheduled)

    def _time_passed(self) -> None:
        for life in self.lives.values():
            state, now = life.state, self.line.now
            if state.status not in ("pending", "queued"):
                continue
            if state.expires_at is not None and state.expires_at <= now:
                life.decide(Expire())
            elif state.status == "pending" and state.due_at is not None and state.due_at <= now:
                life.decide(DueNow())

    def _first_ready(self) -> Life | None:
        ready = [
            life
            for life in self.lives.values()
            if life.state.status == "queued" and life.queue not in self.paused
        ]
        return min(ready, key=lambda life: (-life.state.priority, life.id), default=None)

    async def _attempt(self, life: Life) -> None:
        handler = self.registry.handlers.get(life.state.spec.type)
        if handler is None:
            raise LookupError(
                f"no handler for {life.state.spec.type!r}: import the module that registers it"
            )

        def report(_: int, told: Progress) -> None:
            life.progressed(told)

        token, attempt = life.start()
        ctx = JobContext(lambda _: life.info(), attempt, token, self.state, report)
        runner = Runner(self._threads, self.registry.middleware, LARGEST)
        body = life.bodies[vault.PAYLOAD, 0]
        life.end(await runner.run(handler, ctx, body, life.state.spec.timeout))

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            for hook in self.registry.startup:
                await _maybe(hook(self.state))

    async def _stop(self) -> None:
        for hook in self.registry.shutdown:
            await _maybe(hook(self.state))

    def close(self) -> None:
        """Runs the shutdown hooks, if the start-up ones were run."""
        if self._started:
            _run(self._stop())
        self._threads.shutdown(wait=False)


class InlineClient:
    """Enqueue by hand, with neither async nor a loop."""

    def __init__(self, backend: InlineBackend) -> None:
        self._backend = backend

    def enqueue(self, queue: str, type: str, payload: object, **options: Any) -> Job:  # noqa: A002
        """As SyncClient.enqueue."""
        key = options.pop("idempotency_key", None)
        return self._backend.add(queue, type, payload, checked_options(options), key).job()

    def job(self, id: str) -> Job:  # noqa: A002
        return self._backend.life(id).job()

    def __call__(self) -> Client:
        """An async client, to be opened by the test."""
        return Client()


async def _maybe(value: Any) -> None:
    if inspect.isawaitable(value):
        await value


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Also from within a running loop: then on a loop of its own, in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    answers: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            answers.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, name="hivelog inline")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]
