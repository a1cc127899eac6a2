"""The application: opens what endpoints need, routes to them, closes it all in the right order.

    app = Application(settings)          # an ASGI application with a lifespan
    async with running(settings) as services: ...

A process answers, follows the log, folds the projections and takes its share of the leader's duties.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from ..broker.actions import Actions
from ..broker.backend import Backend
from ..broker.drain import Drains
from ..broker.duties import ACTIONS_EVERY, Duties, every, standard
from ..broker.engine import Engine
from ..broker.leadership import Leadership
from ..broker.payload_schemas import PayloadSchemas
from ..broker.retention import Retaining
from ..events import signfile
from ..events.anchors import Publisher
from ..events.arrival import when_there
from ..events.beginnings import Beginnings
from ..events.outbox import Relay
from ..events.sealer import Sealer
from ..events.signing import SigningRing
from ..events.tail import Tail
from ..projections.runner import Runner
from ..projections.search import Indexer
from ..settings import Settings
from ..stopping import stop_tasks
from .access import Access
from .auth import Attempts, Authenticator
from .found_jobs import FoundJobs
from .hub import Hub
from .metrics import Metrics
from .routes import router
from .services import Services
from .stream import Places
from .waiting import answer_while_waiting
from .worker_sessions import Protocol

_log = structlog.get_logger(__name__)

_POOL: int = 8
_SILENT_START: float = 2.0  # seconds after which requests are taken, if only to be told to come again


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """All services of a serve process. Raises DatabaseUnavailable, KeyMissing or psycopg's errors."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(settings, name="serve", pool_size=_POOL))
        async with engine.pool.connection() as connection:
            ring = await signfile.open_ring(connection, settings.signing_keys, data=settings.data)
        publisher = Publisher(
            file=settings.anchor_file, url=settings.anchor_url, every=settings.anchor_seconds
        )
        services = _services(settings, engine, ring, publisher)
        _listen(services)
        await engine.queues.create_default_queues()
        await engine.claims.start()
        stack.push_async_callback(engine.claims.stop)
        await services.tail.start()
        stack.push_async_callback(services.tail.stop)
        await services.projections.start()
        stack.push_async_callback(services.projections.stop)
        stack.push_async_callback(publisher.stop)
        await services.duties.start()
        stack.push_async_callback(services.duties.stop)
        stack.push_async_callback(services.drains.stop)
        stack.push_async_callback(services.actions.stop)
        yield services
        services.stopping.set()
        services.hub.notify()


def _services(
    settings: Settings, engine: Engine, ring: SigningRing | None, publisher: Publisher
) -> Services:
    access = Access(engine.pool)
    url = settings.database_url
    assert url is not None
    drains = Drains(engine.appender, engine.names, engine.pool)
    finder = FoundJobs(engine.pool, engine.names, engine.vault)
    actions = Actions(engine.appender, engine.names, engine.pool, engine.vault, finder)
    services = Services(
        settings=settings, engine=engine, drains=drains, actions=actions, projections=Runner(url),
        tail=Tail(engine.pool), beginnings=Beginnings(engine.pool),
        access=access, auth=Authenticator(access, settings.admin_token, settings.trusted_proxies),
        attempts=Attempts(), hub=Hub(lambda: services), places=Places(),
        metrics=Metrics(), protocol=Protocol(),
        duties=_duties(settings, engine, drains, actions, ring, publisher),
        schemas=PayloadSchemas(engine.pool), signing=ring,
    )  # fmt: skip
    return services


def _duties(
    settings: Settings, engine: Engine, drains: Drains, actions: Actions, ring: SigningRing | None,
    publisher: Publisher,
) -> Duties:
    backend = Backend(
        engine.pool, engine.appender, engine.names, engine.vault, engine.clock, engine.configuration,
        engine.enqueuer, engine.jobs, engine.queues, drains,
    )  # fmt: skip
    assert settings.database_url is not None
    relay = Relay(settings.database_url, engine.names, engine.vault, engine.appender.submit)
    indexer = Indexer(engine.pool, engine.vault)
    engine.appender.listeners.append(lambda _: indexer.wake())
    standing = standard(backend, grace=settings.grace_seconds)
    duties = {
        **standing, "relay": relay.run, "search": indexer.run,
        "bulk actions": every(ACTIONS_EVERY, actions.resume_unfinished),
        "retention": Retaining(
            settings.database_url, engine.configuration, engine.names, engine.appender.submit,
            settings.archive_to,
        ).run,
    }  # fmt: skip
    if ring is not None:  # who has no key leaves it to others
        sealer = Sealer(engine.pool, ring)
        sealer.sealed.append(publisher.sealed)
        duties["seals"] = sealer.run
    return Duties(Leadership(engine.pool), duties)


def _listen(services: Services) -> None:
    """What this process appends is news to all that follow the log here."""
    services.tail.on_ahead = services.engine.saw
    services.engine.new_epoch += [
        services.protocol.sources.clear, services.metrics.forget, services.series.forget,
        services.day.forget,
    ]  # fmt: skip
    services.appender.listeners += [
        services.metrics.appended,
        lambda _: services.tail.wake(),
        lambda _: services.projections.wake(),
    ]


class Application:
    """The ASGI application. `services` may be given, already running; then there is no lifespan.

    `prepare` looks at the schema, or brings it up to date, before anything is opened. While PostgreSQL is
    away, or `prepare` takes long, requests get 503 and `/health/live` 200.
    """

    def __init__(
        self,
        settings: Settings,
        services: Services | None = None,
        *,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self.settings = settings
        self.settled = asyncio.Event()  # the services are there, or `failure` says why they never will be
        self.failure: Exception | None = None
        self._services = services
        self._prepare = prepare
        self._answering = asyncio.Event()  # requests can be taken, if only to say that we wait
        self._closing = asyncio.Event()
        self._router = router(self._running)

    def _running(self) -> Services:
        assert self._services is not None, "the lifespan has not started"
        return self._services

    @property
    def services(self) -> Services | None:
        """None before they are there."""
        return self._services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        root = scope.get("root_path")
        if root and scope["path"].startswith(root + root + "/"):
            # The proxy did not take its prefix off, and the server put it on again.
            scope["path"] = scope["path"][len(root) :]
        if self._services is None:
            await answer_while_waiting(scope, send)
            return
        await self._router(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        life = asyncio.create_task(self._live(), name="services")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SILENT_START):
                await self._answering.wait()
        if self.failure is not None:
            await send({"type": "lifespan.startup.failed", "message": type(self.failure).__name__})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._closing.set()
        if not self.settled.is_set():
            await stop_tasks(life)
        await asyncio.wait({life})
        well = life.cancelled() or life.result()
        await send({"type": "lifespan.shutdown.complete" if well else "lifespan.shutdown.failed"})

    async def _live(self) -> bool:
        """Open the services as soon as the database is there, and hold them open until the server closes.
        False: they could not be opened, or closed."""
        try:
            async with AsyncExitStack() as stack:
                self._services = await self._open(stack)
                self._answering.set()
                self.settled.set()
                await self._closing.wait()
            return True
        except Exception as error:
            self.failure = error
            if self._services is not None:
                _log.exception("services_failed")
            return False
        finally:
            self._answering.set()
            self.settled.set()

    async def _open(self, stack: AsyncExitStack) -> Services:
        async def attempt() -> Services:
            await asyncio.to_thread(self._prepare)
            return await stack.enter_async_context(running(self.settings))

        owner, app = self.settings.migrate_url, self.settings.database_url
        assert app is not None
        urls = {"DATABASE_URL": app} if owner is None else {"HIVELOG_MIGRATE_URL": owner, "DATABASE_URL": app}
        return await when_there(urls, attempt, waiting=self._answering.set)

    def stop_streams(self) -> None:
        """Say bye to every stream, so that they end before the server waits for them."""
        if self._services is not None:
            self._services.stopping.set()
            self._services.hub.notify()


def create_app(**overrides: Any) -> Application:
    """From the environment, for ASGI servers that take a factory."""
    return Application(Settings.load(**overrides))
