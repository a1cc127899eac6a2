"""`connection=`: the job exists if, and only if, the caller's transaction commits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hivelog
import psycopg
import pytest
from client_world import World, opened, relaying
from hivelog import SyncClient
from psycopg.rows import dict_row
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

PAYLOAD = {"user": "Zoë %s :name", "n": [1, None, 2.5]}


@pytest.fixture
async def world(database: str, redis_url: str) -> AsyncIterator[World]:
    async with opened(database, redis_url) as world:
        yield world


@pytest.fixture
def sync_client(world: World) -> Iterator[SyncClient]:
    with SyncClient(settings=world.settings) as client:
        yield client


def _sqlalchemy_url(database: str) -> Any:
    return make_url(database).set(drivername="postgresql+psycopg")


class Rollback(Exception):
    pass


@contextlib.contextmanager
def psycopg_connection(database: str) -> Iterator[Any]:
    with psycopg.connect(database) as conn:
        yield conn


@contextlib.contextmanager
def psycopg_of_dicts(database: str) -> Iterator[Any]:
    with psycopg.connect(database, row_factory=dict_row) as conn:
        yield conn


@contextlib.contextmanager
def psycopg_cursor(database: str) -> Iterator[Any]:
    with psycopg.connect(database) as conn, conn.cursor(row_factory=dict_row) as cursor:
        yield cursor


@contextlib.contextmanager
def sqlalchemy_connection(database: str) -> Iterator[Any]:
    engine = create_engine(_sqlalchemy_url(database))
    with contextlib.closing(engine.connect()) as conn, conn.begin():
        yield conn
    engine.dispose()


@contextlib.contextmanager
def sqlalchemy_session(database: str) -> Iterator[Any]:
    engine = create_engine(_sqlalchemy_url(database))
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


@contextlib.contextmanager
def django_connection(database: str) -> Iterator[Any]:
    connection = _django(database)
    from django.db import transaction

    try:
        with transaction.atomic():
            yield connection
    finally:
        connection.close()


def _django(database: str) -> Any:
    """Django's default connection, on this test's database; no project, no settings module."""
    import django
    from django.conf import settings
    from django.db import connection, connections

    parts = psycopg.conninfo.conninfo_to_dict(database)
    config = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""), "HOST": parts.get("host", ""), "PORT": parts.get("port", ""),
    }  # fmt: skip
    if not settings.configured:
        settings.configure(DATABASES={"default": config})
        django.setup()
    connections["default"].settings_dict.update(config)
    return connection


SYNC = [
    psycopg_connection, psycopg_of_dicts, psycopg_cursor, sqlalchemy_connection, sqlalchemy_session,
    django_connection,
]  # fmt: skip


@contextlib.asynccontextmanager
async def async_psycopg(database: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(database) as conn:
        yield conn


@contextlib.asynccontextmanager
async def async_psycopg_cursor(database: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(database) as conn, conn.cursor() as cursor:
        yield cursor


@contextlib.asynccontextmanager
async def async_sqlalchemy_connection(database: str) -> AsyncIterator[Any]:
    engine = create_async_engine(_sqlalchemy_url(database))
    async with engine.begin() as conn:
        yield conn
    await engine.dispose()


@contextlib.asynccontextmanager
async def async_sqlalchemy_session(database: str) -> AsyncIterator[Any]:
    engine = create_async_engine(_sqlalchemy_url(database))
    async with AsyncSession(engine) as session, session.begin():
        yield session
    await engine.dispose()


ASYNC = [async_psycopg, async_psycopg_cursor, async_sqlalchemy_connection, async_sqlalchemy_session]


@pytest.mark.parametrize("connect", SYNC)
def test_sync_connections_commit_and_roll_back(
    connect: Any, world: World, sync_client: SyncClient, database: str
) -> None:
    with connect(database) as connection:
        job = sync_client.enqueue("reports", "monthly", PAYLOAD, priority=7, connection=connection)
        assert (job.status, job.position, job.metadata.priority) == ("pending", None, 7)
        with pytest.raises(hivelog.NotFound):
            sync_client.job(job.id)
    waiting = sync_client.job(job.id)
    assert (waiting.status, waiting.position, waiting.payload) == ("pending", None, PAYLOAD)
    with contextlib.suppress(Rollback), connect(database) as connection:
        gone = sync_client.enqueue("reports", "monthly", PAYLOAD, connection=connection)
        raise Rollback
    with pytest.raises(hivelog.NotFound):
        sync_client.job(gone.id)


@pytest.mark.parametrize("connect", ASYNC)
async def test_async_connections_commit_and_roll_back(connect: Any, world: World, database: str) -> None:
    async with connect(database) as connection:
        job = await world.client.enqueue("reports", "monthly", PAYLOAD, tags=["t"], connection=connection)
        assert (job.status, job.position, job.metadata.tags) == ("pending", None, ("t",))
    assert (await world.client.job(job.id)).payload == PAYLOAD
    with contextlib.suppress(Rollback):
        async with connect(database) as connection:
            gone = await world.client.enqueue("reports", "monthly", PAYLOAD, connection=connection)
            raise Rollback
    with pytest.raises(hivelog.NotFound):
        await world.client.job(gone.id)


async def test_the_async_client_takes_sync_connections_too(world: World, database: str) -> None:
    with psycopg.connect(database) as connection:
        job = await world.client.enqueue("default", "echo", 5, connection=connection)
    waiting = asyncio.create_task(world.client.wait(job.id, timeout=20))
    async with relaying(world.settings), world.working():
        assert (await waiting).result == 5


def test_the_sync_client_refuses_async_connections(world: World, sync_client: SyncClient) -> None:
    class AsyncConnection: ...

    with pytest.raises(TypeError, match="async Client"):
        sync_client.enqueue("default", "echo", 5, connection=AsyncConnection())
    with pytest.raises(TypeError, match="psycopg, SQLAlchemy or Django"):
        sync_client.enqueue("default", "echo", 5, connection=object())


@pytest.mark.parametrize("connect", SYNC)
@pytest.mark.parametrize(
    ("queue", "options", "error"),
    [
        ("nowhere", {}, hivelog.UnknownQueue),
        ("default", {"priority": 5000}, hivelog.InvalidField),
    ],
)
def test_refusals_are_of_the_same_family(
    connect: Any, queue: str, options: Any, error: type[Exception], sync_client: SyncClient, database: str
) -> None:
    with pytest.raises(error) as caught, connect(database) as connection:
        sync_client.enqueue(queue, "echo", 5, connection=connection, **options)
    assert "hivelog" not in str(caught.value).lower()


def test_an_idempotency_key_holds_across_transactions(sync_client: SyncClient, database: str) -> None:
    found = []
    for _ in range(2):
        with psycopg.connect(database) as connection:
            found.append(
                sync_client.enqueue("default", "echo", 5, idempotency_key="k", connection=connection).id
            )
    assert found[0] == found[1]
    with pytest.raises(hivelog.IdempotencyMismatch), psycopg.connect(database) as connection:
        sync_client.enqueue("default", "echo", 6, idempotency_key="k", connection=connection)
