"""What a client hands in and gets back: the message as an object, and the options of an enqueue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypedDict

from msgspec import Struct

Status: TypeAlias = Literal["pending", "queued", "processing", "completed", "failed", "cancelled", "expired"]
ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired"})


class Options(TypedDict, total=False):
    """What may be said of one job; the queue's settings stand for what is not. Delays in seconds.

    `scheduled_for`, `expires_at`: an aware datetime or RFC 3339. `delay` (seconds or timedelta) stands for
    a `scheduled_for` from now. A `timeout` of None means none at all.
    """

    priority: int
    max_retries: int
    retry_delay: int
    retry_backoff: Literal["fixed", "exponential"]
    timeout: int | None
    scheduled_for: datetime | str | None
    delay: float | timedelta | None
    expires_at: datetime | str | None
    source: str | None
    correlation_id: str | None
    tags: Sequence[str]
    parent_id: str | None


OPTIONS: Final = frozenset(Options.__annotations__)


class Metadata(Struct, gc=False):
    """Times are RFC 3339, retry_delay and timeout seconds."""

    created_at: str | None = None
    scheduled_for: str | None = None
    priority: int = 100
    max_retries: int = 3
    current_retry: int = 0
    retry_delay: int = 60
    retry_backoff: str = "fixed"
    timeout: int | None = None
    expires_at: str | None = None
    source: str | None = None
    correlation_id: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None


class Job(Struct, gc=False):
    """A job as it was at `position`; None while only its transaction knows it. Times are RFC 3339."""

    id: str
    queue: str
    type: str
    payload: Any
    status: Status
    metadata: Metadata
    version: int | None = None
    position: int | None = None
    result: Any = None
    error: str | None = None
    progress: float | None = None
    progress_message: str | None = None
    attempt: int = 0
    worker_id: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    failed_at: str | None = None
    ended_at: str | None = None
    cancelling: bool = False
    queue_position: int | None = None
    queue_position_at_least: int | None = None
    estimated_completion: str | None = None
    erased: bool = False
    unreadable: Literal["damaged", "no_key"] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more by itself."""
        return self.status in ENDED


class Done(Struct, frozen=True):
    """A command on a job. `status`: one of the seven, or `cancelling`."""

    message: str
    id: str
    status: str
    position: int
    version: int


class Event(Struct, kw_only=True):
    """An event of the log. `job` is its stream: a job's id, or that of a queue, a session, the system."""

    position: int
    job: str
    version: int
    type: str
    queue: str | None = None
    recorded_at: str
    actor: str
    data: dict[str, Any] = {}
    attempt: int | None = None
    payload: Any = None
    result: Any = None
    error: str | None = None
    message: str | None = None
    reason: str | None = None


class History(Struct, frozen=True):
    """A job and everything that happened to it, oldest first."""

    job: Job
    events: list[Event]


class Queue(Struct, frozen=True):
    """A queue and its settings; `position` is that of its last change."""

    name: str
    paused: bool
    config: dict[str, Any]
    position: int


Item: TypeAlias = Mapping[str, Any] | tuple[str, str, Any] | tuple[str, str, Any, Mapping[str, Any]]
"""One job of a bulk: as `POST /jobs` has it ({queue, type, payload, metadata?, idempotency_key?}), or
(queue, type, payload) or (queue, type, payload, metadata)."""
