"""The rules of a job's life, against CONTRACT 1, case by case and in random order."""

from __future__ import annotations

import pytest
from hivelog.events import job, times, types
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

from .lives import NOW, Life


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
