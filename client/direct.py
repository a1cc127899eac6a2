"""A client on the log itself: no server between, one append for all who enqueue at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from ..broker.engine import Engine
from ..broker.enqueue import Item
from ..broker.errors import Rejected
from ..broker.payload_schemas import PayloadSchemas
from ..events import errors as log_errors
from ..events import ids, spec, times
from ..events.queue import QueueConfig
from ..settings import Settings
from .backend import BulkItem, repeated
from .errors import Disabled, EpochChanged, HivelogError, Overloaded, Unavailable, error_of
from .job import Job, Metadata
from .transaction import Call, Connection
from .waiting import Watcher

if TYPE_CHECKING:
    from ..embedded import Embedded
    from .local import LocalApi

_FRESH: Final = 1.0  # s, as the queue's settings are anywhere
_TROUBLE: Final = (Rejected, log_errors.LogError, psycopg.Error, PoolTimeout)

_text_of = lru_cache(maxsize=64)(times.to_text)


class Direct:
    """Stands on an Engine of its own. Without a DATABASE_URL it shares the embedded servers."""

    def __init__(self, settings: Settings, actor: str) -> None:
        self._settings, self._actor = settings, actor
        self._stack = contextlib.AsyncExitStack()
        self._api: LocalApi | None = None
        self._templates: dict[tuple[str, str], tuple[float, Metadata]] = {}
        self._enabled = settings.queue_enabled

    async def open(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            settings = await self._with_servers(stack)
            self._engine = engine = Engine(settings, name="client")
            try:
                await stack.enter_async_context(engine)
            except (log_errors.LogError, psycopg.OperationalError, PoolTimeout) as error:
                raise Unavailable("the database is not available") from error
            self._enqueuer = engine.enqueuer
            self._schemas = PayloadSchemas(engine.pool)
            self._watcher = Watcher(engine.pool)
            stack.push_async_callback(self._watcher.stop)
            self._stack = stack.pop_all()

    async def _with_servers(self, stack: contextlib.AsyncExitStack) -> Settings:
        settings = self._settings
        if settings.database_url is not None and settings.redis_url is not None:
            return settings
        servers = await asyncio.to_thread(_embedded, settings)
        stack.push_async_callback(asyncio.to_thread, servers.close)
        return msgspec.structs.replace(
            settings,
            database_url=settings.database_url or servers.database_url,
            redis_url=settings.redis_url or servers.redis_url,
        )

    async def close(self) -> None:
        if self._api is not None:
            await self._api.stop()
        await self._stack.aclose()

    # -- enqueue: the hot path ---------------------------------------------------------------------------

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        if not self._enabled:
            raise _disabled()
        try:
            await self._schemas.check(queue, type_, payload, caller=self._actor, key=key)
            if options or key is not None:
                return await self._enqueue_special(queue, type_, payload, options, key)
            accepted = await self._enqueuer.enqueue(queue, type_, payload, actor=self._actor)
        except _TROUBLE as error:
            raise _ours(error) from error
        known = self._templates.get((queue, type_))
        if known is None or monotonic() > known[0]:
            known = await self._learn(queue, type_)
        like = known[1]
        return Job(
            ids.to_text(accepted.job), queue, type_, payload, "queued",
            Metadata(
                _text_of(accepted.recorded_at), None, like.priority, like.max_retries, 0,
                like.retry_delay, like.retry_backoff, like.timeout,
            ),
            1, accepted.position,
        )  # fmt: skip

    async def _learn(self, queue: str, type_: str) -> tuple[float, Metadata]:
        """The metadata of a job of which nothing is said: the queue's settings, read again every second."""
        prepared = spec.prepare(type_, await self._config(queue))
        known = (monotonic() + _FRESH, _metadata(prepared, None))
        self._templates[queue, type_] = known
        return known

    async def _config(self, queue: str) -> QueueConfig:
        found = await self._engine.names.queue(queue)
        if found is None:  # deleted since
            raise error_of("unknown_queue", f"there is no queue {queue!r}", {"queue": queue})
        return msgspec.convert(found.config, QueueConfig)

    async def _enqueue_special(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        accepted = await self._enqueuer.enqueue(
            queue, type_, payload, actor=self._actor, idempotency_key=key, **options
        )
        if accepted.replayed:
            answer = await self.call("GET", f"/job/{ids.to_text(accepted.job)}")
            return msgspec.json.decode(answer, type=_Answer).job
        at = accepted.recorded_at
        prepared = spec.prepare(type_, await self._config(queue), options)
        later = prepared.due_at is not None and prepared.due_at > at
        return Job(
            ids.to_text(accepted.job), queue, type_, payload, "pending" if later else "queued",
            _metadata(prepared, _text_of(at)), 1, accepted.position,
        )  # fmt: skip

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]:
        if not self._enabled:
            raise _disabled()
        made = [Item(i.queue, i.type, i.payload, i.metadata, i.idempotency_key) for i in items]
        try:
            await self._schemas.check_many(made, caller=self._actor, key=key)
            accepted = await self._engine.enqueuer.enqueue_many(
                made, actor=self._actor, idempotency_key=key
            )
        except _TROUBLE as error:
            raise _ours(error) from error
        return ids.to_texts(accepted.jobs)

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        return None

    # -- everything else ---------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        from .local import LocalApi, encoded  # the web room, which a producer never needs

        if self._api is None:
            self._api = LocalApi(self._engine, self._actor)
        api, sent = self._api, encoded(body)
        return await repeated(
            lambda: api.call(method, path, query or {}, sent), harmless=method in ("GET", "PUT")
        )

    async def wait(self, job: str) -> None:
        number = ids.from_text(job)

        async def once() -> None:
            try:
                after = await self._watcher.position()
                found = msgspec.json.decode(await self.call("GET", f"/job/{job}"), type=_Answer)
                if not found.job.ended:
                    await self._watcher.ended(number, after)
            except (psycopg.Error, PoolTimeout) as error:
                raise _ours(error) from error

        await repeated(once, harmless=True)


class _Answer(msgspec.Struct):
    job: Job


def _metadata(prepared: spec.Prepared, created: str | None) -> Metadata:
    like = prepared.spec
    return Metadata(
        created, like.scheduled_for, like.priority, like.max_retries, 0, like.retry_delay,
        like.retry_backoff, like.timeout, like.expires_at, like.source, prepared.correlation, like.tags,
        like.parent_id,
    )  # fmt: skip


def _disabled() -> HivelogError:
    return Disabled("MESSAGING_QUEUE_ENABLED is false: nothing can be enqueued")


def _ours(error: Exception) -> HivelogError:
    match error:
        case Rejected():
            return error_of(error.code, error.message, error.detail)
        case log_errors.Overloaded():
            return Overloaded("too many commands wait for the log; try again")
        case log_errors.EpochChanged():
            return EpochChanged("the log began a new epoch; read its state again")
        case log_errors.LogError() | PoolTimeout() | psycopg.OperationalError() | psycopg.InterfaceError():
            return Unavailable("the database is not available; try again")
        case _:
            return error_of("internal", f"{type(error).__name__}: {error}".partition("\n")[0])


def _embedded(settings: Settings) -> Embedded:
    from .. import embedded
    from ..sql import migrate

    own_database = settings.database_url is None
    servers = embedded.start(
        settings.data, with_postgres=own_database, with_valkey=settings.redis_url is None
    )
    if own_database:
        assert servers.database_url is not None
        migrate.migrate(servers.database_url)
    return servers
