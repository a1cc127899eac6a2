"""What became of a job: its state, folded from its events.

`fold` refuses a stream that could not have happened (a version missing, an event that the state does
not allow): the log promises that there is none, so one is damage, and to guess would hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from . import times, types

WAITING: Final = frozenset({"pending", "queued"})
LIVE: Final = WAITING | {"processing"}
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})
RETRYABLE: Final = ENDED - {"completed"}


class Recorded(Protocol):
    """An event as `read.Event` gives it; times in milliseconds since 1970."""

    @property
    def position(self) -> int: ...
    @property
    def recorded_at(self) -> int: ...
    @property
    def stream(self) -> bytes: ...
    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def actor(self) -> int: ...
    @property
    def queue(self) -> int | None: ...
    @property
    def attempt(self) -> int | None: ...
    @property
    def body_size(self) -> int | None: ...
    @property
    def correlation(self) -> str | None: ...
    @property
    def data(self) -> Any: ...


class BrokenStream(ValueError):
    """An event that cannot follow the ones before it."""


class JobState(Struct, frozen=True, kw_only=True):
    """A job after its last event. Times in milliseconds since 1970, queue and session dictionary ids."""

    id: bytes
    queue: int
    spec: types.JobSpec
    status: str  # pending queued processing completed failed cancelled expired
    version: int
    position: int  # of the last event
    enqueued: int  # position of `enqueued`
    created_at: int
    size: int  # bytes of the payload
    correlation: str | None
    priority: int
    retry: int = 0  # retries since enqueued or requeued: the contract's current_retry
    attempt: int = 0  # attempts that counted, over the whole life
    losses: int = 0  # attempts whose worker died, since enqueued or requeued
    due_at: int | None = None  # while pending
    expires_at: int | None = None
    token: int | None = None  # while processing, as the next four
    session: int | None = None
    started_at: int | None = None
    cancelling: bool = False
    progress: float | None = None
    ended_at: int | None = None
    cause: str | None = None  # of the last failure, retry, loss, cancellation or expiry
    error_type: str | None = None
    fingerprint: str | None = None
    erased: bool = False

    @property
    def table(self) -> str:
        """The live table that holds the job; "ended" for none. As a Move's `source` says it."""
        return _TABLES.get(self.status, "ended")

    @property
    def deadline(self) -> int | None:
        if self.started_at is None or self.spec.timeout is None:
            return None
        return self.started_at + self.spec.timeout * 1000


_TABLES: Final = {"pending": "pending", "queued": "ready", "processing": "lease"}
_Evolve: TypeAlias = Callable[[JobState, Recorded, Any], JobState]

_UNLEASED: Final[Mapping[str, Any]] = {
    "token": None, "session": None, "started_at": None, "cancelling": False, "progress": None,
}  # fmt: skip


def fold(events: Iterable[Recorded]) -> JobState:
    """The state after a whole stream, oldest event first. Raises BrokenStream, also for none."""
    state: JobState | None = None
    for event in events:
        state = evolve(state, event)
    if state is None:
        raise BrokenStream("a job has at least one event")
    return state


def evolve(state: JobState | None, event: Recorded) -> JobState:
    """The state after one more event. Unknown types move only version and position."""
    data = data_of(event)
    if state is None:
        return _enqueued(event, data)
    if event.version != state.version + 1:
        raise BrokenStream(f"version {event.version} of a job follows version {state.version}")
    if not isinstance(data, types.Opaque):
        allowed, step = _STEPS.get(event.type, (frozenset(), _same))
        if state.status not in allowed or not _fits_cancelling(state, event.type, data):
            raise BrokenStream(f"{event.type} cannot follow in a job that is {state.status}")
        state = step(state, event, data)
    return replace(state, version=event.version, position=event.position)


def data_of(event: Recorded) -> Struct:
    """The event's data as its Struct, whether it was decoded already or not."""
    if isinstance(event.data, Struct):
        return event.data
    # Rows carry `schema` only where a type has had more than one.
    return types.decode(event.type, getattr(event, "schema", 1), event.data)


def _fits_cancelling(state: JobState, event_type: str, data: Any) -> bool:
    """A job asked to stop reports, completes, or is cancelled; nothing sends it round again."""
    if event_type == "lost" and data.to == "cancelled":
        return True
    return not state.cancelling or event_type in {"progressed", "completed", "cancelled"}


def _enqueued(event: Recorded, spec: Struct) -> JobState:
    if event.version != 1 or not isinstance(spec, types.JobSpec) or event.queue is None:
        raise BrokenStream(f"a job begins with enqueued, not with {event.type} {event.version}")
    due_at = spec.scheduled_for and times.from_text(spec.scheduled_for)
    later = due_at is not None and cast("int", due_at) > event.recorded_at
    return JobState(
        id=event.stream,
        queue=event.queue,
        spec=spec,
        status="pending" if later else "queued",
        version=1,
        position=event.position,
        enqueued=event.position,
        created_at=event.recorded_at,
        size=event.body_size or 0,
        correlation=event.correlation,
        priority=spec.priority,
        due_at=cast("int", due_at) if later else None,
        expires_at=times.from_text(spec.expires_at) if spec.expires_at else None,
    )


def _same(state: JobState, event: Recorded, data: Any) -> JobState:
    return state


def _queued(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(state, status="queued", due_at=None)


def _started(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(
        state,
        status="processing",
        attempt=event.attempt if event.attempt is not None else state.attempt + 1,
        token=event.position,
        session=event.actor,
        started_at=event.recorded_at,
    )


def _progressed(state: JobState, event: Recorded, data: types.Progressed) -> JobState:
    return replace(state, progress=data.percent)


def _waits(state: JobState, due_at: str | None, retry: int | None, **more: Any) -> JobState:
    if due_at is None or retry is None:
        raise BrokenStream("a job that waits for a retry needs due_at and retry")
    due = times.from_text(due_at)
    return replace(state, status="pending", due_at=due, retry=retry, **_UNLEASED, **more)


def _retry_scheduled(state: JobState, event: Recorded, data: types.RetryScheduled) -> JobState:
    return _waits(
        state, data.due_at, data.retry,
        cause=data.cause, error_type=data.error_type, fingerprint=data.fingerprint,
    )  # fmt: skip


def _ends(state: JobState, event: Recorded, status: str, **more: Any) -> JobState:
    return replace(
        state, status=status, ended_at=event.recorded_at, due_at=None, **_UNLEASED, **more
    )


def _completed(state: JobState, event: Recorded, data: Any) -> JobState:
    return _ends(state, event, "completed", cause=None, error_type=None, fingerprint=None)


def _failed(state: JobState, event: Recorded, data: types.Failed) -> JobState:
    return _ends(
        state, event, "failed",
        cause=data.cause, error_type=data.error_type, fingerprint=data.fingerprint,
    )  # fmt: skip


def _cancelled(state: JobState, event: Recorded, data: types.Cancelled) -> JobState:
    return _ends(state, event, "cancelled", cause=data.cause)


def _expired(state: JobState, event: Recorded, data: types.Expired) -> JobState:
    return _ends(state, event, "expired", cause=data.cause)


def _lost(state: JobState, event: Recorded, data: types.Lost) -> JobState:
    losses = state.losses + 1
    if data.to == "pending":
        return _waits(state, data.due_at, data.retry, cause="lost", losses=losses)
    if data.to not in {"failed", "cancelled"}:
        raise BrokenStream(f"a lost job cannot go to {data.to}")
    return _ends(state, event, data.to, cause=data.cause or "lost", losses=losses)


def _cancel_requested(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(state, cancelling=True)


def _released(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(state, status="queued", attempt=state.attempt - 1, **_UNLEASED)


def _requeued(state: JobState, event: Recorded, data: types.Requeued) -> JobState:
    return replace(
        state,
        status="queued" if data.due_at is None else "pending",
        due_at=None if data.due_at is None else times.from_text(data.due_at),
        retry=data.retry or 0,
        losses=0,
        expires_at=None if data.unbound else state.expires_at,
        # A retry may bring another payload.
        size=event.body_size if event.body_size is not None else state.size,
        ended_at=None,
        cause=None,
        error_type=None,
        fingerprint=None,
    )


def _rescheduled(state: JobState, event: Recorded, data: types.Rescheduled) -> JobState:
    if data.priority is not None:
        state = replace(state, priority=data.priority)
    if data.scheduled_for is None:
        return state
    due = times.from_text(data.scheduled_for)
    if (data.to or ("pending" if due > event.recorded_at else "ready")) == "ready":
        return _queued(state, event, data)
    return replace(state, status="pending", due_at=due)


def _routed(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(state, queue=event.queue if event.queue is not None else state.queue)


def _payload_erased(state: JobState, event: Recorded, data: Any) -> JobState:
    return replace(state, erased=True)


_RUNNING: Final = frozenset({"processing"})
# In which states an event may happen, and what it does.
_STEPS: Final[Mapping[str, tuple[frozenset[str], _Evolve]]] = {
    "queued": (frozenset({"pending"}), _queued),
    "started": (frozenset({"queued"}), _started),
    "progressed": (_RUNNING, _progressed),
    "completed": (_RUNNING, _completed),
    "retry_scheduled": (_RUNNING, _retry_scheduled),
    "failed": (_RUNNING, _failed),
    "cancel_requested": (_RUNNING, _cancel_requested),
    "cancelled": (LIVE, _cancelled),
    "expired": (LIVE, _expired),
    "lost": (_RUNNING, _lost),
    "released": (_RUNNING, _released),
    "requeued": (RETRYABLE, _requeued),
    "routed": (WAITING, _routed),
    "rescheduled": (WAITING, _rescheduled),
    "payload_erased": (ENDED, _payload_erased),
}
