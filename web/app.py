"""The application: opens what endpoints need, routes to them, closes it all in the right order.

    app = Application(settings)          # an ASGI application with a lifespan
    async with running(settings) as services: ...

A process answers, follows the log, folds the projections and takes its share of the leader's duties.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from ..broker.backend import Backend
from ..broker.drain import Drains
from ..broker.duties import Duties, standard
from ..broker.engine import Engine
from ..broker.leadership import Leadership
from ..broker.payload_schemas import PayloadSchemas
from ..events.outbox import Relay
from ..events.tail import Tail
from ..projections.runner import Runner
from ..projections.search import Indexer
from ..settings import Settings
from .access import Access
from .auth import Attempts, Authenticator
from .hub import Hub
from .metrics import Metrics
from .routes import router
from .services import RecentBatches, Services
from .stream import Places
from .worker_sessions import Protocol

_log = structlog.get_logger(__name__)

_POOL: int = 8


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """All services of a serve process. Raises DatabaseUnavailable, KeyMissing or psycopg's errors."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(settings, name="serve", pool_size=_POOL))
        services = _services(settings, engine)
        _listen(services)
        await engine.queues.create_default_queues()
        await engine.claims.start()
        stack.push_async_callback(engine.claims.stop)
        await services.tail.start()
        stack.push_async_callback(services.tail.stop)
        await services.projections.start()
        stack.push_async_callback(services.projections.stop)
        await services.duties.start()
        stack.push_async_callback(services.duties.stop)
        stack.push_async_callback(services.drains.stop)
        yield services
        services.stopping.set()
        services.hub.notify()


def _services(settings: Settings, engine: Engine) -> Services:
    access = Access(engine.pool)
    url = settings.database_url
    assert url is not None
    drains = Drains(engine.appender, engine.names, engine.pool)
    services = Services(
        settings=settings, engine=engine, drains=drains, projections=Runner(url), tail=Tail(engine.pool),
        access=access, auth=Authenticator(access, settings.admin_token, settings.trusted_proxies),
        attempts=Attempts(), recent=RecentBatches(), hub=Hub(lambda: services), places=Places(),
        metrics=Metrics(), protocol=Protocol(), duties=_duties(settings, engine, drains),
        schemas=PayloadSchemas(engine.pool),
    )  # fmt: skip
    return services


def _duties(settings: Settings, engine: Engine, drains: Drains) -> Duties:
    backend = Backend(
        engine.pool, engine.appender, engine.names, engine.vault, engine.clock, engine.configuration,
        engine.enqueuer, engine.jobs, engine.queues, drains,
    )  # fmt: skip
    assert settings.database_url is not None
    relay = Relay(settings.database_url, engine.names, engine.vault, engine.appender.submit)
    indexer = Indexer(engine.pool, engine.vault)
    engine.appender.listeners.append(lambda _: indexer.wake())
    standing = standard(backend, grace=settings.grace_seconds)
    duties = {**standing, "relay": relay.run, "search": indexer.run}
    return Duties(Leadership(engine.pool), duties)


def _listen(services: Services) -> None:
    """What this process appends is news to all that follow the log here."""
    services.appender.listeners += [
        services.recent.appended,
        services.metrics.appended,
        lambda _: services.tail.wake(),
        lambda _: services.projections.wake(),
    ]


class Application:
    """The ASGI application. `services` may be given, already running; then there is no lifespan."""

    def __init__(self, settings: Settings, services: Services | None = None) -> None:
        self.settings = settings
        self._services = services
        self._router = router(self._running)
        self._root = ""

    def _running(self) -> Services:
        assert self._services is not None, "the lifespan has not started"
        return self._services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        root = scope.get("root_path")
        if root and scope["path"].startswith(root + root + "/"):
            # The proxy did not take its prefix off, and the server put it on again.
            scope["path"] = scope["path"][len(root) :]
        await self._router(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with running(self.settings) as services:
                self._services = services
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            _log.exception("lifespan_failed")
            kind = "startup" if self._services is None else "shutdown"
            await send({"type": f"lifespan.{kind}.failed", "message": type(error).__name__})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def stop_streams(self) -> None:
        """Say bye to every stream, so that they end before the server waits for them."""
        if self._services is not None:
            self._services.stopping.set()
            self._services.hub.notify()


def create_app(**overrides: Any) -> Application:
    """From the environment, for ASGI servers that take a factory."""
    return Application(Settings.load(**overrides))
