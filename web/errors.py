"""The one shape of every error, and which HTTP status each code has.

    {"error": "short text", "code": "unknown_queue", "detail": {...}}

Nothing unforeseen leaves this module with its own words: it is logged, and the caller reads
"internal error". So no answer carries a stack trace, a URL or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout, TooManyRequests

from ..broker.errors import Rejected
from ..events.errors import DatabaseUnavailable, EpochChanged, Overloaded
from ..events.fields import InvalidField
from ..events.keyring import KeyMissing
from .answers import Answer

_log = structlog.get_logger(__name__)

STATUS: Final[Mapping[str, int]] = {
    "invalid_json": 400,
    "invalid_field": 422,
    "already_finished": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "unknown_queue": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "not_finished": 409,
    "stale_token": 409,
    "epoch_changed": 409,
    "past_retention": 410,
    "too_large": 413,
    "result_too_large": 413,
    "unsupported": 415,
    "idempotency_mismatch": 422,
    "too_many": 429,
    "internal": 500,
    "overloaded": 503,
    "disabled": 503,
    "database_unavailable": 503,
    "projection_behind": 503,
}
# What a moment later may go well.
_COME_BACK: Final = (429, 503)


class Problem(Exception):
    """A request that is refused. `status` only where it differs from the code's own."""

    def __init__(
        self,
        code: str,
        message: str,
        detail: Mapping[str, Any] | None = None,
        *,
        status: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.detail = code, message, detail or {}
        self.status = status or STATUS[code]
        self.headers = headers


def invalid(field: str, reason: str, *, status: int | None = None) -> Problem:
    """`reason` is a clause, such as "must be a text"."""
    return Problem("invalid_field", f"{field} {reason}", {"field": field, "reason": reason}, status=status)


def job_not_found() -> Problem:
    return Problem("not_found", "Job not found")


def unknown_queue(name: str) -> Problem:
    return Problem("unknown_queue", f"there is no queue {name[:64]!r}", {"queue": name[:64]})


def problem_of(error: Exception) -> Problem:
    """Whatever was raised, as what the caller may read."""
    match error:
        case Problem():
            return error
        case Rejected():
            return Problem(
                error.code, error.message, error.detail, status=STATUS.get(error.code, 400)
            )
        case InvalidField():
            return invalid(error.field, error.reason)
        case Overloaded():
            return Problem("overloaded", "too many commands wait for the log; try again")
        case EpochChanged():
            return Problem("epoch_changed", "the log began a new epoch; read its state again")
        case KeyMissing():
            _log.error("key_missing", error=str(error))
            return Problem("internal", "a payload cannot be decrypted: the key is missing")
        case _ if database_is_away(error):
            return Problem("database_unavailable", "the database is not available; try again")
        case _:
            _log.exception("request_failed", exc_info=error)
            return Problem("internal", "internal error")


def database_is_away(error: Exception) -> bool:
    if isinstance(error, DatabaseUnavailable | PoolTimeout | TooManyRequests | psycopg.InterfaceError):
        return True
    # Of the server's own errors only those that speak of its state, not of our statement.
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or error.sqlstate[:2] in ("08", "53", "57", "55", "58", "25")
    )


def answer_of(problem: Problem) -> Answer:
    body = {"error": problem.message, "code": problem.code, "detail": problem.detail}
    headers = problem.headers
    if problem.status in _COME_BACK:
        headers += ((b"retry-after", b"1"),)
    elif problem.status == 401:
        headers += ((b"www-authenticate", b'Bearer realm="hivelog"'),)
    return Answer(problem.status, msgspec.json.encode(body), headers=headers)
