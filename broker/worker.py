"""A worker: slots, turns, attempts.

One loop. A turn takes the ids for the free slots and makes **one append**: the ends of the jobs that
finished since the last turn, then the starts of the next. Many slots turn in two halves, so that the
handlers of one half run while the database writes the other; few slots turn all at once, because then
the round trip costs more than the rows.

Ends are patient: with the database away they wait, and nothing is claimed until they are written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from ..events import ids
from ..events.appender import Appender
from ..events.batch import End, Outcome, Part, Started
from ..events.errors import EpochChanged, LogError
from ..events.vault import PAYLOAD, JobKey, Vault, VaultError
from ..stopping import stop_tasks
from .attempt import JOB_THREADS, Ending, Failure, Runner, Success
from .context import JobContext, JobInfo
from .endings import end_of, key_of, plain_end_of, released, spec_of, unwritable
from .progress import ProgressLog
from .pulse import Pulse
from .registry import Registry
from .running import Ended, Leases, Running
from .sessions import Session, Sessions
from .source import Source
from .watchdog import Watchdog

_log = structlog.get_logger(__name__)

_HALVES_FROM = 40  # slots
_QUICK = 0.005  # seconds: jobs that were all over so soon will probably be so again
_FINAL_FLUSH = 10.0  # seconds that a stopping worker waits for its last append


class Worker:
    """Runs handlers for some queues until `stop` is called; `run` returns when all is written."""

    def __init__(
        self,
        *,
        appender: Appender,
        vault: Vault,
        sessions: Sessions,
        source: Source,
        registry: Registry,
        name: str,
        slots: int,
        grace: float,
        result_limit: int,
        child_memory_mib: int | None = None,
        why: Callable[[], str] = lambda: "stopped",
    ) -> None:
        self._appender, self._vault, self._source, self._registry = appender, vault, source, registry
        self.name, self.slots, self._grace, self._why = name, slots, grace, why
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix=JOB_THREADS)
        self._runner = Runner(self._threads, registry.middleware, result_limit, child_memory_mib)
        self._progress = ProgressLog(appender, self._lookup, lambda: self.session.id)
        self._leases = Leases()
        self._wake = asyncio.Event()
        source.on_announced(self._wake.set)
        self._watchdog = Watchdog(lambda: [(r.task, r.job) for r in list(self._leases.running.values())])
        self._pulse = Pulse(
            appender, sessions, source, registry, self._leases, self._watchdog, name=name, slots=slots,
            cancellable=self._cancellable,
        )  # fmt: skip
        self._ended: list[Ended] = []
        self._starting = 0
        self._turns = 0  # parts under way
        self._stopping = self._late = False
        self._hurry = asyncio.Event()
        self._state: dict[str, Any] = {}
        self._clock = (0, 0.0)  # the database's time, and when we heard it
        self._launched = 0.0  # when the last turn's jobs were started
        self.exhausted = False  # it stopped because no slot is left that could run anything

    # -- life --------------------------------------------------------------------------------------------

    async def run(self, queues: list[str]) -> None:
        """Work until `stop`. Raises what start-up raises; nothing a handler does gets here."""
        self._spawn = asyncio.get_running_loop().create_task
        self._watchdog.start()
        for hook in self._registry.startup:
            await _maybe_await(hook(self._state))
        await self._pulse.open(queues)
        background = [
            asyncio.create_task(self._pulse.run(self._beaten), name="heartbeat"),
            asyncio.create_task(self._watch(), name="wake"),
            asyncio.create_task(self._progress.run(), name="progress"),
        ]
        try:
            await self._loop()
            await self._drain()
        finally:
            await stop_tasks(*background)
            await self._source.let_go()
            await self._pulse.close(self._why())
            self._watchdog.stop()
            for hook in self._registry.shutdown:
                await _maybe_await(hook(self._state))
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def session(self) -> Session:
        return self._pulse.session

    def stop(self) -> None:
        """First call: no new jobs, let the running ones finish within the grace time. Second: now."""
        if self._stopping:
            self._hurry.set()
        _log.info(
            "worker_stopping", name=self.name, jobs=len(self._leases.running), at_once=self._stopping
        )
        self._stopping = True
        self._wake.set()

    # -- turns -------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while await self._turn():
                pass

    async def _turn(self) -> bool:
        """Submit one part if it is time for one; True if there may be more to do at once."""
        if self._pulse.epoch != self._appender.log.epoch and not await self._pulse.follow():
            return False
        epoch = self._pulse.epoch
        halves = self.slots >= _HALVES_FROM
        size = (self.slots + 1) // 2 if halves else self.slots
        if self._turns >= (2 if halves else 1):
            return False
        free = 0 if self._stopping else self._free()
        if self._turns and max(len(self._ended), free) < size // 2:
            return False  # the other half is under way: let this one fill up
        limit = min(free, size)
        part = (await self._source.take(limit) if limit and self._source.hungry else None) or Part()
        ended, self._ended = [each for each in self._ended if not each[0].dropped], []
        part.ends, part.patient, part.epoch = [end for _, end, _ in ended], True, epoch
        if not part.rows():
            return False
        self._submit(part, ended)
        if part.claim and len(part.starts) == size and self._quick():
            self._source.take_ahead(size)
        return halves

    def _quick(self) -> bool:
        return not self._leases.running and time.monotonic() - self._launched < _QUICK

    def _submit(self, part: Part, ended: list[Ended]) -> None:
        wanted = len(part.starts) + sum(pick.limit for pick in part.picks)
        self._starting += wanted
        self._turns += 1
        future = self._appender.post(part)
        future.add_done_callback(lambda done: self._answered(done, part, ended, wanted))

    def _free(self) -> int:
        return self.slots - len(self._leases.running) - self._starting - self._runner.stuck_threads

    def _answered(
        self,
        done: asyncio.Future[Outcome],
        part: Part,
        ended: list[Ended],
        wanted: int,
    ) -> None:
        self._turns -= 1
        self._starting -= wanted
        if (error := done.exception()) is not None:
            self._failed(error, ended)
        else:
            self._leases.settled(ended)
            self._accepted(part, done.result(), ended)
        self._wake.set()  # last: what was started now runs before the next turn is thought of

    def _accepted(self, part: Part, outcome: Outcome, ended: list[Ended]) -> None:
        self._clock = (outcome.recorded_at, time.monotonic())
        if outcome.refused:
            self._refused(outcome, ended)
        self._source.answered(part, outcome)
        self._launched = time.monotonic()
        for job in outcome.started:
            if job.token not in self._leases.disowned:
                self._launch(job)

    def _failed(self, error: BaseException, ended: list[Ended]) -> None:
        """The part was not written: another epoch, a stop, or something in it that the server rejects.

        One end that cannot be written must not cost the others their results: each goes alone then, and
        the one that is rejected by itself ends as a failure that says so.
        """
        _log.error("turn_failed", error=str(error), ends=len(ended))
        if isinstance(error, EpochChanged):
            self._ended += ended  # the next turn asks first whose they are now
        elif isinstance(error, LogError):
            self._leases.settled(ended)
        elif len(ended) > 1:
            for each in ended:
                self._submit(Part(ends=[each[1]], patient=True, epoch=self._pulse.epoch), [each])
        elif ended:
            self._rejected(error, *ended[0])

    def _rejected(self, error: BaseException, running: Running, end: End, ending: Ending | None) -> None:
        job = running.job
        if end.body is None:
            # Nothing left to leave out: the lease is given back when a heartbeat no longer lists it.
            _log.error("end_rejected", job=ids.to_text(job.job), event=end.event, error=str(error))
            self._leases.settled([(running, end, ending)])
            return
        failure = unwritable(error)
        plain = plain_end_of(job, running.key, failure, cancelling=running.ctx.cancelled, now=self._now())
        self._ended.append((running, plain, failure))

    def _refused(self, outcome: Outcome, ended: list[Ended]) -> None:
        for (section, index), refusal in outcome.refused.items():
            if section != "e":
                continue
            running, end, ending = ended[index]
            if refusal.code == "cancelling" and not running.ctx.cancelled:
                running.ctx.cancelled = True  # asked to stop while it failed: decide again, as cancelled
                self._end(running, ending)
            else:
                _log.warning(
                    "end_refused", job=ids.to_text(running.job.job), token=end.token, event=end.event,
                    code=refusal.code,
                )  # fmt: skip

    # -- attempts ----------------------------------------------------------------------------------------

    def _launch(self, job: Started) -> None:
        spec = spec_of(job.spec)
        ctx = JobContext(self._info, job.attempt, job.token, self._state, self._progress.report)
        if self._late:
            self._turn_down(job, ctx)
            return
        try:
            key = key_of(self._vault, job)
            body = key.open(PAYLOAD, job.body or b"null")
        except VaultError as error:
            # Fails closed: without its payload the job cannot run here. Another host may have the key.
            _log.error("payload_unreadable", job=ids.to_text(job.job), error=str(error))
            self._turn_down(job, ctx)
            return
        running = Running(job, key, ctx)
        self._leases.began(running)
        running.task = self._spawn(self._attempt(running, spec.type, body, spec.timeout))

    def _turn_down(self, job: Started, ctx: JobContext) -> None:
        """Give it back without having run it."""
        running = Running(job, JobKey(job.job, job.salt or b"", None), ctx)
        self._leases.began(running)
        self._end(running, None)

    async def _attempt(self, running: Running, type_: str, body: bytes, timeout: int | None) -> None:
        handler = self._registry.handlers[type_]
        ending = await self._runner.run(handler, running.ctx, body, timeout)
        if not (running.dropped or running.given_back) and self._progress.has(running.job.token):
            await self._progress.flush(running.job.token)
        self._end(running, ending)

    def _end(self, running: Running, ending: Ending | None) -> None:
        """Queue the end for the next turn; None gives the job back."""
        self._leases.over(running)
        if running.dropped or running.given_back:
            self._wake.set()
            return
        cancelling = running.ctx.cancelled
        now = 0 if isinstance(ending, Success) else self._now()
        if ending is None or (isinstance(ending, Failure) and ending.cause == "cancelled" and not cancelling):
            reason = "shutdown" if self._stopping else "unreadable" if ending is None else "interrupted"
            end = released(running.job, reason, cancelling=cancelling, now=now)
        else:
            end = end_of(running.job, running.key, ending, cancelling=cancelling, now=now)
        self._leases.settling(running)
        self._ended.append((running, end, ending))
        self._wake.set()

    def _lookup(self, token: int) -> tuple[bytes, JobKey] | None:
        running = self._leases.running.get(token)
        return None if running is None else (running.job.job, running.key)

    def _now(self) -> int:
        """The database's time, as the last answer told it."""
        told, heard = self._clock
        return told + int((time.monotonic() - heard) * 1000)

    def _info(self, token: int) -> JobInfo:
        job = self._leases.running[token].job
        return JobInfo.of(job, spec_of(job.spec), self._source.queue_name(job.queue))

    # -- background --------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Turn when there may be work: a wake-up, or the poll that makes a lost one harmless."""
        while True:
            self._wake.set()
            await self._source.wait()

    def _beaten(self) -> None:
        if not self.exhausted and self._runner.all_stuck(self.slots, self._grace):
            _log.error("every_slot_is_stuck", name=self.name, slots=self.slots)
            self.exhausted = True
            self.stop()

    def _cancellable(self, running: Running) -> bool:
        """A thread goes on whatever we do: it is asked by `ctx.cancelled`, and keeps its slot."""
        return self._registry.handlers[spec_of(running.job.spec).type].isolation != "thread"

    # -- stop --------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Let what runs or starts finish within the grace time, give the rest back, write it all."""
        deadline = time.monotonic() + self._grace
        while self._busy() and not self._hurry.is_set() and time.monotonic() < deadline:
            await self._until_wake(min(1.0, deadline - time.monotonic()))
        self._late = True  # for what a start under way may bring yet
        for running in list(self._leases.running.values()):
            if running.task is not None and self._cancellable(running):
                running.task.cancel()
        if self._leases.running:
            await self._until_wake(0.2)
        for running in list(self._leases.running.values()):
            self._end(running, None)
            running.given_back = True
        deadline = time.monotonic() + max(self._grace, _FINAL_FLUSH)
        while (self._ended or self._turns) and time.monotonic() < deadline:
            await self._until_wake(0.5)

    def _busy(self) -> bool:
        """Something runs, or a start is under way and can be answered."""
        return bool(self._leases.running) or (self._starting > 0 and self._appender.available)

    async def _until_wake(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(max(timeout, 0.01)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        await self._turn()


async def _maybe_await(value: Any) -> None:
    if asyncio.iscoroutine(value):
        await value
