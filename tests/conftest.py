"""Real servers for every test: a PostgreSQL and a Valkey of this test run's own.

TEST_DATABASE_URL and TEST_REDIS_URL put the tests on servers that run already, of other versions;
the database user needs CREATEDB, and CREATEROLE for the tests of roles.

`database`   URL of a fresh, migrated database; dropped afterwards
`empty_database`   the same without a schema
`redis_url`  URL of an empty Redis database, for this test alone
`appender`   a started appender on `database`
`clock`      moves `hivelog.now()` of `database`: `clock.advance(seconds)`
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import psycopg
import pytest
import redis
import structlog
from hivelog import embedded
from hivelog.events import ids
from hivelog.events.appender import Appender
from hivelog.events.log import Log
from hivelog.sql import migrate
from hivelog.testing.memory import memory
from psycopg import sql
from simulated_clock import Clock

_numbers = itertools.count(1)
# A deadline for one example would time the machine.
hypothesis.settings.register_profile("hivelog", deadline=None)
hypothesis.settings.load_profile("hivelog")
# Files with tests of more than five seconds, the longest first.
_LONG = (
    "test_chaos", "test_invariants", "test_degraded", "test_supervisor", "test_time_travel", "test_start", "test_read_only",
    "test_rolling_restart", "test_cli", "test_projections", "test_redis_faults", "test_poison", "test_quiet", "test_embedded",
    "test_worker_faults", "test_series", "test_put_back", "test_redis_killed", "test_supervisor_workers", "test_feed",
    "test_failure_spans", "test_previous_version", "test_reports",
)  # fmt: skip
_ROOM = 4 << 30  # bytes: far more than all test processes of a run have used together


@dataclass
class Servers:
    """URLs of the run's servers; `admin_url` may create databases."""

    admin_url: str
    redis_url: str
    superuser_url: str | None


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make schema` records instead of comparing."""
    parser.addoption("--record-schema", action="store_true", help="rewrite sql/schema.txt")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that in the end no process waits for another's long test."""
    places = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Started once a process; without fsync and in memory, since no test here cuts the power."""
    database_url, redis_url = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    with embedded.temporary(
        with_postgres=database_url is None,
        with_valkey=redis_url is None,
        parameters={"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"},
        parent=memory(_ROOM),
    ) as own:
        admin, cache = database_url or own.database_url, redis_url or own.redis_url
        assert admin is not None
        assert cache is not None
        yield Servers(admin, cache, own.superuser_url)


def in_database(url: str, name: str) -> str:
    """The same server's URL, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


@contextlib.contextmanager
def new_database(servers: Servers, template: str = "template0") -> Iterator[str]:
    """A database of its own name, also between parallel test processes."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    name = f"hivelog_test_{os.getpid()}_{worker}_{next(_numbers)}"
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    create = sql.SQL("create database {} template {} strategy file_copy").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(servers.admin_url, autocommit=True) as conn:
        conn.execute(create)
    try:
        yield in_database(servers.admin_url, name)
    finally:
        with psycopg.connect(servers.admin_url, autocommit=True) as conn:
            for _ in range(100):
                try:
                    conn.execute(drop)
                    break
                except psycopg.errors.InsufficientPrivilege:
                    time.sleep(0.1)  # autovacuum is at work in it; only a superuser may interrupt that


@pytest.fixture(scope="session")
def template(servers: Servers) -> Iterator[str]:
    """Name of a database that was migrated once; copying it takes some 20 ms."""
    with new_database(servers) as url:
        migrate.migrate(url)
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database(servers: Servers, template: str) -> Iterator[str]:
    """URL of a fresh, migrated database."""
    with new_database(servers, template) as url:
        yield url


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[str]:
    """URL of a fresh database without a schema."""
    with new_database(servers) as url:
        yield url


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """URL of an empty Redis database. Parallel test processes have a server each, unless one was
    given: then a database number each."""
    url = servers.redis_url
    if "TEST_REDIS_URL" in os.environ:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        url = in_database(url, str(int(worker) % 16))
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
async def appender(database: str) -> AsyncIterator[Appender]:
    appender = Appender(Log(database))
    await appender.start()
    yield appender
    await appender.stop()


@pytest.fixture
def clock(database: str) -> Clock:
    """Time of `database`, moved by hand."""
    clock = Clock(database)
    clock.install()
    return clock


@pytest.fixture(autouse=True, scope="session")
def loggers_follow_the_setup() -> Iterator[None]:
    """A logger that is kept from its first use on says nothing to a test whose logging was set up later."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            structlog, "configure",
            lambda *args, **settings: configure(*args, **{**settings, "cache_logger_on_first_use": False}),
        )  # fmt: skip
        yield


@pytest.fixture(autouse=True)
def logging_of_its_own(loggers_follow_the_setup: None) -> Iterator[None]:
    """What a command set up goes with its test: its lines went to a stream that is closed by then."""
    root, config = logging.getLogger(), structlog.get_config() if structlog.is_configured() else None
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if config is None:
        structlog.reset_defaults()
    else:
        structlog.configure(**config)


@pytest.fixture(autouse=True)
def ids_of_now() -> Iterator[None]:
    """A process never mints an id older than its last: after a test that moved the time ahead, the next would
    get jobs of the future."""
    yield
    ids._process._last = 0
    ids.correct_clock(0)
