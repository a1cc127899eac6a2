"""The real thing for one test: a database of its own, the duties of `serve`, a worker, in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from .. import logs
from ..broker.registry import Registry, registry
from ..broker.serving import WorkerOptions, make_worker
from ..client import Client
from ..client.sync import SyncClient
from ..embedded import Embedded
from ..settings import Settings
from ..sql import migrate
from ..web.app import running as services_of

_numbers = itertools.count(1)
_PATIENCE = 30.0

_CLOCK = """
create table public.hivelog_test_clock (ahead interval not null);
insert into public.hivelog_test_clock values ('0');
grant select on public.hivelog_test_clock to public;
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$
    select date_trunc('milliseconds', clock_timestamp() + ahead) from public.hivelog_test_clock
$$;
"""


class Clock:
    """The only clock that decides anything: the database's."""

    def __init__(self, url: str) -> None:
        self._url = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_CLOCK)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once. What became due starts within a second of real time."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(
                "update hivelog_test_clock set ahead = ahead + make_interval(secs => %s)", (seconds,)
            )


class Server:
    """`client` works in sync tests; in async ones use `async with hivelog_server.connect() as client`."""

    def __init__(self, settings: Settings, client: SyncClient, clock: Clock) -> None:
        self._settings, self.client, self.clock = settings, client, clock

    @property
    def database_url(self) -> str:
        assert self._settings.database_url is not None
        return self._settings.database_url

    @property
    def redis_url(self) -> str:
        assert self._settings.redis_url is not None
        return self._settings.redis_url

    def connect(self) -> Client:
        """An async client, to be opened."""
        return Client(settings=self._settings)


@contextlib.contextmanager
def running(servers: Embedded, handlers: Registry = registry) -> Iterator[Server]:
    """A fresh, migrated database; everything stopped and the database dropped afterwards."""
    assert servers.redis_url is not None
    logs.as_library()
    with _database(servers) as url:
        migrate.migrate(url)
        clock = Clock(url)
        settings = Settings.load({}, database_url=url, redis_url=servers.redis_url, data=servers.data_dir)
        with contextlib.closing(redis.Redis.from_url(servers.redis_url)) as cache:
            cache.flushdb()
        with _Process(settings, handlers), SyncClient(settings=settings, name="test") as client:
            yield Server(settings, client, clock)


@contextlib.contextmanager
def _database(servers: Embedded) -> Iterator[str]:
    assert servers.database_url is not None
    name = sql.Identifier(text := f"hivelog_testing_{os.getpid()}_{next(_numbers)}")
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(name))
        try:
            yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{text}"))
        finally:
            _drop(connection, name)


def _drop(connection: psycopg.Connection[Any], name: sql.Identifier) -> None:
    for _ in range(100):
        try:
            connection.execute(sql.SQL("drop database {} with (force)").format(name))
            return
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.1)  # autovacuum is at work in it; only a superuser may interrupt that


class _Process:
    """A serve's services and a worker for all queues, on a loop in a thread."""

    def __init__(self, settings: Settings, handlers: Registry) -> None:
        self._settings, self._handlers = settings, handlers
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hivelog server", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise RuntimeError("the server did not start")
        if self._error is not None:
            raise self._error

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)
        self._loop.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with services_of(self._settings) as services:
            queues = [queue.name for queue in await services.names.queues()]
            options = WorkerOptions(modules=(), slots=8, name="testing")
            worker = await make_worker(services.engine, self._handlers, options)
            working = asyncio.create_task(worker.run(queues))
            self._ready.set()
            await self._stop.wait()
            worker.stop()
            await working
