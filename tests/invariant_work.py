"""Rules: jobs are enqueued, claimed, ended and steered, by programs, workers and people."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

from hivelog.broker.enqueue import Item
from hivelog.broker.errors import Rejected
from hivelog.events.batch import Part
from hivelog.events.errors import DatabaseUnavailable
from hypothesis import strategies as st
from hypothesis.stateful import rule

from .invariant_agreement import Agreement
from .invariant_world import ENDS, QUEUES, TYPES
from .queue_model import ENDED
from .simulated_worker import SimulatedWorker


class Work(Agreement):
    """What everybody may do, and what each must be answered."""

    # -- programs and workers ----------------------------------------------------------------------------

    @rule(
        engine=st.integers(0, 1), queue=st.sampled_from(QUEUES), kind=st.sampled_from(TYPES),
        priority=st.sampled_from([0, 100, 500]), count=st.integers(1, 3), retries=st.integers(0, 2),
        delay=st.sampled_from([None, None, 3, 12]), life=st.sampled_from([None, None, None, 15, 40]),
        timeout=st.sampled_from([None, 6]),
    )  # fmt: skip
    def enqueue(
        self, engine: int, queue: str, kind: str, priority: int, count: int, retries: int, delay: int | None,
        life: int | None, timeout: int | None,
    ) -> None:  # fmt: skip
        options: dict[str, object] = {"priority": priority, "max_retries": retries, "timeout": timeout}
        if delay is not None:
            options["scheduled_for"] = self._in(delay)
        if life is not None:
            options["expires_at"] = self._in(life)
        items = [Item(queue, kind, {"n": n}, options) for n in range(count)]
        with contextlib.suppress(DatabaseUnavailable):  # then nothing was acknowledged
            accepted = self.run(self.engines[engine].enqueuer.enqueue_many(items, actor="test"))
            self.acknowledged |= dict.fromkeys(accepted.jobs, queue)

    @rule(key=st.sampled_from("abc"), callers=st.integers(1, 4))
    def enqueue_with_a_key(self, key: str, callers: int) -> None:
        async def all_at_once() -> list[Any]:
            calls = [
                self.engines[n % 2].enqueuer.enqueue("alpha", "one", {}, actor="test", idempotency_key=key)
                for n in range(callers)
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

        answers = self.run(all_at_once())
        jobs = {accepted.job for accepted in answers if not isinstance(accepted, DatabaseUnavailable)}
        if not jobs:
            return
        assert len(jobs) == 1, "one key, one job"
        assert self.keys.setdefault(key, *jobs) in jobs, "one key, the same job for ever"
        self.acknowledged |= dict.fromkeys(jobs, "alpha")

    @rule(nth=st.integers(0, 60), limit=st.integers(1, 4))
    def claim(self, nth: int, limit: int) -> None:
        if not self.workers:
            self.run(self._hire(0))
        worker = self.workers[nth % len(self.workers)]
        taken = self.run(worker.claim(limit))
        if taken is None or not taken[0].picks:
            return
        part, outcome = taken
        self.read_on(last=outcome.head - len(outcome.started))
        wanted: list[bytes] = []
        for pick in part.picks:
            wanted += self.model.choice(pick.queue, TYPES, pick.limit, outcome.recorded_at)
        assert sorted(job.job for job in outcome.started) == sorted(wanted)

    @rule(nth=st.integers(0, 60), count=st.integers(1, 3), hows=ENDS)
    def end(self, nth: int, count: int, hows: list[str]) -> None:
        if not self.workers:
            return
        worker = self.workers[nth % len(self.workers)]
        self._end(worker, hows[:count])

    def _end(self, worker: SimulatedWorker, hows: list[str]) -> None:
        """Ends and claims in one part, as a turn of the real worker."""
        tokens = sorted(worker.held)[: len(hows)]
        ends = [worker.end(token, how) for token, how in zip(tokens, hows, strict=False)]
        if not ends:
            return
        expected = [self.model.answer_to_end(end.job, end.token, end.event) for end in ends]
        claimed = self.run(worker.claim(len(hows), ends=ends))
        assert claimed is not None
        refused = claimed[1].refused
        lost = self.lost_one
        for n, (token, answer) in enumerate(zip(tokens, expected, strict=True)):
            code = refused[("e", n)].code if ("e", n) in refused else "accepted"
            assert code == answer or (lost and code == "conflict" and answer != "accepted")
            if code == "cancelling":
                worker.cancelling.add(token)
            elif token not in {job.token for job in claimed[1].started}:
                worker.held.pop(token, None)

    @property
    def lost_one(self) -> bool:
        """An answer was lost since the last question; refusals then come without their reasons."""
        lost = self.proxy.swallowed.is_set()
        self.proxy.swallowed.clear()
        return lost

    @rule(nth=st.integers(0, 60), percent=st.integers(0, 100))
    def progress(self, nth: int, percent: int) -> None:
        if not any(worker.held for worker in self.workers):
            return
        busy = [worker for worker in self.workers if worker.held]
        worker = busy[nth % len(busy)]
        token = sorted(worker.held)[0]
        part = Part(moves=[worker.progress(token, percent)], patient=True)
        outcome = self.run(worker.engine.appender.submit(part))
        holds = self.model.jobs[worker.held[token].job].token == token
        assert bool(outcome.refused) != holds

    # -- people ------------------------------------------------------------------------------------------

    def _command(self, call: Awaitable[Any]) -> str:
        try:
            done = self.run(call)
        except Rejected as error:
            return error.code
        except DatabaseUnavailable:
            return "unknown"
        return str(done.status)

    @rule(nth=st.integers(0, 60), engine=st.integers(0, 1))
    def cancel(self, nth: int, engine: int) -> None:
        if not self.model.jobs:
            return
        job = list(self.model.jobs)[nth % len(self.model.jobs)]
        expected = self.model.answer_to_cancel(job)
        answer = self._command(self.engines[engine].jobs.cancel(job, actor="test", reason="no need"))
        # Behind the proxy an answer may be lost, or the connection with it; the caller then asks again.
        lost = self.lost_one and answer in ("already_finished", "cancelling")
        assert answer == expected or (engine == 1 and (lost or answer == "unknown"))

    @rule(nth=st.integers(0, 60))
    def retry(self, nth: int) -> None:
        if not self.model.of(*ENDED):
            return
        job = list(self.model.jobs)[nth % len(self.model.jobs)]
        expected = self.model.answer_to_retry(job)
        assert self._command(self.engines[0].jobs.retry(job, actor="test", payload={"x": 1})) == expected

    @rule(
        nth=st.integers(0, 60), priority=st.sampled_from([None, 7, 900]),
        delay=st.sampled_from([None, -5, 2, 9]),
    )  # fmt: skip
    def reschedule(self, nth: int, priority: int | None, delay: int | None) -> None:
        if not self.model.of("pending", "queued"):
            return
        waiting = self.model.of("pending", "queued")
        job = waiting[nth % len(waiting)].id
        at = None if delay is None else self._in(delay)
        if priority is None and at is None:
            return
        answer = self._command(
            self.engines[0].jobs.reschedule(job, actor="test", priority=priority, scheduled_for=at)
        )
        assert answer in ("pending", "queued") or (self.model.jobs[job].expires and answer == "invalid_field")

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans(), engine=st.integers(0, 1))
    def switch(self, queue: str, paused: bool, engine: int) -> None:
        queues = self.engines[engine].queues
        with contextlib.suppress(DatabaseUnavailable):
            self.run(queues.pause(queue, actor="test") if paused else queues.resume(queue, actor="test"))

    @rule(queue=st.sampled_from(QUEUES), most=st.sampled_from([None, 1, 2]))
    def limit(self, queue: str, most: int | None) -> None:
        self.run(self.engines[0].queues.configure(queue, {"max_workers": most}, actor="test"))

    @rule(queue=st.sampled_from(QUEUES))
    def drain(self, queue: str) -> None:
        waiting = sum(job.queue == self.ids[queue] for job in self.model.of("pending", "queued"))
        assert self.run(self.drains.drain(queue, actor="test")).cancelled == waiting
