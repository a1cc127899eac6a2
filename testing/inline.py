"""Jobs in memory: enqueued by any client of the test, run when the test says so. No servers."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec

from ..broker import idempotency, payload
from ..broker.attempt import Runner
from ..broker.context import JobContext, Progress
from ..broker.errors import Rejected
from ..broker.registry import Registry
from ..broker.registry import registry as registered
from ..client import Client, checked_options
from ..client.backend import BulkItem
from ..client.errors import NotFound, UnknownQueue, WaitTimeout, error_of
from ..client.job import Job
from ..client.transaction import Call, Connection
from ..events import fields, spec, vault
from ..events.fields import InvalidField
from ..events.job import Cancel, DueNow, Expire, Refusal, Reschedule, Retry
from ..events.queue import DEFAULT_QUEUES, QueueConfig, configured
from .life import Life, Timeline

T = TypeVar("T")

_LARGEST: Final = 1_048_576
_MOST: Final = 10_000  # attempts a drain; past it, jobs enqueue each other without an end


class Inline:
    """What the fixture gives. `jobs`: everything enqueued, in order; `client`: to enqueue by hand."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry or registered
        self.backend = InlineBackend(self)
        self.queues: dict[str, QueueConfig] = dict(DEFAULT_QUEUES)
        self.paused: set[str] = set()
        self.lives: dict[str, Life] = {}
        self.line = Timeline(round(time.time() * 1000))
        self.state: dict[str, Any] = {}
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="job")
        self._started = False

    @property
    def jobs(self) -> list[Job]:
        return [life.job() for life in self.lives.values()]

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
        runner = Runner(self._threads, self.registry.middleware, _LARGEST)
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


class InlineBackend:
    """What every client of the test stands on."""

    def __init__(self, inline: Inline) -> None:
        self._inline = inline
        self._keys: dict[str, tuple[bytes, str]] = {}

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def add(
        self, queue: str, type_: str, body: object, options: Mapping[str, Any], key: str | None
    ) -> Life:
        """Checked as the real one does. Raises HivelogError."""
        config = self._inline.queues.get(queue)
        if config is None:
            raise UnknownQueue(f"there is no queue {queue!r}", {"queue": queue})
        try:
            encoded = payload.encode(body, _LARGEST)
            prepared = spec.prepare(type_, config, options, idempotency=key is not None)
            known = None if key is None else self._known(queue, key, [type_, encoded, options])
        except (Rejected, InvalidField) as error:
            raise _ours(error) from error
        if known is not None:
            return self._inline.lives[known]
        line = self._inline.line
        line.now = max(line.now, round(time.time() * 1000))
        life = Life(line, queue, prepared.encoded, encoded, prepared.correlation)
        self._inline.lives[life.text_id] = life
        if key is not None:
            mark = idempotency.fingerprint([type_, encoded, options])
            self._keys[f"{queue}\0{key}"] = (mark, life.text_id)
        return life

    def _known(self, queue: str, key: str, asked: Any) -> str | None:
        mark, job = self._keys.get(f"{queue}\0{key}", (b"", ""))
        if mark and mark != idempotency.fingerprint(asked):
            raise idempotency.mismatch()
        return job or None

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        return self.add(queue, type_, payload, options, key).job()

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]:
        before = dict(self._inline.lives)
        try:
            return [
                self.add(i.queue, i.type, i.payload, i.metadata or {}, i.idempotency_key).text_id
                for i in items
            ]
        except Exception:
            self._inline.lives = before  # all or none
            raise

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        return self.add(call.queue, call.type, call.payload, call.options, call.key).job()

    async def wait(self, job: str) -> None:
        """Nothing happens by itself here, so what is ready is run."""
        life = self.life(job)
        if not life.job().ended:
            await self._inline.drain_async()
        if not life.job().ended:
            said = f"job {job} waits for its time: call drain(with_scheduled=True) or advance(seconds)"
            raise WaitTimeout(said, {"id": job, "status": life.state.status})

    def life(self, job: str) -> Life:
        if (found := self._inline.lives.get(job)) is None:
            raise NotFound("Job not found")
        return found

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        parts = tuple(unquote(part) for part in path.strip("/").split("/"))
        answer = self._answer(method, parts, query or {}, body or {})
        return msgspec.json.encode(answer)

    def _answer(
        self, method: str, parts: tuple[str, ...], query: Mapping[str, Any], body: Mapping[str, Any]
    ) -> Any:
        inline = self._inline
        match method, *parts:
            case "GET", "job", job:
                return {"job": self.life(job).job()}
            case "GET", "job", job, "history":
                return {"job": self.life(job).job(), "events": self.life(job).story()}
            case ("POST" | "PATCH"), "job", job, *rest:
                return self._command(self.life(job), rest[0] if rest else "reschedule", body)
            case "GET", "jobs":
                return {"jobs": [job for job in reversed(inline.jobs) if _fits(job, query)], "next": None}
            case "GET", "queues":
                return {"queues": [self._queue(name) for name in inline.queues]}
            case "PUT", "queue", queue:
                inline.queues[queue] = configured(inline.queues.get(queue, QueueConfig()), body)
                return self._queue(queue)
            case "POST", "queue", queue, ("pause" | "resume") as what:
                (inline.paused.add if what == "pause" else inline.paused.discard)(queue)
                return {}
        raise NotImplementedError(f"{method} {'/'.join(parts)} needs a server: use hivelog_server")

    def _queue(self, name: str) -> dict[str, Any]:
        inline = self._inline
        return {
            "name": name, "paused": name in inline.paused, "config": msgspec.to_builtins(inline.queues[name]),
            "position": 0,
        }  # fmt: skip

    def _command(self, life: Life, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        carried = None
        match what:
            case "cancel":
                command: Any = Cancel()
                carried = (vault.REASON, body["reason"].encode()) if body.get("reason") else None
            case "retry":
                command = Retry("inline")
                if "payload" in body:
                    carried = (vault.PAYLOAD, payload.encode(body["payload"], _LARGEST))
            case _:
                at = body.get("scheduled_for")
                when = None if at is None else fields.instant("scheduled_for", at)
                command = Reschedule(body.get("priority"), when)
        answer = life.decide(command, carried)
        if isinstance(answer, Refusal):
            raise error_of(answer.code, answer.reason)
        state = life.state
        said = "cancelling" if state.cancelling else state.status
        return {
            "message": "done", "id": life.text_id, "status": said, "position": state.position,
            "version": state.version,
        }  # fmt: skip


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


def _fits(job: Job, query: Mapping[str, Any]) -> bool:
    wanted = query.get("status")
    return (
        (query.get("queue") in (None, job.queue))
        and (query.get("type") in (None, job.type))
        and (wanted in (None, "all") or job.status in str(wanted).split(","))
    )


def _ours(error: Rejected | InvalidField) -> Exception:
    if isinstance(error, InvalidField):
        return error_of("invalid_field", str(error), {"field": error.field, "reason": error.reason})
    return error_of(error.code, error.message, error.detail)


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
