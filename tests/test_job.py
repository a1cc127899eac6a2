"""The rules of a job's life, against CONTRACT 1, case by case and in random order."""

from __future__ import annotations

from typing import Any

import pytest
from hivelog.events import ids, job, times, types
from hivelog.events.fingerprint import Failure
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
    Unchanged,
)
from hivelog.events.read import Event
from hivelog.events.retry import backoff
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

NOW = 1_700_000_000_000
JOB = ids.Minter(lambda: NOW).mint()
FAILURE = Failure("ValueError", "0123456789abcdef", "no route to <text>")


class Life:
    """One job's stream, written as the log writes it."""

    def __init__(self, **spec: Any) -> None:
        self.now = NOW
        self.events: list[Event] = []
        defaults = {"type": "report", "priority": 100, "max_retries": 2, "retry_delay": 60}
        self.write("enqueued", types.JobSpec(**(defaults | spec)), size=100)

    @property
    def state(self) -> JobState:
        return job.fold(self.events)

    def write(
        self, event: str, data: Any = None, attempt: int | None = None, size: int | None = None
    ) -> None:
        text = None if data is None else types.encode(data)
        plain = None if text is None else types.msgspec.json.decode(text)
        count = len(self.events)
        self.events.append(
            Event(10 + 3 * count, self.now, JOB, count + 1, event, 7, 1, attempt, size, None, plain)
        )

    def start(self) -> int:
        self.write("started", attempt=self.state.attempt + 1)
        return self.events[-1].position

    def do(self, command: job.Command) -> job.Answer:
        answer = job.decide(self.state, command, self.now)
        if isinstance(answer, Decision):
            self.write(answer.event, answer.data)
        return answer

    def end(self, outcome: Any, **more: Any) -> job.Answer:
        token = self.state.token
        assert token is not None
        return self.do(EndAttempt(token, outcome, **more))

    def wait(self) -> None:
        due_at = self.state.due_at
        assert due_at is not None
        self.now = due_at
        self.do(DueNow())


def ended(**spec: Any) -> Life:
    life = Life(max_retries=0, **spec)
    life.start()
    life.end("failed")
    return life


def test_the_plain_path_is_three_events() -> None:
    life = Life()
    assert life.state.status == "queued"
    token = life.start()
    assert (life.state.status, life.state.token, life.state.session) == ("processing", token, 7)
    assert life.end("completed") == Decision("completed", "lease", "none")
    assert (life.state.status, life.state.ended_at, life.state.token) == ("completed", NOW, None)
    assert [event.type for event in life.events] == ["enqueued", "started", "completed"]


@pytest.mark.parametrize(("ahead", "status"), [(-1, "queued"), (0, "queued"), (1, "pending")])
def test_a_scheduled_job_waits_for_its_time(ahead: int, status: str) -> None:
    life = Life(scheduled_for=times.to_text(NOW + ahead))
    assert life.state.status == status


def test_due_now_waits_for_the_time() -> None:
    life = Life(scheduled_for=times.to_text(NOW + 1))
    assert isinstance(life.do(DueNow()), Refusal)
    life.now += 1
    assert life.do(DueNow()) == Decision("queued", "pending", "ready")
    assert life.do(DueNow()) == Unchanged()


@pytest.mark.parametrize("max_retries", [0, 1, 3])
@pytest.mark.parametrize(
    ("outcome", "last"), [("failed", "failed"), ("timeout", "expired"), ("lost", "failed")]
)
def test_n_retries_are_n_plus_one_attempts(max_retries: int, outcome: str, last: str) -> None:
    life = Life(max_retries=max_retries)
    for retry in range(1, max_retries + 1):
        life.start()
        answer = life.end(outcome)
        assert isinstance(answer, Decision)
        assert (answer.target, answer.retry) == ("pending", retry)
        assert (life.state.status, life.state.retry) == ("pending", retry)
        life.wait()
    life.start()
    answer = life.end(outcome)
    assert isinstance(answer, Decision)
    assert answer.target == "none"
    assert (life.state.status, life.state.attempt) == (last, max_retries + 1)
    assert life.state.cause == ("error" if outcome == "failed" else outcome)


def test_a_failed_attempt_waits_retry_delay_and_tells_why() -> None:
    life = Life()
    life.start()
    answer = life.end("failed", failure=FAILURE)
    assert answer == Decision(
        "retry_scheduled",
        "lease",
        "pending",
        types.RetryScheduled(
            "error", times.to_text(NOW + 60_000), 1, "ValueError", "0123456789abcdef",
            "no route to <text>",
        ),
        due_at=NOW + 60_000,
        retry=1,
    )  # fmt: skip
    assert life.state.error_type == "ValueError"


def test_a_lost_attempt_is_one_event_and_runs_again_at_once() -> None:
    life = Life()
    life.start()
    answer = life.end("lost")
    lost = types.Lost("pending", times.to_text(NOW), 1)
    assert answer == Decision("lost", "lease", "pending", lost, due_at=NOW, retry=1)


def test_a_handler_may_name_its_own_delay() -> None:
    life = Life(max_retries=1)
    life.start()
    life.end("retry", delay=5_000)
    assert (life.state.due_at, life.state.cause) == (NOW + 5_000, "retry")
    life.wait()
    life.start()
    life.end("retry", delay=5_000)
    assert (life.state.status, life.state.cause) == ("failed", "retry")


@pytest.mark.parametrize("cause", ["payload", "result"])
def test_what_another_try_cannot_mend_fails_at_once(cause: str) -> None:
    life = Life(max_retries=5)
    life.start()
    answer = life.end("failed", cause=cause, failure=FAILURE)
    assert isinstance(answer, Decision)
    assert (answer.event, life.state.status, life.state.cause) == ("failed", "failed", cause)


def test_a_released_attempt_does_not_count() -> None:
    life = Life(max_retries=0)
    for _ in range(3):
        life.start()
        assert life.state.attempt == 1
        answer = life.end("released", reason="shutdown")
        assert answer == Decision("released", "lease", "ready", types.Released("shutdown"))
        assert (life.state.status, life.state.attempt, life.state.retry) == ("queued", 0, 0)
    life.start()
    life.end("failed")
    assert life.state.status == "failed"


def test_a_stale_token_changes_nothing() -> None:
    life = Life()
    old = life.start()
    life.end("released")
    life.start()
    for command in (EndAttempt(old, "completed"), Progress(old, 5)):
        answer = life.do(command)
        assert isinstance(answer, Refusal)
        assert answer.code == "stale_token"
    life.end("completed")
    assert isinstance(life.do(EndAttempt(old, "completed")), Refusal)


@pytest.mark.parametrize("later", [0, 1000])
def test_a_waiting_job_is_cancelled_at_once(later: int) -> None:
    life = Life(scheduled_for=times.to_text(NOW + later))
    source = "pending" if later else "ready"
    assert life.do(Cancel()) == Decision("cancelled", source, "none", types.Cancelled())
    answer = life.do(Cancel())
    assert isinstance(answer, Refusal)
    assert answer.code == "already_finished"


def test_cancelling_twice_writes_one_event() -> None:
    life = Life()
    life.start()
    assert life.do(Cancel()) == Decision("cancel_requested", "lease", "lease")
    assert (life.state.status, life.state.cancelling) == ("processing", True)
    assert life.do(Cancel()) == Unchanged()
    assert len(life.events) == 3


def test_a_cancelling_job_may_still_complete() -> None:
    life = Life()
    life.start()
    life.do(Cancel())
    life.end("completed")
    assert (life.state.status, life.state.cancelling) == ("completed", False)


@pytest.mark.parametrize(
    ("outcome", "given_cause", "cause"),
    [
        ("failed", None, "error"),
        ("failed", "payload", "payload"),
        ("timeout", None, "timeout"),
        ("lost", None, "lost"),
        ("released", None, "requested"),
        ("retry", None, "requested"),
        ("cancelled", None, "requested"),
        ("cancelled", "grace", "grace"),
    ],
)
def test_a_cancelling_job_ends_cancelled(outcome: str, given_cause: str, cause: str) -> None:
    life = Life(max_retries=9)
    life.start()
    life.do(Cancel())
    answer = life.end(outcome, cause=given_cause)
    assert answer == Decision("cancelled", "lease", "none", types.Cancelled(cause))
    assert (life.state.status, life.state.cause) == ("cancelled", cause)


def test_nobody_stops_a_job_that_was_not_asked_to() -> None:
    life = Life()
    life.start()
    assert isinstance(life.end("cancelled"), Refusal)


def test_retry_keeps_the_id_and_starts_the_retries_over() -> None:
    life = Life(max_retries=1)
    for _ in range(2):
        life.start()
        life.end("failed")
        if life.state.status == "pending":
            life.wait()
    assert (life.state.status, life.state.retry, life.state.attempt) == ("failed", 1, 2)
    requeued = types.Requeued("ada")
    assert life.do(Retry("ada")) == Decision("requeued", "ended", "ready", requeued, retry=0)
    assert (life.state.id, life.state.status, life.state.retry) == (JOB, "queued", 0)
    assert (life.state.cause, life.state.ended_at) == (None, None)
    life.start()
    life.end("failed")
    assert (life.state.status, life.state.retry, life.state.attempt) == ("pending", 1, 3)


def test_only_what_ended_badly_is_retried() -> None:
    life = Life()
    for step in (lambda: None, life.start, lambda: life.end("completed")):
        step()
        answer = life.do(Retry())
        assert isinstance(answer, Refusal)
        assert answer.code == "not_finished"


def test_an_expired_job_that_is_retried_does_not_expire_again() -> None:
    life = Life(expires_at=times.to_text(NOW + 1000))
    assert isinstance(life.do(Expire()), Refusal)
    life.now += 1000
    assert life.do(Expire()) == Decision("expired", "ready", "none", types.Expired("expires_at"))
    life.do(Retry())
    assert (life.state.status, life.state.expires_at) == ("queued", None)
    assert isinstance(life.do(Expire()), Refusal)


def test_a_retry_in_time_keeps_expires_at() -> None:
    life = ended(expires_at=times.to_text(NOW + 1000))
    life.do(Retry())
    assert life.state.expires_at == NOW + 1000


def test_a_running_job_does_not_expire() -> None:
    life = Life(expires_at=times.to_text(NOW + 1000))
    life.start()
    life.now += 2000
    assert isinstance(life.do(Expire()), Refusal)
    life.end("completed")
    assert life.state.status == "completed"


def test_a_job_due_after_its_expiry_expires() -> None:
    life = Life(
        scheduled_for=times.to_text(NOW + 1000), expires_at=times.to_text(NOW + 1500)
    )  # fmt: skip
    life.now += 1500
    assert life.do(DueNow()) == Decision(
        "expired", "pending", "none", types.Expired("expires_at")
    )  # fmt: skip


def test_erasing_needs_an_ended_job_and_happens_once() -> None:
    life = Life(max_retries=0)
    assert isinstance(life.do(Erase()), Refusal)
    life.start()
    assert isinstance(life.do(Erase()), Refusal)
    life.end("failed")
    assert life.do(Erase()) == Decision("payload_erased", "ended", "none")
    assert (life.state.status, life.state.erased) == ("failed", True)
    assert life.do(Erase()) == Unchanged()
    answer = life.do(Retry())
    assert isinstance(answer, Refusal)
    assert answer.code == "conflict"


def test_rescheduling_moves_a_waiting_job_between_its_tables() -> None:
    life = Life()
    assert life.do(Reschedule(priority=100)) == Unchanged()
    assert life.do(Reschedule(scheduled_for=NOW - 5)) == Unchanged()
    life.do(Reschedule(priority=900, scheduled_for=NOW + 50))
    state = life.state
    assert (state.status, state.due_at, state.priority) == ("pending", NOW + 50, 900)
    answer = life.do(Reschedule(priority=5))
    assert answer == Decision(
        "rescheduled", "pending", "pending", types.Rescheduled(5), due_at=NOW + 50, priority=5
    )
    answer = life.do(Reschedule(scheduled_for=NOW))
    assert isinstance(answer, Decision)
    assert (answer.target, answer.due_at) == ("ready", None)
    assert (life.state.status, life.state.due_at, life.state.priority) == ("queued", None, 5)
    life.start()
    assert isinstance(life.do(Reschedule(priority=1)), Refusal)


def test_the_fold_follows_the_table_even_when_the_clock_moved_on() -> None:
    life = Life()
    answer = job.decide(life.state, Reschedule(scheduled_for=NOW + 1), NOW)
    assert isinstance(answer, Decision)
    life.now += 10  # the event is recorded after the time it names
    life.write(answer.event, answer.data)
    assert (answer.target, life.state.status, life.state.due_at) == ("pending", "pending", NOW + 1)


def test_a_time_past_the_expiry_is_refused() -> None:
    life = Life(expires_at=times.to_text(NOW + 1000))
    answer = life.do(Reschedule(scheduled_for=NOW + 1000))
    assert isinstance(answer, Refusal)
    assert answer.code == "invalid_field"


def test_progress_is_of_the_attempt() -> None:
    life = Life()
    token = life.start()
    assert life.do(Progress(token, 40)) == Decision(
        "progressed", "lease", "lease", types.Progressed(40)
    )
    assert life.state.progress == 40
    for percent in (-1, 101, float("nan")):
        assert isinstance(life.do(Progress(token, percent)), Refusal)
    life.end("released")
    assert life.state.progress is None


@pytest.mark.parametrize(
    ("steps", "bad"),
    [
        ([], "completed"),
        ([], "queued"),
        ([], "requeued"),
        ([], "payload_erased"),
        (["started"], "started"),
        (["started"], "queued"),
        (["started", "cancel_requested"], "released"),
        (["started", "cancel_requested"], "cancel_requested"),
        (["started", "completed"], "started"),
        (["started", "completed"], "requeued"),
        (["started", "completed"], "cancelled"),
        ([], "paused"),
        ([], "enqueued"),
    ],
)
def test_streams_that_cannot_be_are_refused(steps: list[str], bad: str) -> None:
    life = Life()
    for step in steps:
        life.write(step)
    data = life.state.spec if bad == "enqueued" else None
    life.write(bad, data)
    with pytest.raises(job.BrokenStream):
        job.fold(life.events)


def test_a_missing_version_and_an_empty_stream_are_refused() -> None:
    life = Life()
    life.start()
    life.end("released")
    for events in ([], life.events[1:], [life.events[0], life.events[2]]):
        with pytest.raises(job.BrokenStream):
            job.fold(events)


def test_an_unknown_event_moves_only_the_version() -> None:
    life = Life()
    before = life.state
    life.write("teleported", types.Expired("x"))
    assert life.state == types.msgspec.structs.replace(
        before, version=2, position=life.events[-1].position
    )


@given(
    st.integers(0, 30 * 86_400),
    st.integers(1, 1000),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 32_767),
)
def test_backoff_is_bounded_and_repeatable(delay: int, retry: int, key: bytes, attempt: int) -> None:
    assert backoff("fixed", delay, retry, key, attempt) == delay * 1000
    grown = backoff("exponential", delay, retry, key, attempt)
    full = min(delay * 2 ** (retry - 1), max(3600, delay)) * 1000
    assert 0.75 * full <= grown + 1
    assert grown <= full
    assert grown == backoff("exponential", delay, retry, key, attempt)


def test_jobs_that_failed_together_come_back_apart() -> None:
    keys = ids.Minter(lambda: NOW).mint_many(100)
    waits = {backoff("exponential", 60, 1, key, 1) for key in keys}
    assert len(waits) > 90


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
