"""Shadow: today's handlers on recorded payloads, held against what was recorded; nothing reaches the log.

Handlers run as a worker runs them (loop, thread or child process; timeouts, middleware, start-up hooks),
inside broker/sandbox.py. How far it is stands in a journal, without contents: a result that is to be erased
must not live on there.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from msgspec import Struct

from ..broker import child
from ..broker.action_reads import Action
from ..broker.attempt import JOB_THREADS, Ending, Failure, Runner, Success
from ..broker.context import JobContext, JobInfo, Progress
from ..broker.engine import Engine
from ..broker.registry import Function, Handler, Registry
from ..broker.sandbox import Recorder, sandboxed
from ..events import ids
from ..events.fingerprint import failure
from . import jobs as recorded
from .action import Replays
from .compare import Came, Difference, compare
from .jobs import RecordedJob
from .journal import Journal
from .pace import Pace

CHUNK: Final = 50  # jobs whose payloads are held
_SLOWER_BY: Final = 50  # ms; below it a longer run says nothing


class Compared(Struct, frozen=True):
    """One job. Runs in ms; `recorded` None: it was not known. `slower` is said of what did not fail."""

    job: str
    type: str
    verdict: str
    slower: bool
    recorded: int | None
    now: int
    differences: list[Difference]


class ShadowReport(Struct):
    """`jobs`: those of this call that are not simply equal, at most MOST_TOLD; `unlike`: ids of all that are
    different or failed, also of earlier calls of this action; `enqueued`: what handlers would have."""

    action_id: str
    matched: int
    counts: dict[str, int]
    skipped: dict[str, int]
    enqueued: dict[str, int]
    jobs: list[Compared]
    unlike: list[str]

    @property
    def clean(self) -> bool:
        return not self.counts.get("different") and not self.counts.get("failed")


MOST_TOLD: Final = 1000


class Options(Struct, frozen=True):
    """`slower`: from how many times the recorded run on; `ignored`: paths of results, see compare."""

    concurrency: int = 4
    slower: float = 1.5
    ignored: tuple[str, ...] = ()


class Shadow:
    """One call: `await Shadow(...).run(pace, report)`."""

    def __init__(
        self, engine: Engine, replays: Replays, action: Action, registry: Registry, options: Options,
        journal: Journal,
    ) -> None:  # fmt: skip
        self._engine, self._replays, self._action = engine, replays, action
        self._registry, self._options, self._journal = registry, options, journal
        self._told: list[Compared] = []
        self._skipped: Counter[str] = Counter()
        self._recorder = Recorder()
        self._startup: dict[str, Any] = {}

    async def run(self, pace: Pace, report: Callable[[int, int], None]) -> ShadowReport:
        async with self._replays.at_work(self._action) as hold:
            found = await self._replays.jobs(self._action)
            left = [job for job in found if job not in self._journal.known]
            size = pace.chunk(max(CHUNK, self._options.concurrency))
            # What handlers print is not what was asked for.
            with contextlib.redirect_stdout(sys.stderr), sandboxed() as self._recorder:
                async with self._runner() as runner:
                    for first in range(0, len(left), size):
                        some = left[first : first + size]
                        await pace.take(len(some))
                        hold.check()
                        await self._chunk(runner, some)
                        report(len(found) - len(left) + first + len(some), len(found))
            return await self._over()

    async def _over(self) -> ShadowReport:
        journal, skipped = self._journal, self._skipped
        skipped["interrupted"] = journal.interrupted
        await self._replays.finish(self._action, 0, 0, journal.counts + skipped)
        journal.forget()
        return ShadowReport(
            self._action.action_id, self._action.matched or 0, dict(+journal.counts), dict(+skipped),
            dict(journal.enqueued), self._told, journal.unlike,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def _runner(self) -> AsyncIterator[Runner]:
        limit = (await self._engine.configuration.current()).max_message_size
        threads = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix=JOB_THREADS)
        memory = self._engine.settings.child_memory_mib
        try:
            await _hooks(self._registry.startup, self._startup)
            yield Runner(threads, self._registry.middleware, limit, memory)
            await _hooks(self._registry.shutdown, self._startup)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _chunk(self, runner: Runner, jobs: Sequence[bytes]) -> None:
        room = asyncio.Semaphore(self._options.concurrency)

        async def one(job: RecordedJob, handler: Handler) -> None:
            async with room:
                await self._one(runner, job, handler)

        runs = []
        for job in await recorded.read(self._engine, jobs, self._skipped):
            handler = self._registry.handlers.get(job.state.spec.type)
            if handler is None:
                self._skipped["no_handler"] += 1
            else:
                runs.append(one(job, handler))
        await asyncio.gather(*runs)

    async def _one(self, runner: Runner, job: RecordedJob, handler: Handler) -> None:
        state = job.state
        info = _info(job, await self._engine.names.queue_name(state.queue))
        ctx = JobContext(lambda _: info, max(state.attempt, 1), job.token, self._startup, _nowhere)
        self._journal.began(state.id)
        began = time.perf_counter()
        ending = await runner.run(handler, ctx, job.payload, state.spec.timeout)
        took = round((time.perf_counter() - began) * 1000)
        if _stopped():  # the runner takes a cancellation for an ending of the handler
            raise asyncio.CancelledError
        self._tell(job, _compared(job, ending, took, self._options))

    def _tell(self, job: RecordedJob, one: Compared) -> None:
        enqueued = {f"{queue}/{kind}": n for (queue, kind), n in self._recorder.enqueued.items()}
        self._recorder.enqueued.clear()
        self._journal.ended(job.state.id, one, enqueued)
        if (one.verdict != "equal" or one.slower) and len(self._told) < MOST_TOLD:
            self._told.append(one)


def _stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _compared(job: RecordedJob, ending: Ending, took: int, options: Options) -> Compared:
    state = job.state
    verdict, differences = compare(_then(job), _now(state.spec.type, ending), options.ignored)
    slow = verdict != "failed" and job.run is not None and took - job.run > _SLOWER_BY
    slower = slow and took > (job.run or 0) * options.slower
    return Compared(ids.to_text(state.id), state.spec.type, verdict, slower, job.run, took, differences)


def _nowhere(token: int, progress: Progress) -> None:
    return None


def _info(job: RecordedJob, queue: str) -> JobInfo:
    state, spec = job.state, job.state.spec
    return JobInfo(
        ids.to_text(state.id), queue, spec.type, state.priority, spec.max_retries, state.retry, spec.timeout,
        spec.source, spec.correlation_id, spec.parent_id, spec.tags,
    )  # fmt: skip


def _then(job: RecordedJob) -> Came:
    state = job.state
    if state.status == "completed":
        return Came(job.result)
    told = " ".join(part for part in (state.status, state.cause, state.error_type) if part)
    return Came(error=told, fingerprint=state.fingerprint)


def _now(kind: str, ending: Ending) -> Came:
    if isinstance(ending, Success):
        return Came(ending.result)
    assert isinstance(ending, Failure)
    mark = failure(kind, ending.error_type, ending.message).fingerprint
    return Came(error=f"{ending.error_type}: {ending.message}", fingerprint=mark)


async def _hooks(hooks: Sequence[Function], state: dict[str, Any]) -> None:
    for hook in hooks:
        done = hook(state)
        if inspect.isawaitable(done):
            await done


def load(registry: Registry, modules: Sequence[str]) -> None:
    """Import handlers as a worker does. Raises HandlerError."""
    registry.load(list(modules))
    child.preload(list(modules))
