"""The one PostgreSQL (and Valkey) of a bench run, and a database for each contender on it.

BENCH_DATABASE_URL names a server of your own, by a superuser's URL, and then BENCH_REDIS_URL a
Redis that may be flushed. Without them both are started from wheels, in a directory removed after.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from hivelog import embedded
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

# What "default durability" means here; a server that differs is refused, not footnoted.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Server:
    """A running PostgreSQL that databases are made on; `uri` is its maintenance database."""

    def __init__(self, uri: str, redis_url: str) -> None:
        self.uri, self.redis_url = uri, redis_url
        self._made: set[str] = set()

    def url(self, database: str) -> str:
        """The URL of one database of this server."""
        parts = {key: str(value) for key, value in conninfo_to_dict(self.uri).items()}
        user, password = parts.pop("user", ""), parts.pop("password", None)
        parts.pop("dbname", None)
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{login}@/{quote(database)}?{urlencode(parts)}"

    def fresh(self, database: str) -> str:
        """Drop and make a database, then a checkpoint: no run pays for what the last one left."""
        name = sql.Identifier(database)
        with psycopg.connect(self.uri, autocommit=True) as conn:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(name))
            conn.execute(sql.SQL("create database {}").format(name))
            conn.execute("checkpoint")
        self._made.add(database)
        return self.url(database)

    def checkpoint(self) -> None:
        with psycopg.connect(self.uri, autocommit=True) as conn:
            conn.execute("checkpoint")

    def drop_all(self) -> None:
        with psycopg.connect(self.uri, autocommit=True) as conn:
            for database in self._made:
                name = sql.Identifier(database)
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        self._made.clear()

    def setting(self, name: str) -> str:
        with psycopg.connect(self.uri) as conn:
            row = conn.execute("select current_setting(%s)", (name,)).fetchone()
        return str(row[0]) if row else "unknown"

    def require_durable(self) -> None:
        """Raises SystemExit when the server's durability is weaker than PostgreSQL's default."""
        for name, wanted in DURABLE.items():
            if (found := self.setting(name)) != wanted:
                raise SystemExit(f"bench: {name} must be {wanted}, this server has {found}")


@contextmanager
def running_server() -> Iterator[Server]:
    """Yields the server, checked for durability; what it made is dropped at the end."""
    if given := os.environ.get("BENCH_DATABASE_URL"):
        server = Server(given, os.environ["BENCH_REDIS_URL"])
        server.require_durable()
        try:
            yield server
        finally:
            server.drop_all()
        return
    directory = Path(tempfile.mkdtemp(prefix="hivelog-bench-"))
    try:
        with embedded.start(directory) as servers:
            assert servers.superuser_url
            assert servers.redis_url
            server = Server(servers.superuser_url, servers.redis_url)
            server.require_durable()
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)
