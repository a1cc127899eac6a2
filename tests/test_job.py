"""The rules of a job's life, against CONTRACT 1, case by case and in random order."""

from __future__ import annotations

import pytest
from hivelog.events import ids, job, times, types
from hivelog.events.job import (
    Cancel,
    Decision,
    DueNow,
    EndAttempt,
    Erase,
    Expire,
    Progress,
    Refusal,
    Reschedule,
    Retry,
    Unchanged,
)
from hivelog.events.retry import apart, backoff
from hypothesis import given
from hypothesis import strategies as st

from .lives import FAILURE, JOB, NOW, Life, ended


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


def test_a_job_that_killed_its_worker_too_often_is_set_aside_and_can_be_retried_by_hand() -> None:
    life = Life(max_retries=20)
    for _ in range(2):
        for losses in (1, 2):
            life.start()
            life.end("lost", poison_after=3)
            assert (life.state.status, life.state.cause, life.state.losses) == ("pending", "lost", losses)
            life.wait()
        life.start()
        answer = life.end("lost", poison_after=3)
        assert answer == Decision("lost", "lease", "none", types.Lost("failed", cause="poison"))
        assert (life.state.status, life.state.cause) == ("failed", "poison")
        assert isinstance(life.do(Retry()), Decision)
        assert (life.state.status, life.state.cause, life.state.losses) == ("queued", None, 0)


def test_what_fails_in_between_does_not_excuse_a_poison_pill() -> None:
    life = Life(max_retries=20)
    for outcome in ("lost", "failed", "timeout", "released"):
        life.start()
        life.end(outcome, poison_after=2)
        if life.state.due_at is not None:
            life.wait()
    life.start()
    life.end("lost", poison_after=2)
    assert (life.state.status, life.state.cause) == ("failed", "poison")


def test_a_cancelled_poison_pill_is_cancelled() -> None:
    life = Life()
    life.start()
    life.do(Cancel())
    life.end("lost", poison_after=1)
    assert (life.state.status, life.state.cause) == ("cancelled", "lost")


def test_jobs_that_died_together_twice_come_back_apart() -> None:
    """The one that killed their worker must not have the others beside it each time."""
    assert {apart(0, bytes([n]) * 16, 1) for n in range(100)} == {0}
    waits = sorted(apart(1, bytes([n]) * 16, 2) for n in range(100))
    assert 0 <= waits[0] < 1_000
    assert 9_000 < waits[-1] <= 10_000
    assert len({wait // 500 for wait in waits}) > 15
