"""The data of every event type, its schema version, and its JSON.

    data = decode("retry_scheduled", 1, {"cause": "error", "due_at": "...", "retry": 1})
    encode(data)         # compact JSON; None where there is nothing to say

Defaults are left out of the JSON, so a default may never change: that takes a new schema and a step
in `upcast`. Fields that a newer version added are ignored. Texts with a fixed set of values are plain
`str`: an older process must be able to read what a newer one writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from .queue import QueueConfig
from .upcast import upcast

Json: TypeAlias = dict[str, Any]


class Empty(Struct, frozen=True):
    """The type says it all."""


class JobSpec(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`enqueued`: what was asked for, queue defaults filled in. Also kept in the live row."""

    type: str
    priority: int
    max_retries: int
    retry_delay: int  # seconds
    retry_backoff: str = "fixed"  # or "exponential"
    timeout: int | None = None  # seconds
    scheduled_for: str | None = None  # RFC 3339
    expires_at: str | None = None  # RFC 3339
    source: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    correlation_id: str | None = None  # also a column of the event, where it can be searched
    idempotency: bool = False  # it came with a key


class Progressed(Struct, frozen=True):
    percent: float  # 0-100; the message is in the vault


class RetryScheduled(Struct, frozen=True, omit_defaults=True):
    """The attempt failed and there is another. Cause: error, timeout, retry (its handler asked)."""

    cause: str
    due_at: str  # RFC 3339
    retry: int  # of the attempt to come
    error_type: str | None = None
    fingerprint: str | None = None
    template: str | None = None


class Failed(Struct, frozen=True, omit_defaults=True):
    """Cause: error, retry, payload (does not fit its handler), result (cannot be stored)."""

    cause: str = "error"
    error_type: str | None = None
    fingerprint: str | None = None
    template: str | None = None


class Cancelled(Struct, frozen=True, omit_defaults=True):
    """Cause: requested, drained; of a running job that was to stop also how its attempt ended:
    error, timeout, lost, payload, result, grace (it did not stop in time)."""

    cause: str = "requested"
    action: int | None = None  # position of the action_started that it belongs to


class Expired(Struct, frozen=True):
    """Cause: timeout (no retries left), expires_at (not started before it)."""

    cause: str


class Lost(Struct, frozen=True, omit_defaults=True):
    """The worker died and the job goes `to` pending, failed or cancelled.

    Cause poison, with failed: it was set aside, because this happened too often while it ran.
    """

    to: str
    due_at: str | None = None  # RFC 3339, with pending
    retry: int | None = None  # with pending
    cause: str | None = None


class Released(Struct, frozen=True, omit_defaults=True):
    """Given back, not counted. Reason: shutdown, unlisted (its session does not know it), ..."""

    reason: str | None = None


class Requeued(Struct, frozen=True, omit_defaults=True):
    """Run again from the start of its retries. An expires_at that had passed holds no more.

    An undone cancellation brings back what was: the time that it waited for, and its retries."""

    by: str | None = None
    unbound: bool = False  # expires_at was dropped
    due_at: str | None = None  # RFC 3339; it waits again
    retry: int | None = None
    action: int | None = None  # position of the action_started that it belongs to


class Routed(Struct, frozen=True, omit_defaults=True):
    """Moved to another queue."""

    queue: str
    rule: str | None = None


class Rescheduled(Struct, frozen=True, omit_defaults=True):
    """`to` (pending or ready) comes with scheduled_for: whether that was still in the future."""

    priority: int | None = None
    scheduled_for: str | None = None  # RFC 3339
    to: str | None = None


class Switched(Struct, frozen=True, omit_defaults=True):
    """`paused`, `resumed`. The reason's text is in the vault."""

    reason: bool = False


class Drained(Struct, frozen=True):
    position: int  # what was enqueued at or before it
    cancelled: int


class Scaled(Struct, frozen=True, omit_defaults=True):
    """How many worker processes the queue should have from now on."""

    workers: int
    max_workers: int | None = None  # when the scale raised it
    reason: str | None = None
    pinned: bool = False  # somebody's own number: it stays until somebody changes it
    session: str | None = None  # the worker that goes for it


class WorkerStarted(Struct, frozen=True, omit_defaults=True):
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    types: tuple[str, ...]
    slots: int
    heartbeat: float  # seconds
    dead_after: float  # seconds
    schemas: Json | None = None  # JSON Schema of payloads, by job type


class WorkerStopped(Struct, frozen=True, omit_defaults=True):
    reason: str | None = None


class WorkerLost(Struct, frozen=True, omit_defaults=True):
    reason: str | None = None  # how its process ended, where a supervisor saw it


class ConfigChanged(Struct, frozen=True, omit_defaults=True):
    """The whole system configuration after the change."""

    retention_days: int | None = None
    max_message_size: int | None = None  # bytes
    queue_defaults: Json | None = None
    scaling: Json | None = None
    notifications: Any = None
    encryption: bool = False  # read by `hivelog.check_enqueue` too, like the next
    allow_plaintext_outbox: bool = False
    poison_after: int | None = None  # lost attempts


class SessionOpened(Struct, frozen=True, omit_defaults=True):
    """A person logged in, or a token opened a session in a browser."""

    user: str | None = None
    method: str | None = None


class Refused(Struct, frozen=True, omit_defaults=True):
    """Somebody tried what they may not."""

    code: str
    action: str | None = None
    target: str | None = None


class TokenCreated(Struct, frozen=True, omit_defaults=True):
    token: str  # its id, never the secret
    name: str
    scopes: tuple[str, ...] = ()
    queues: tuple[str, ...] | None = None  # None: all
    expires_at: str | None = None  # RFC 3339


class TokenRevoked(Struct, frozen=True):
    token: str


class EpochStarted(Struct, frozen=True, omit_defaults=True):
    epoch: int
    system_identifier: str
    timeline: int
    reason: str | None = None


class KeysRotated(Struct, frozen=True, omit_defaults=True):
    """Data keys now wrapped by the key with this fingerprint."""

    kek: str
    rewrapped: int = 0


class ActionStarted(Struct, frozen=True, omit_defaults=True):
    action_id: str
    action: str  # cancel, retry, erase, undo, drain, redrive, copy, shadow, retention
    position: int  # touches only what was enqueued at or before it; of retention: the new edge
    matched: int | None = None
    filter: Json | None = None


class ActionFinished(Struct, frozen=True, omit_defaults=True):
    action_id: str
    changed: int = 0
    refused: int = 0
    error: str | None = None
    counts: dict[str, int] | None = None  # of a replay: what became of how many jobs
    detail: Json | None = None  # of retention: edge, carried, and the digest of what was carried


class Opaque(Struct, frozen=True):
    """Data of a type, or of a schema, that this version does not know. Skipped, not lost."""

    type: str
    schema: int
    data: Any


class Entry(NamedTuple):
    struct: type[Struct]
    schema: int = 1


REGISTRY: Final[Mapping[str, Entry]] = {
    "enqueued": Entry(JobSpec),
    "queued": Entry(Empty),
    "started": Entry(Empty),
    "progressed": Entry(Progressed),
    "completed": Entry(Empty),
    "retry_scheduled": Entry(RetryScheduled),
    "failed": Entry(Failed),
    "cancel_requested": Entry(Empty),
    "cancelled": Entry(Cancelled),
    "expired": Entry(Expired),
    "lost": Entry(Lost),
    "released": Entry(Released),
    "requeued": Entry(Requeued),
    "routed": Entry(Routed),
    "rescheduled": Entry(Rescheduled),
    "payload_erased": Entry(Empty),
    "queue_configured": Entry(QueueConfig),
    "paused": Entry(Switched),
    "resumed": Entry(Switched),
    "drained": Entry(Drained),
    "scaled": Entry(Scaled),
    "worker_started": Entry(WorkerStarted),
    "worker_stopped": Entry(WorkerStopped),
    "worker_lost": Entry(WorkerLost),
    "config_changed": Entry(ConfigChanged),
    "session_opened": Entry(SessionOpened),
    "refused": Entry(Refused),
    "token_created": Entry(TokenCreated),
    "token_revoked": Entry(TokenRevoked),
    "epoch_started": Entry(EpochStarted),
    "keys_rotated": Entry(KeysRotated),
    "action_started": Entry(ActionStarted),
    "action_finished": Entry(ActionFinished),
}

# How often this process met what it does not know, by (type, schema): for /metrics and doctor.
skipped: Final[Counter[tuple[str, int]]] = Counter()


def encode(data: Struct) -> bytes | None:
    """Compact JSON for the log; None when the type alone says it all."""
    text = msgspec.json.encode(data)
    return None if text == b"{}" else text


def decode(event_type: str, schema: int, data: Json | bytes | str | None) -> Struct:
    """The data of an event as its Struct, old schemas in today's shape.

    What this version does not know becomes Opaque and is counted in `skipped`. Raises
    msgspec.ValidationError when data of a known type does not fit: that is a bug, not the future.
    """
    plain = msgspec.json.decode(data) if isinstance(data, bytes | str) else data
    entry = REGISTRY.get(event_type)
    reached, shaped = upcast(event_type, schema, plain or {})
    if entry is None or reached != entry.schema:
        skipped[event_type, schema] += 1
        return Opaque(event_type, schema, plain)
    return msgspec.convert(shaped, entry.struct)
