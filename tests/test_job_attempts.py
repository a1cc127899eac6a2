"""Which attempts a job gets: retries, their delays, retries by hand, and the poison pill. CONTRACT 1, case by case."""

from __future__ import annotations

import pytest
from hivelog.events import ids, times, types
from hivelog.events.job import (
    Cancel,
    Decision,
    Expire,
    Refusal,
    Retry,
)
from hivelog.events.retry import apart, backoff
from hypothesis import given
from hypothesis import strategies as st

from .lives import FAILURE, JOB, NOW, Life, ended


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
