"""A job's commands in random order: only legal transitions, attempts counted, ends final."""

from __future__ import annotations

from typing import Any

from hivelog.events import job, times
from hivelog.events.job import (
    Cancel,
    Decision,
    DueNow,
    EndAttempt,
    Erase,
    Expire,
    JobState,
    Progress,
    Refusal,
    Reschedule,
    Retry,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from .lives import NOW, Life


class JobMachine(RuleBasedStateMachine):
    """Commands in any order; what follows is held by counting, not by asking `evolve`."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(
            max_retries=2,
            retry_backoff="exponential",
            expires_at=times.to_text(NOW + 500_000),
        )
        self.step: JobState = job.evolve(None, self.life.events[0])
        self.counted = 0  # attempts of this life that were not released
        self.terminal: str | None = None

    def apply(self, command: job.Command) -> job.Answer:
        before = self.life.state
        answer = self.life.do(command)
        if isinstance(answer, Decision):
            assert answer.source == before.table
            assert self.life.state.table == {"none": "ended"}.get(answer.target, answer.target)
            assert (answer.due_at is not None) == (answer.target == "pending")
            assert answer.due_at == self.life.state.due_at
            self.step = job.evolve(self.step, self.life.events[-1])
            assert self.terminal is None or answer.event in {"requeued", "payload_erased"}
        else:
            assert self.life.state == before
        return answer

    @rule(ms=st.integers(1, 120_000))
    def time_passes(self, ms: int) -> None:
        self.life.now += ms

    @precondition(lambda self: self.life.state.status == "queued")
    @rule()
    def start(self) -> None:
        self.life.start()
        self.step = job.evolve(self.step, self.life.events[-1])
        self.counted += 1

    @rule(
        outcome=st.sampled_from(
            ["completed", "failed", "timeout", "lost", "released", "retry", "cancelled"]
        ),
        cause=st.sampled_from([None, "payload", "error"]),
        stale=st.booleans(),
    )
    def end(self, outcome: Any, cause: str | None, stale: bool) -> None:
        state = self.life.state
        token = 1 if stale or state.token is None else state.token
        answer = self.apply(EndAttempt(token, outcome, cause=cause))
        if token != state.token:
            assert isinstance(answer, Refusal)
            assert answer.code == "stale_token"
        elif outcome == "released" and not state.cancelling:
            self.counted -= 1

    @rule()
    def retry(self) -> None:
        answer = self.apply(Retry())
        if isinstance(answer, Decision):
            assert self.terminal in {"failed", "cancelled", "expired"}
            self.counted = 0
            self.terminal = None

    @rule(
        priority=st.one_of(st.none(), st.integers(0, 1000)),
        ahead=st.one_of(st.none(), st.integers(-1000, 100_000)),
    )
    def reschedule(self, priority: int | None, ahead: int | None) -> None:
        at = None if ahead is None else self.life.now + ahead
        self.apply(Reschedule(priority, at))

    @rule(command=st.sampled_from([Cancel(), Cancel(), DueNow(), Expire(), Erase(), Progress(1, 5)]))
    def other(self, command: job.Command) -> None:
        self.apply(command)

    @invariant()
    def fold_is_the_sum_of_its_steps(self) -> None:
        assert self.step == self.life.state

    @invariant()
    def attempts_are_counted(self) -> None:
        state = self.life.state
        assert self.counted <= state.spec.max_retries + 1
        assert state.retry <= state.spec.max_retries
        if state.status == "processing":
            assert self.counted == state.retry + 1

    @invariant()
    def an_ended_job_stays_so(self) -> None:
        state = self.life.state
        if self.terminal is not None:
            assert state.status == self.terminal
        elif state.status in job.ENDED:
            self.terminal = state.status

    @invariant()
    def each_state_has_its_fields(self) -> None:
        state = self.life.state
        running = state.status == "processing"
        assert (state.token is not None) == (state.session is not None) == running
        assert (state.started_at is not None) == running
        assert running or not (state.cancelling or state.progress)
        assert (state.due_at is not None) == (state.status == "pending")
        assert (state.ended_at is not None) == (state.status in job.ENDED)
        assert not state.erased or state.status in job.ENDED


TestJobMachine = JobMachine.TestCase
TestJobMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
