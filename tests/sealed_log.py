"""A log with some history, sealed; and a superuser who does what nobody should."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hivelog.events import canonical
from hivelog.events.batch import Part
from hivelog.events.pool import Pool, make_pool
from hivelog.events.sealer import Sealer
from hivelog.events.signing import SigningRing

from .log_writer import LogWriter, end


def ring(*seeds: bytes) -> SigningRing:
    return SigningRing(seeds or (os.urandom(32),))


def write_history(url: str, jobs: int = 20) -> int:
    """Jobs that ended, in batches; answers the head."""
    writer = LogWriter(url)
    try:
        session = writer.session("w", ["q"])
        for number in range(jobs):
            job = writer.enqueue("q", correlation=f"order-{number}" if number % 3 else None)
            writer.append(Part(enqueues=[job]))
            started = writer.append(Part(starts=[writer.start(session, "q", job.job)])).started
            (name, token, _, _) = started[0]
            outcome = end(name, token, "completed", b"1") if number % 2 else end(
                name, token, "failed", b"boom", cause="error", error_type="ValueError", template="boom"
            )
            head = writer.append(Part(ends=[outcome])).head
        return head
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Pool]:
    pool = make_pool(url)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def seal(
    url: str, keys: SigningRing, *, largest: int = 16, layout: int = canonical.FORMAT
) -> int:
    async with opened(url) as pool:
        return await Sealer(pool, keys, largest=largest, layout=layout).catch_up()


@contextlib.contextmanager
def superuser(servers: Any, database: str) -> Iterator[psycopg.Connection]:
    """One who has dropped every guard: triggers are gone."""
    if servers.superuser_url is None:
        pytest.skip("needs a superuser")
    url = urlunsplit(urlsplit(servers.superuser_url)._replace(path=urlsplit(database).path))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop trigger if exists append_only on hivelog.events")
        connection.execute("drop trigger if exists append_only on hivelog.seals")
        connection.execute("drop trigger if exists append_only on hivelog.seal_keys")
        yield connection
