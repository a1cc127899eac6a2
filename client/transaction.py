"""Enqueue in the caller's own transaction: the job exists if, and only if, that transaction commits.

Takes a psycopg connection or cursor, a SQLAlchemy Connection or Session, each sync or async, and Django's
connection. Nothing is imported for that: what is not in use need not be installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from .errors import HivelogError, InvalidField, error_of
from .job import Job, Metadata

Connection: TypeAlias = Any
"""psycopg, SQLAlchemy or Django; sync or async."""

_CALL: Final = "select hivelog.enqueue(%s::text, %s::text, %s::text::jsonb, %s::text::jsonb)"
_NAMED: Final = (
    "select hivelog.enqueue(cast(:queue as text), cast(:type as text),"
    " cast(cast(:payload as text) as jsonb), cast(cast(:options as text) as jsonb))"
)
_CODES: Final = {
    "HL010": "unknown_queue", "HL011": "invalid_field", "HL012": "too_large", "HL013": "encryption",
    "HL014": "idempotency_mismatch",
}  # fmt: skip


class Call:
    """One `select hivelog.enqueue(...)`; `job_of` makes the answer of the id that it returns."""

    def __init__(
        self, queue: str, type_: str, payload: object, options: Mapping[str, object], key: str | None
    ) -> None:
        try:
            body = msgspec.json.encode(payload)
            given = msgspec.json.encode(options if key is None else {**options, "idempotency_key": key})
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            raise InvalidField(f"cannot be written as JSON: {error}"[:200]) from None
        self.queue, self.type, self.payload, self.options, self.key = queue, type_, payload, options, key
        self._job = Job("", queue, type_, payload, "pending", _metadata(options))
        self.values = (queue, type_, body.decode(), given.decode())

    def job_of(self, identity: object) -> Job:
        return msgspec.structs.replace(self._job, id=str(identity))


def _metadata(options: Mapping[str, object]) -> Metadata:
    """What was asked for; what was not is the queue's to say, once the job is relayed."""
    return msgspec.convert(msgspec.to_builtins(options), Metadata, strict=False)


def enqueue(connection: Connection, call: Call) -> Job:
    """With a sync connection. Raises the family of HivelogError, TypeError for an async one."""
    if is_async(connection):
        raise TypeError(f"{_name(connection)} is async: use the async Client with it")
    try:
        return call.job_of(_execute(connection, call))
    except Exception as error:
        raise _translated(error) from error


async def enqueue_async(connection: Connection, call: Call) -> Job:
    """With either kind. A sync one blocks the loop for the one statement."""
    try:
        answer = _execute(connection, call)
        return call.job_of(await answer if inspect.isawaitable(answer) else answer)
    except Exception as error:
        raise _translated(error) from error


def is_async(connection: Connection) -> bool:
    """Whether its statements must be awaited."""
    return any("async" in kind.__name__.lower() for kind in type(connection).__mro__)


def _execute(connection: Connection, call: Call) -> Any:
    """The id, or an awaitable of it."""
    home = _home(connection)
    if home == "sqlalchemy":
        return _sqlalchemy(connection, call)
    if home == "psycopg":
        return _psycopg(connection, call)
    if home == "django":
        with connection.cursor() as cursor:
            cursor.execute(_CALL, call.values)
            return cursor.fetchone()[0]
    raise TypeError(
        f"connection= takes a psycopg, SQLAlchemy or Django connection, not {_name(connection)}"
    )


def _home(connection: Connection) -> str:
    """The library that a connection, or what it is derived from or stands for, comes from."""
    roots = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    return next((name for name in ("sqlalchemy", "psycopg", "django") if name in roots), "")


def _sqlalchemy(connection: Connection, call: Call) -> Any:
    from sqlalchemy import text

    values = dict(zip(("queue", "type", "payload", "options"), call.values, strict=True))
    answer = connection.execute(text(_NAMED), values)
    return _first_of(answer) if inspect.isawaitable(answer) else answer.scalar_one()


async def _first_of(answer: Any) -> Any:
    return (await answer).scalar_one()


def _psycopg(connection: Connection, call: Call) -> Any:
    if is_async(connection):
        return _psycopg_async(connection, call)
    if hasattr(connection, "cursor"):
        # A cursor of our own: whatever the caller's factories make of rows, ours answers tuples.
        from psycopg import Cursor

        with Cursor(connection) as cursor:
            return _only(cursor.execute(_CALL, call.values).fetchone())
    return _only(connection.execute(_CALL, call.values).fetchone())


async def _psycopg_async(connection: Connection, call: Call) -> Any:
    if not hasattr(connection, "cursor"):
        await connection.execute(_CALL, call.values)
        return _only(await connection.fetchone())
    from psycopg import AsyncCursor

    async with AsyncCursor(connection) as cursor:
        await cursor.execute(_CALL, call.values)
        return _only(await cursor.fetchone())


def _only(row: Any) -> Any:
    """The one column, whatever the cursor makes rows of."""
    return next(iter(row.values())) if isinstance(row, Mapping) else row[0]


def _translated(error: Exception) -> Exception:
    """What hivelog.enqueue raised, as ours; anything else stays the caller's own library's error."""
    if isinstance(error, HivelogError):
        return error
    for cause in (error, getattr(error, "orig", None), error.__cause__):
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if state in _CODES:
            said = str(cause).partition("\n")[0].partition(": ")[2]
            code = _CODES[state]
            detail = {"field": said.partition(" ")[0]} if code == "invalid_field" else {}
            return error_of(code, said, detail)
    return error


def _name(connection: Connection) -> str:
    return f"{type(connection).__module__}.{type(connection).__qualname__}"
