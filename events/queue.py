"""What a queue is configured with: the data of `queue_configured`, and the queues out of the box.

Limits: a queue's name is 1-64 of `a-z 0-9 _ -`; priority 0-1000 (higher runs first); max_retries
0-1000; retry_delay 0 s - 30 days; timeout 1 s - 7 days or null (none); max_workers 1-10,000 or null
(no limit); scaling min 0-1000, max 1-1000 and not below min, threshold 1-1,000,000 waiting jobs, wait
1 s - 30 days.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from . import fields
from .fields import InvalidField

MAX_PRIORITY: Final = 1000
MAX_RETRIES: Final = 1000
MAX_RETRY_DELAY: Final = 30 * 86_400
MAX_TIMEOUT: Final = 7 * 86_400
WAIT: Final = 60  # seconds
MOST_WORKERS: Final = 1000  # worker processes of a queue
BACKOFFS: Final = ("fixed", "exponential")

_QUEUE_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


class Scaling(msgspec.Struct, frozen=True):
    """How many worker processes a queue gets. One more is asked for by more than `threshold` ready jobs, or
    by one that has been ready for longer than `wait` seconds (not set: WAIT)."""

    min: int = 1
    max: int = 5
    threshold: int = 20
    wait: int | UnsetType = UNSET  # came later: absent where nobody has set it

    @property
    def longest_wait(self) -> int:
        """Seconds."""
        return WAIT if self.wait is UNSET else self.wait


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults of the queue's jobs and its limits. Always written whole, nulls included: a default
    that changes in a later version must not change what an old event means."""

    priority: int = 100
    max_retries: int = 3
    retry_delay: int = 60  # seconds
    retry_backoff: str = "exponential"
    max_workers: int | None = None  # jobs that run at once, cluster-wide
    timeout: int | None = None  # seconds
    scaling: Scaling = Scaling()
    deleted: bool | UnsetType = UNSET  # written by the event that deletes the queue, else absent


DEFAULT_QUEUES: Final[Mapping[str, QueueConfig]] = {
    "default": QueueConfig(retry_backoff="fixed", max_workers=5, scaling=Scaling(1, 5, 20)),
    "reports": QueueConfig(
        priority=200, max_retries=2, retry_delay=120, retry_backoff="fixed", max_workers=3,
        timeout=1800, scaling=Scaling(2, 5, 10),
    ),
    "notifications": QueueConfig(
        priority=300, max_retries=5, retry_delay=30, retry_backoff="fixed", max_workers=10,
        timeout=60, scaling=Scaling(5, 15, 50),
    ),
    "background": QueueConfig(
        priority=50, max_retries=2, retry_delay=300, retry_backoff="fixed", max_workers=2,
        timeout=3600, scaling=Scaling(1, 3, 5),
    ),
}  # fmt: skip


def queue_name(value: object, field: str = "queue") -> str:
    """The name, if it may name a queue. Raises InvalidField."""
    return fields.matching(field, value, _QUEUE_NAME)


# Checks that queues and jobs share, by field.
JOB_DEFAULTS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "priority": lambda field, value: fields.whole(field, value, 0, MAX_PRIORITY),
    "max_retries": lambda field, value: fields.whole(field, value, 0, MAX_RETRIES),
    "retry_delay": lambda field, value: fields.whole(field, value, 0, MAX_RETRY_DELAY),
    "retry_backoff": lambda field, value: fields.choice(field, value, BACKOFFS),
    "timeout": lambda field, value: fields.optional_whole(field, value, 1, MAX_TIMEOUT),
}
_SCALING: Final[Mapping[str, tuple[int, int]]] = {
    "min": (0, MOST_WORKERS), "max": (1, MOST_WORKERS), "threshold": (1, 1_000_000), "wait": (1, 30 * 86_400),
}  # fmt: skip
_CHECKS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    **JOB_DEFAULTS,
    "max_workers": lambda field, value: fields.optional_whole(field, value, 1, 10_000),
}


def configured(current: QueueConfig, changes: Mapping[str, object]) -> QueueConfig:
    """`current` with the named fields changed; a partial `scaling` changes only what it names.

    Raises InvalidField, also for a field that does not exist.
    """
    fields.refuse_unknown(changes, {**_CHECKS, "scaling": None})
    checked = {
        name: _CHECKS[name](name, value) for name, value in changes.items() if name != "scaling"
    }
    if "scaling" in changes:
        checked["scaling"] = _scaled(current.scaling, changes["scaling"])
    return msgspec.structs.replace(current, deleted=UNSET, **checked)


def _scaled(current: Scaling, value: object) -> Scaling:
    changes = fields.mapping("scaling", value)
    fields.refuse_unknown(changes, _SCALING, within="scaling.")
    checked = {
        name: fields.whole(f"scaling.{name}", number, *_SCALING[name])
        for name, number in changes.items()
    }
    scaling = msgspec.structs.replace(current, **checked)
    if scaling.min > scaling.max:
        raise InvalidField("scaling.max", "must not be below scaling.min")
    return scaling
