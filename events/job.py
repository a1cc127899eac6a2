"""What may happen to a job: commands, and the decision on each. Pure; the clock is an argument.

    match decide(state, Cancel(), now):
        case Decision() as step: ...      # one event; write it as End (source "lease") or Move
        case Unchanged(): ...             # already so: answer as before, write nothing
        case Refusal(code=code): ...      # CONTRACT's error code

A Decision names the live table that the job leaves and the one it goes to. SQL guards what may have
changed meanwhile; a conflict means: fold again, decide again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from . import times, types
from .fingerprint import Failure
from .retry import apart, backoff
from .state import (
    ENDED,
    LIVE,
    RETRYABLE,
    WAITING,
    BrokenStream,
    JobState,
    Recorded,
    data_of,
    evolve,
    fold,
)  # fmt: skip

__all__ = [
    "ENDED", "LIVE", "RETRYABLE", "WAITING", "BrokenStream", "Cancel", "Command", "Decision", "DueNow",
    "EndAttempt", "Erase", "Expire", "JobState", "Progress", "Recorded", "Refusal", "Reschedule", "Retry",
    "Unchanged", "data_of", "decide", "evolve", "fold",
]  # fmt: skip

Source: TypeAlias = Literal["pending", "ready", "lease", "ended"]
Target: TypeAlias = Literal["pending", "ready", "lease", "none"]


class Cancel(Struct, frozen=True):
    """Stop it. Cause (of a waiting job): requested, drained. `action`: position of an action_started."""

    cause: str = "requested"
    action: int | None = None


class Retry(Struct, frozen=True):
    """Run an ended job again, under the same id; at `due_at` (ms) if that is still to come."""

    by: str | None = None
    due_at: int | None = None
    retry: int = 0
    action: int | None = None


class Reschedule(Struct, frozen=True):
    """Another priority or time for a waiting job; None leaves it. A time that has passed means now."""

    priority: int | None = None
    scheduled_for: int | None = None  # milliseconds


class Erase(Struct, frozen=True):
    """Destroy what an ended job carried."""


class EndAttempt(Struct, frozen=True):
    """The attempt with this token is over.

    Outcome: completed; failed (cause error, or one that another try cannot mend: payload, result);
    timeout; lost (its worker died); released (given back, not counted); retry (its handler asked for
    another try after `delay` ms); cancelled (it stopped because it was asked to, or with cause grace
    because it did not).

    A job that was lost `poison_after` times since it was enqueued or requeued is a poison pill: it is set
    aside instead of killing the next worker, whatever retries are left.
    """

    token: int
    outcome: Literal["completed", "failed", "timeout", "lost", "released", "retry", "cancelled"]
    cause: str | None = None
    delay: int | None = None  # milliseconds, over the job's own backoff
    failure: Failure | None = None
    reason: str | None = None  # of a release
    poison_after: int | None = None


class DueNow(Struct, frozen=True):
    """A pending job's time has come."""


class Expire(Struct, frozen=True):
    """A waiting job's expires_at has passed."""


class Progress(Struct, frozen=True):
    token: int
    percent: float


Command: TypeAlias = Cancel | Retry | Reschedule | Erase | EndAttempt | DueNow | Expire | Progress


class Decision(Struct, frozen=True):
    """One event, and where it takes the job. None: stays as it is."""

    event: str
    source: Source
    target: Target
    data: Struct = types.Empty()
    due_at: int | None = None  # milliseconds; with target pending
    retry: int | None = None
    priority: int | None = None

    @property
    def encoded(self) -> bytes | None:
        """The data as the log takes it."""
        return types.encode(self.data)


class Unchanged(Struct, frozen=True):
    """What was asked for is so already."""


class Refusal(Struct, frozen=True):
    code: str  # already_finished not_finished stale_token conflict invalid_field
    reason: str


Answer: TypeAlias = Decision | Unchanged | Refusal

# Another try would end the same way.
_FINAL_CAUSES: Final = frozenset({"payload", "result"})


def decide(state: JobState, command: Command, now: int) -> Answer:
    """What the command does to a job in this state at `now` (ms since 1970, the database's clock)."""
    return _RULES[type(command)](state, command, now)


def _finished(state: JobState) -> Refusal:
    return Refusal("already_finished", f"the job is {state.status}")


def _source(state: JobState) -> Source:
    return state.table  # type: ignore[return-value]  # the same four words


def _cancel(state: JobState, command: Cancel, now: int) -> Answer:
    if state.status in ENDED:
        return _finished(state)
    if state.status in WAITING:
        return Decision("cancelled", _source(state), "none", types.Cancelled(command.cause, command.action))
    return Unchanged() if state.cancelling else Decision("cancel_requested", "lease", "lease")


def _retry(state: JobState, command: Retry, now: int) -> Answer:
    if state.status not in RETRYABLE:
        return Refusal("not_finished", f"the job is {state.status}, not failed, expired or cancelled")
    if state.erased:
        return Refusal("conflict", "the payload was erased")
    passed = state.expires_at is not None and state.expires_at <= now
    due_at = command.due_at if command.due_at is not None and command.due_at > now else None
    data = types.Requeued(
        command.by, passed, None if due_at is None else times.to_text(due_at), command.retry or None,
        command.action,
    )  # fmt: skip
    target: Target = "ready" if due_at is None else "pending"
    return Decision("requeued", "ended", target, data, due_at=due_at, retry=command.retry)


def _reschedule(state: JobState, command: Reschedule, now: int) -> Answer:
    if state.status in ENDED:
        return _finished(state)
    if state.status not in WAITING:
        return Refusal("conflict", "the job is running")
    at, priority = command.scheduled_for, command.priority
    if at is not None and state.expires_at is not None and max(at, now) >= state.expires_at:
        return Refusal("invalid_field", "scheduled_for must be before the job's expires_at")
    if priority == state.priority:
        priority = None
    if at == state.due_at or (state.status == "queued" and at is not None and at <= now):
        at = None
    if priority is None and at is None:
        return Unchanged()
    return _rescheduled(state, priority, at, now)


def _rescheduled(state: JobState, priority: int | None, at: int | None, now: int) -> Decision:
    if at is None:
        data = types.Rescheduled(priority=priority)
        due_at = state.due_at
    else:
        due_at = at if at > now else None
        data = types.Rescheduled(priority, times.to_text(at), "pending" if due_at else "ready")
    target: Target = "ready" if due_at is None else "pending"
    return Decision("rescheduled", _source(state), target, data, due_at=due_at, priority=priority)


def _erase(state: JobState, command: Erase, now: int) -> Answer:
    if state.status not in ENDED:
        return Refusal("not_finished", f"the job is {state.status}")
    return Unchanged() if state.erased else Decision("payload_erased", "ended", "none")


def _due_now(state: JobState, command: DueNow, now: int) -> Answer:
    if state.status != "pending" or state.due_at is None:
        return _finished(state) if state.status in ENDED else Unchanged()
    if state.expires_at is not None and state.expires_at <= now:
        return _expire(state, Expire(), now)
    if state.due_at > now:
        return Refusal("conflict", "the job is not due yet")
    return Decision("queued", "pending", "ready")


def _expire(state: JobState, command: Expire, now: int) -> Answer:
    if state.status in ENDED:
        return _finished(state)
    if state.status not in WAITING or state.expires_at is None or state.expires_at > now:
        return Refusal("conflict", "the job has not expired")
    return Decision("expired", _source(state), "none", types.Expired("expires_at"))


def _progress(state: JobState, command: Progress, now: int) -> Answer:
    if state.token is None or state.token != command.token:
        return Refusal("stale_token", "the attempt is over")
    if not 0 <= command.percent <= 100:
        return Refusal("invalid_field", "percent must be from 0 to 100")
    return Decision("progressed", "lease", "lease", types.Progressed(command.percent))


def _end_attempt(state: JobState, command: EndAttempt, now: int) -> Answer:
    if state.token is None or state.token != command.token:
        return Refusal("stale_token", "the attempt is over")
    if command.outcome == "completed":
        return Decision("completed", "lease", "none")
    if state.cancelling:
        return Decision("cancelled", "lease", "none", types.Cancelled(_why_cancelled(command)))
    if command.outcome == "cancelled":
        return Refusal("conflict", "nobody asked the job to stop")
    if command.outcome == "released":
        return Decision("released", "lease", "ready", types.Released(command.reason))
    return _failed_attempt(state, command, now)


def _why_cancelled(command: EndAttempt) -> str:
    match command.outcome:
        case "timeout" | "lost":
            return command.outcome
        case "failed":
            return command.cause or "error"
        case "cancelled":
            return command.cause or "requested"
        case _:
            return "requested"


def _failed_attempt(state: JobState, command: EndAttempt, now: int) -> Decision:
    """A counted attempt that did not complete: another one while retries are left, else the end."""
    cause = command.outcome if command.outcome != "failed" else command.cause or "error"
    if cause == "lost" and command.poison_after is not None and state.losses + 1 >= command.poison_after:
        return Decision("lost", "lease", "none", types.Lost("failed", cause="poison"))
    again = cause not in _FINAL_CAUSES and state.retry < state.spec.max_retries
    if not again:
        return _given_up(cause, command.failure)
    retry = state.retry + 1
    due_at = now + _wait(state, command, retry)
    if cause == "lost":
        lost = types.Lost("pending", times.to_text(due_at), retry)
        return Decision("lost", "lease", "pending", lost, due_at=due_at, retry=retry)
    error = _described(command.failure)
    scheduled = types.RetryScheduled(cause, times.to_text(due_at), retry, **error)
    return Decision("retry_scheduled", "lease", "pending", scheduled, due_at=due_at, retry=retry)


def _given_up(cause: str, failure: Failure | None) -> Decision:
    if cause == "lost":
        return Decision("lost", "lease", "none", types.Lost("failed"))
    if cause == "timeout":
        return Decision("expired", "lease", "none", types.Expired("timeout"))
    return Decision("failed", "lease", "none", types.Failed(cause, **_described(failure)))


def _wait(state: JobState, command: EndAttempt, retry: int) -> int:
    # retry_delay gives what failed time to recover. A job whose worker died has waited for
    # dead-after already, and nothing says that it would fail.
    if command.outcome == "lost":
        return apart(state.losses, state.id, state.attempt)
    if command.delay is not None:
        return max(command.delay, 0)
    spec = state.spec
    return backoff(spec.retry_backoff, spec.retry_delay, retry, state.id, state.attempt)


def _described(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {}
    return {
        "error_type": failure.error_type,
        "fingerprint": failure.fingerprint,
        "template": failure.template,
    }


_RULES: Final[Mapping[type[Struct], Callable[[JobState, Any, int], Answer]]] = {
    Cancel: _cancel,
    Retry: _retry,
    Reschedule: _reschedule,
    Erase: _erase,
    EndAttempt: _end_attempt,
    DueNow: _due_now,
    Expire: _expire,
    Progress: _progress,
}
