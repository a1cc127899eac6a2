"""What a client raises: one family, one class a code of the API.

    try:
        await client.cancel(job)
    except hivelog.NotFound: ...
    except hivelog.HivelogError as error:
        error.code, error.detail
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final


class HivelogError(Exception):
    """`code` as the API names it, `detail` what a program may want to know; the text holds no secret."""

    code: str = "internal"
    unsent = False  # True: it never left this process, so to repeat it does no harm
    known: ClassVar[dict[str, type[HivelogError]]] = {}

    def __init__(self, message: str, detail: Mapping[str, Any] | None = None, *, code: str | None = None):
        super().__init__(message)
        self.message = message
        self.detail: dict[str, Any] = dict(detail or {})
        if code is not None:
            self.code = code

    def __init_subclass__(cls) -> None:
        HivelogError.known[cls.code] = cls

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_of, (self.code, self.message, self.detail))


class InvalidField(HivelogError):
    """A value that may not be stored; `detail` has field and reason."""

    code = "invalid_field"


class InvalidJson(HivelogError):
    code = "invalid_json"


class UnknownQueue(HivelogError):
    code = "unknown_queue"


class NotFound(HivelogError):
    code = "not_found"


class TooLarge(HivelogError):
    code = "too_large"


class Conflict(HivelogError):
    """Something changed meanwhile, or is in the way."""

    code = "conflict"


class AlreadyFinished(HivelogError):
    code = "already_finished"


class NotFinished(HivelogError):
    code = "not_finished"


class IdempotencyMismatch(HivelogError):
    """The key was used before, for something else."""

    code = "idempotency_mismatch"


class Overloaded(HivelogError):
    """Too much waits for the log; nothing was done."""

    code = "overloaded"


class Disabled(HivelogError):
    """MESSAGING_QUEUE_ENABLED is false: reads only."""

    code = "disabled"


class Unavailable(HivelogError):
    """The database or the server is away. Without an idempotency key it is unknown whether it was done."""

    code = "database_unavailable"


class ProjectionBehind(HivelogError):
    code = "projection_behind"


class PastRetention(HivelogError):
    code = "past_retention"


class EpochChanged(HivelogError):
    """The log began a new life (restore, failover): positions of the old one are void."""

    code = "epoch_changed"


class Unauthenticated(HivelogError):
    code = "unauthenticated"


class Forbidden(HivelogError):
    code = "forbidden"


class EncryptionRefused(HivelogError):
    """Encryption is on, and the outbox of a transaction would hold plain text."""

    code = "encryption"


class WaitTimeout(HivelogError, TimeoutError):
    """The job has not ended in time; `detail` has its id and status."""

    code = "timeout"


OVERLOADS: Final = frozenset({"overloaded", "too_many"})
# What a moment later may go well, if repeating it does no harm.
PASSING: Final = OVERLOADS | {"database_unavailable", "projection_behind", "epoch_changed"}


def error_of(code: str, message: str, detail: Mapping[str, Any] | None = None) -> HivelogError:
    """The exception of a code; one without a class of its own is a HivelogError."""
    found = HivelogError.known.get(code, HivelogError)
    return found(message, detail, code=code)
