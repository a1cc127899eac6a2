"""Payloads held against the JSON Schemas that living workers published for a queue and type.

    schemas = PayloadSchemas(pool)
    await schemas.check("reports", "monthly", {"user": 1}, caller="user:ann")       # raises Rejected

What is known is kept compiled and read again beside the callers, so that an enqueue costs one look into a
dictionary. The worker has the last word anyway: this only tells the caller sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import psycopg
import structlog
from msgspec import Struct
from psycopg_pool import PoolTimeout

from .. import sql
from ..events.pool import Pool
from ..events.renewal import Renewal
from . import idempotency
from .enqueue import Item
from .errors import Rejected, invalid

if TYPE_CHECKING:
    import jsonschema_rs

_log = structlog.get_logger(__name__)

_SOON, _LATEST = 1.0, 2.0  # seconds
_TOLD: Final = 10  # misfits an answer names
_TURN: Final = 500  # items checked before others get their turn

_canonical = msgspec.json.Encoder(order="deterministic").encode


class Validator(Protocol):
    """A compiled schema."""

    def is_valid(self, instance: Any) -> bool: ...

    def iter_errors(self, instance: Any) -> Iterator[jsonschema_rs.ValidationError]: ...


class Published(Struct, frozen=True):
    """One schema of a type, and the queues whose workers published it."""

    validator: Validator
    queues: set[str]
    schema: msgspec.Raw


class _Session(Struct, frozen=True):
    queues: list[str]
    schemas: dict[str, bytes]  # type -> canonical JSON


def compiled(schema: Any) -> Validator:
    """Raises ValueError, its first line saying why, for what is not a schema that can be checked.

    Schemas come from workers, which need not be trusted with more than their queues: nothing is fetched,
    patterns take linear time, and no value of a payload gets into a message.
    """
    import jsonschema_rs  # 20 ms, which a process without schemas need not spend

    return jsonschema_rs.validator_for(
        schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions(), mask="the value"
    )


def _refuse(uri: str) -> Any:
    raise ValueError("references to other documents are not followed")


class PayloadSchemas:
    """The schemas of all living workers, at most 2 s old."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sessions: dict[int, _Session] = {}
        self._compiled: dict[bytes, Validator | None] = {}
        self._by_type: dict[str, list[Published]] = {}
        self._renewal = Renewal(self._read, soon=_SOON, latest=_LATEST)

    async def check(
        self, queue: str, type_: str, payload: object, *, caller: str, key: str | None = None
    ) -> None:
        """Raises Rejected unless the payload fits one of the schemas, if there are any.

        A call whose idempotency key was answered before is let through: it gets that answer again.
        """
        if not self._renewal.young:
            await self._renewal.ensure()
        published = self._by_type.get(type_)
        if published is None:
            return
        error = _misfit(published, queue, payload)
        if error is not None and not await self._answered(caller, f"/queue/{queue}/jobs", key):
            raise error

    async def check_many(self, items: Sequence[Item], *, caller: str, key: str | None = None) -> None:
        """The same for a bulk; the refusal's detail has the `index` of the first item that does not fit."""
        await self._renewal.ensure()
        if not self._by_type:
            return
        for index, item in enumerate(items):
            if index % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            published = self._by_type.get(item.type)
            error = _misfit(published, item.queue, item.payload) if published else None
            if error is None or await self._answered(caller, "/jobs", item.idempotency_key):
                continue
            if await self._answered(caller, "/jobs", key):
                return
            error.detail["index"] = index
            raise error

    async def published(self) -> list[tuple[str, Published]]:
        """By type; of two schemas of a type the newest worker's first."""
        await self._renewal.ensure()
        return [(type_, one) for type_ in sorted(self._by_type) for one in self._by_type[type_]]

    async def _answered(self, caller: str, path: str, key: str | None) -> bool:
        if not key:
            return False
        hashed = idempotency.hashed_key(caller, path, key)
        async with self._pool.connection() as connection:
            return hashed in await idempotency.lookup(connection, [hashed])

    async def _read(self) -> None:
        try:
            async with self._pool.connection() as connection:
                known = {"known": list(self._sessions)}
                rows = await (await connection.execute(sql.load("session_schemas"), known)).fetchall()
            self._learn(rows)
        except (psycopg.Error, PoolTimeout) as error:
            # Whether the job can be enqueued without is for the enqueue to say.
            _log.warning("payload_schemas_not_read", error=type(error).__name__)

    def _learn(self, rows: Sequence[tuple[int, list[str], list[str], dict[str, Any] | None]]) -> None:
        sessions = {row[0]: self._sessions.get(row[0]) or _session(*row[1:]) for row in rows}
        if sessions.keys() == self._sessions.keys():
            return
        self._sessions = sessions
        wanted = {text for session in sessions.values() for text in session.schemas.values()}
        self._compiled = {text: self._compiled.get(text) or _compiled(text) for text in wanted}
        by_type: dict[str, dict[bytes, Published]] = {}
        for session in reversed(sessions.values()):  # the newest first: its errors are the ones told
            for type_, text in session.schemas.items():
                if (validator := self._compiled[text]) is not None:
                    of_type = by_type.setdefault(type_, {})
                    one = of_type.setdefault(text, Published(validator, set(), msgspec.Raw(text)))
                    one.queues.update(session.queues)
        self._by_type = {type_: list(published.values()) for type_, published in by_type.items()}


def _session(queues: list[str], types: list[str], schemas: dict[str, Any] | None) -> _Session:
    served = (schemas or {}).keys() & set(types)
    return _Session(queues, {type_: _canonical((schemas or {})[type_]) for type_ in served})


def _compiled(text: bytes) -> Validator | None:
    try:
        return compiled(msgspec.json.decode(text))
    except ValueError as error:
        _log.warning("payload_schema_unusable", reason=reason_of(error))
        return None


def reason_of(error: Exception) -> str:
    """The first line of a library error, of bounded length."""
    return str(error).partition("\n")[0][:200]


def _misfit(published: list[Published], queue: str, payload: object) -> Rejected | None:
    here = [of.validator for of in published if queue in of.queues]
    if not here:
        return None
    try:
        plain = msgspec.json.decode(
            payload if isinstance(payload, msgspec.Raw) else msgspec.json.encode(payload)
        )
        # Workers of an older and a newer release may live side by side: one that can run it will do.
        if any(validator.is_valid(plain) for validator in here):
            return None
        return _refusal(list(islice(here[0].iter_errors(plain), _TOLD)))
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.DecodeError):
        return None  # not JSON, or too deep: the enqueuer says so in its own words


def _refusal(errors: list[jsonschema_rs.ValidationError]) -> Rejected:
    told = [{"path": _pointer(error.instance_path), "reason": reason_of(error)} for error in errors]
    field = ".".join(("payload", *map(str, errors[0].instance_path)))
    return invalid(field[:200], f"does not fit its type's schema: {told[0]['reason']}", errors=told)


def _pointer(path: Sequence[str | int]) -> str:
    """A JSON Pointer (RFC 6901) into the payload; empty for the payload itself."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)[:500]
