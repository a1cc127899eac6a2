"""What a command answers when it may not be done: one family, with the codes of the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..events.fields import InvalidField


class Rejected(Exception):
    """A refusal that the caller can read.

    `code` is one of the API's (invalid_field, unknown_queue, not_found, too_large, conflict,
    already_finished, not_finished, idempotency_mismatch, ...), `message` one line without secrets,
    `detail` what a program may want to know.
    """

    def __init__(self, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = dict(detail or {})


@contextmanager
def checked(**detail: Any) -> Iterator[None]:
    """Turn InvalidField into Rejected("invalid_field"), with `detail` added."""
    try:
        yield
    except InvalidField as error:
        raise invalid(error.field, error.reason, **detail) from None


def invalid(field: str, reason: str, **detail: Any) -> Rejected:
    """`field` as the caller named it, `reason` a clause such as "must be a text"."""
    found = {"field": field, "reason": reason, **detail}
    return Rejected("invalid_field", f"{field} {reason}", found)


def unknown_queue(name: str, **detail: Any) -> Rejected:
    return Rejected("unknown_queue", f"there is no queue {name[:64]!r}", {"queue": name[:64], **detail})
