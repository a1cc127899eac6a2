"""One append in flight; what arrives meanwhile is the next batch.

No timers: load makes batches larger, not answers later. Between two appends the database waits, so the next
batch, once it is full, is encoded while the last one is under way, and sent before its answer is read.
Bounded: past `max_waiting` rows, or `max_bytes` of them, a submit is refused with Overloaded, so memory stays
flat and callers learn at once.

When the database goes away, impatient parts fail (their caller repeats with its idempotency key);
patient ones (a worker's results) wait, and after the reconnect the log is asked whether their batch
had arrived before anything is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable

import structlog

from ..stopping import stop_tasks
from .batch import Appended, Outcome, Part
from .errors import DatabaseUnavailable, EpochChanged, Overloaded
from .log import Encoded, Flight, Log, Lost
from .parameters import MANY, prepare

_log = structlog.get_logger(__name__)

Listener = Callable[[Appended], None]

_BATCH_ROWS = 2_000
_BATCH_BYTES = 4 * 1024 * 1024
_HALVES_FROM = 16  # rows of all callers that are about
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)
# Batches in a row that came back unwritten from a server that answers, before that is an outage too.
_BLINKS = 2

_Waiting = tuple[Part, "asyncio.Future[Outcome]"]


class Appender:
    """Serialises and batches every append of this process."""

    def __init__(
        self, log: Log, listeners: list[Callable[[Appended], None]] | None = None,
        *, max_waiting: int = 50_000, max_bytes: int = 64 * 1024 * 1024,
    ) -> None:  # fmt: skip
        self.log = log
        self.listeners: list[Listener] = listeners if listeners is not None else []
        self._max_waiting, self._max_bytes = max_waiting, max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._flying: list[_Waiting] = []
        self._following: list[_Waiting] = []  # the next batch, where it is known already
        self._encoded: Encoded | None = None
        self._rows = self._bytes = 0  # of those that wait, and of the next batch
        self._rows_flying = 0  # of a batch whose answer is on its way
        self._landed = 0  # rows of the last batch that landed, less what came since: they may come again
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down: Exception | None = None
        self._setbacks = 0  # batches in a row that did not get into the log
        self._doubted = False  # is it still the same log?
        self.last: Appended | None = None

    async def start(self) -> None:
        await self.log.open()
        self._task = asyncio.create_task(self._run(), name="appender")

    async def stop(self) -> None:
        """Write what waits, then close. Parts that cannot be written fail."""
        if self._task is not None:
            while (waited_for := self._waited_for()) and self._down is None:
                await asyncio.wait(waited_for)
            await stop_tasks(self._task)
        self._fail(list(self._waiting), DatabaseUnavailable("shutting down"), patient=True)
        self._waiting.clear()
        await self.log.close()

    def _waited_for(self) -> list[asyncio.Future[Outcome]]:
        items = *self._flying, *self._following, *self._waiting
        return [future for _, future in items if not future.done()]

    @property
    def available(self) -> bool:
        return self._down is None

    @property
    def idle(self) -> bool:
        """Whether a part that is posted now sets out at once."""
        return not self._flying and not self._waiting

    async def submit(self, part: Part) -> Outcome:
        """Append a part; answers when it is durable.

        Raises Overloaded, DatabaseUnavailable (only impatient parts), EpochChanged, or the server's error.
        """
        return await self.post(part)

    def verify(self) -> None:
        """Somebody knows more of the log than it has: before anything else is appended, look whether it is
        still the same."""
        self._doubted = True
        self._wake.set()

    def post(self, part: Part) -> asyncio.Future[Outcome]:
        """`submit` without waiting."""
        if part.epoch is None:
            part.epoch = self.log.epoch or None
        rows, size = part.weight = part.rows(), part.bytes()
        full = self._rows + rows > self._max_waiting or self._bytes + size > self._max_bytes
        if full and not part.patient:
            raise Overloaded("too many commands wait for the log")
        if self._down is not None and not part.patient:
            raise DatabaseUnavailable(str(self._down))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            if rows >= MANY:
                prepare(part)  # now, while an earlier batch is under way
        except Exception as error:
            future.set_exception(error)
            return future
        self._waiting.append((part, future))
        self._landed = max(self._landed - rows, 0)
        self._rows += rows
        self._bytes += size
        self._wake.set()
        if self._full:
            asyncio.get_running_loop().call_soon(self._follow)  # with those who post in this turn of the loop
        return future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._doubted:
                    await self._look_again()
                flight = self._send()
                while flight is not None:
                    flight = await self._land(flight)
            except Exception as error:
                # A bug, not an outage. Without this task every caller would wait for ever.
                _log.exception("appender_failed")
                self._fail(self._flying, error, patient=True)
                self._wake.set()

    async def _look_again(self) -> None:
        self._doubted = False
        if not await self._reopen_once():
            await self._outlast(DatabaseUnavailable("the log could not be looked at again"), [])

    def _send(self) -> Flight | None:
        """The next batch on its way, if anything waits."""
        if self._doubted or not all(part.fits(self.log.epoch) for part, _ in self._following):
            self._put_back()
        encoded = self._encoded
        if not self._following and not self._doubted:
            self._following = self._take()
        self._flying, self._following, self._encoded = self._following, [], None
        self._rows_flying = sum(part.weight[0] for part, _ in self._flying)
        self._rows -= self._rows_flying
        self._bytes -= sum(part.weight[1] for part, _ in self._flying)
        return self.log.send([part for part, _ in self._flying], encoded) if self._flying else None

    @property
    def _full(self) -> bool:
        """Whether half of those who are about wait already: then the next batch need not wait for more."""
        return self._rows_flying > 0 and not self._following and self._rows >= self._most()

    def _follow(self) -> None:
        if self._full:
            self._following = self._take()
            with contextlib.suppress(Exception):  # what cannot be encoded is told when it is sent
                self._encoded = self.log.encode([part for part, _ in self._following])

    def _put_back(self) -> None:
        self._waiting.extendleft(reversed(self._following))
        self._following, self._encoded = [], None

    async def _land(self, flight: Flight) -> Flight | None:
        """Wait for a batch, send the next one, and answer those who wait for the first."""
        batch = self._flying
        try:
            row = await self.log.landed(flight)
        except BaseException as error:
            self._put_back()
            self._rows_flying = self._landed = 0  # what comes now waits to see what becomes of it
            await self._handle(error, batch)
            return self._send()
        self._landed, self._rows_flying = self._rows_flying, 0
        following = self._send()
        try:
            appended = self.log.read(flight, row)
        except Exception as error:
            # A bug; it is in the log all the same. The next batch is on its way, and has callers of its own.
            _log.exception("answer_unreadable")
            self._fail(batch, error, patient=True)
        else:
            self._deliver(appended, batch)
        return following

    def _most(self) -> int:
        """Rows of the next batch. Many who come again and again are best two halves: one is on its way while
        the other gets ready. Few are quicker together, since a batch costs more than a row."""
        about = self._rows + self._landed + self._rows_flying
        return min(_BATCH_ROWS, -(-about // 2) if about >= _HALVES_FROM else about)

    def _take(self) -> list[_Waiting]:
        """The next batch: whole parts, in order, within the bounds of rows and bytes."""
        batch: list[_Waiting] = []
        most = self._most()
        rows = size = 0
        while self._waiting:
            part = self._waiting[0][0]
            if not part.fits(self.log.epoch):
                self._turn_away()
                continue
            count, weight = part.weight
            rows += count
            size += weight
            if batch and (rows > most or size > _BATCH_BYTES):
                break
            batch.append(self._waiting.popleft())
        return batch

    def _turn_away(self) -> None:
        """What was decided in an epoch that is over is not for this one."""
        item = self._waiting.popleft()
        self._rows -= item[0].weight[0]
        self._bytes -= item[0].weight[1]
        self._fail([item], EpochChanged("the epoch is over in which this was decided"), patient=True)

    async def _append(self, batch: list[_Waiting]) -> None:
        try:
            appended = await self.log.append([part for part, _ in batch])
        except BaseException as error:
            await self._handle(error, batch)
        else:
            self._deliver(appended, batch)

    async def _handle(self, error: BaseException, batch: list[_Waiting]) -> None:
        """A batch did not land: by what it says, ask the log, wait, try in halves, or tell its callers."""
        if isinstance(error, Lost):
            await self._recover(error, batch)
        elif isinstance(error, DatabaseUnavailable):
            await self._outlast(error, batch)
        elif isinstance(error, EpochChanged):
            # What these callers knew belongs to another life of the log; the next ones learn the new epoch.
            self._fail(batch, error, patient=True)
            await self._outlast(error, [])
        elif isinstance(error, Exception):
            await self._isolate(error, batch)
        else:
            self._fail(batch, DatabaseUnavailable("shutting down"), patient=True)
            raise error

    def _deliver(self, appended: Appended, batch: list[_Waiting]) -> None:
        self.last, self._setbacks = appended, 0
        for (_, future), outcome in zip(batch, appended.outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        for listener in self.listeners:
            try:
                listener(appended)
            except Exception:
                # The next batch is on its way already, and its callers wait for this loop.
                _log.exception("listener_failed")

    async def _isolate(self, error: Exception, batch: list[_Waiting]) -> None:
        """One poisoned part must fail alone: halve the batch until it stands by itself."""
        if len(batch) == 1:
            self._fail(batch, error, patient=True)
            return
        half = len(batch) // 2
        await self._append(batch[:half])
        await self._append(batch[half:])

    def _fail(self, batch: list[_Waiting], error: Exception, *, patient: bool) -> list[_Waiting]:
        """Fail the impatient (or all) and answer those that still wait."""
        kept = []
        for part, future in batch:
            if part.patient and not patient:
                kept.append((part, future))
            elif not future.done():
                future.set_exception(error)
        return kept

    async def _recover(self, lost: Lost, batch: list[_Waiting]) -> None:
        """An answer was lost: reconnect, then ask the log before anything is sent again."""
        _log.warning("append_answer_lost", batch=lost.batch_id.hex(), rows=len(batch))
        first_try = await self._reopen_once()
        while True:
            if not first_try:
                # Longer than a blink: impatient callers are told, patient ones wait.
                kept = self._fail(batch, lost, patient=False)
                if not kept:
                    await self._outlast(lost, [])
                    return
                await self._reopen(lost)
            try:
                appended = await self.log.recover(lost)
            except DatabaseUnavailable:
                first_try = False
                self._setbacks += 1  # it may be there and not able to answer: do not ask all the time
                continue
            break
        if appended is not None:
            self._deliver(appended, batch)
            return
        unwritten = [item for item in batch if not item[1].done()]
        self._setbacks += 1
        if self._setbacks > _BLINKS:
            # It is there and takes nothing: its disk is full, or it may only read.
            await self._outlast(lost, unwritten)
        else:
            self._requeue(unwritten)

    def _requeue(self, batch: list[_Waiting]) -> None:
        for item in reversed(batch):
            self._waiting.appendleft(item)
            self._rows += item[0].weight[0]
            self._bytes += item[0].weight[1]
        self._wake.set()

    async def _outlast(self, error: Exception, batch: list[_Waiting]) -> None:
        """The database is away: fail the impatient, keep the patient, wait until it is back."""
        kept = self._fail(batch, error, patient=False)
        await self._reopen(error)
        self._requeue(kept)

    async def _reopen_once(self) -> bool:
        try:
            await self.log.open()
        except DatabaseUnavailable:
            return False
        return True

    async def _reopen(self, error: Exception) -> None:
        self._down = error
        waiting = self._fail(list(self._waiting), error, patient=False)
        self._waiting = deque(waiting)
        self._rows = sum(part.weight[0] for part, _ in waiting)
        self._bytes = sum(part.weight[1] for part, _ in waiting)
        _log.warning("database_unavailable", error=str(error))
        if self._setbacks > _BLINKS:
            await self._rest(self._setbacks - _BLINKS)
        attempt = 0
        while not await self._reopen_once():
            await self._rest(attempt)
            attempt += 1
        self._down = None
        _log.info("database_back", head=self.log.head)

    async def _rest(self, attempt: int) -> None:
        delay = _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
