"""From what a caller asks for to the data of `enqueued`.

Limits: a type is 1-100 of `A-Z a-z 0-9 _ . : -`; priority, max_retries, retry_delay and timeout as for
queues; source and correlation_id 1-200 characters; at most 20 tags of 1-64 characters, each once;
parent_id a job id; scheduled_for and expires_at RFC 3339 texts or aware datetimes, expires_at the
later one. A scheduled_for that has passed means now. An expires_at that has passed is taken: the
job then expires at once, and its history says so. An option of None means: not given, except for
timeout, where it means none at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from . import fields, ids, times
from .fields import InvalidField
from .queue import JOB_DEFAULTS, QueueConfig
from .types import JobSpec

MAX_TAGS: Final = 20
MAX_TAG: Final = 64
MAX_TEXT: Final = 200  # characters of source and correlation_id

_TYPE_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
# Part of a message's metadata, but ours to say.
_OURS: Final = frozenset({"created_at", "current_retry"})


class Prepared(msgspec.Struct, frozen=True):
    """A checked job: its spec, the spec as JSON, and what the log keeps in columns of its own."""

    spec: JobSpec
    encoded: bytes
    due_at: int | None = None  # milliseconds; None: at once
    expires_at: int | None = None  # milliseconds
    correlation: str | None = None


def type_name(value: object, field: str = "type") -> str:
    """The name, if it may name a job type. Raises InvalidField."""
    return fields.matching(field, value, _TYPE_NAME)


def _tags(field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_TAGS:
        raise InvalidField(field, f"must be a list of at most {MAX_TAGS} texts")
    checked = (fields.text(f"{field}[{i}]", tag, MAX_TAG) for i, tag in enumerate(value))
    return tuple(dict.fromkeys(checked))


def _job_id(field: str, value: object) -> str:
    try:
        return ids.to_text(ids.from_text(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise InvalidField(field, str(error)) from None


def _short_text(field: str, value: object) -> str:
    return fields.text(field, value, MAX_TEXT)


_OPTIONS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    **JOB_DEFAULTS,
    "scheduled_for": fields.instant,
    "expires_at": fields.instant,
    "source": _short_text,
    "correlation_id": _short_text,
    "tags": _tags,
    "parent_id": _job_id,
}


def prepare(
    job_type: str,
    config: QueueConfig,
    options: Mapping[str, object] | None = None,
    *,
    idempotency: bool = False,
) -> Prepared:
    """The job as it will be written: options over the queue's defaults.

    Options are the metadata of CONTRACT 1 that a caller may set. Raises InvalidField, also for one
    that does not exist.
    """
    plain = _plain(job_type, config)
    if not options and not idempotency:
        return plain
    given = _checked(options or {})
    due_at, expires_at = given.pop("scheduled_for", None), given.pop("expires_at", None)
    if due_at is not None and expires_at is not None and expires_at <= due_at:
        raise InvalidField("expires_at", "must be later than scheduled_for")
    correlation = given.get("correlation_id")
    spec = msgspec.structs.replace(
        plain.spec,
        scheduled_for=None if due_at is None else times.to_text(due_at),
        expires_at=None if expires_at is None else times.to_text(expires_at),
        idempotency=idempotency,
        **given,
    )
    return Prepared(spec, msgspec.json.encode(spec), due_at, expires_at, correlation)


def _checked(options: Mapping[str, object]) -> dict[str, Any]:
    for name in options:
        if name in _OURS:
            raise InvalidField(name, "is set by the server")
    fields.refuse_unknown(options, _OPTIONS)
    return {
        name: _OPTIONS[name](name, value)
        for name, value in options.items()
        if value is not None or name == "timeout"
    }


# Most jobs of a queue differ in nothing but their payload: checked and encoded once.
@lru_cache(maxsize=4096)
def _plain(job_type: str, config: QueueConfig) -> Prepared:
    spec = JobSpec(
        type=type_name(job_type),
        priority=config.priority,
        max_retries=config.max_retries,
        retry_delay=config.retry_delay,
        retry_backoff=config.retry_backoff,
        timeout=config.timeout,
    )
    return Prepared(spec, msgspec.json.encode(spec))
