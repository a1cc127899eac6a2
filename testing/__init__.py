"""Tests of programs that use Hivelog: two pytest fixtures, there as soon as Hivelog is installed.

`hivelog_inline`: no servers. Whatever `Client()` or `SyncClient()` the tested code opens keeps its jobs in
memory, and `drain()` runs them, in the order a worker would, with the real handlers, encoding and retries.

    def test_signing_up_sends_a_mail(hivelog_inline):
        sign_up("ann@example.org")                       # enqueues through hivelog.SyncClient()
        (mail,) = hivelog_inline.drain()
        assert mail.status == "completed"

In async tests: `await hivelog_inline.drain_async()`. A job that waits for its time, or for its next try, is
left alone unless asked: `drain(with_scheduled=True)` lets the time pass. `connection=` enqueues at once
here: there is no transaction to wait for. Clients answer as for real, also `stats`, `events` and their
`drain(queue)`; only `failures` need the server.

`hivelog_server`: the real thing, in a few seconds: PostgreSQL and Valkey from wheels (the extra `embedded`),
migrated, with the duties of `serve` and a worker, all in a thread of this process. DATABASE_URL and
REDIS_URL point to it, so the tested code needs no change.

    def test_the_report_is_made(hivelog_server):
        job = hivelog_server.client.enqueue("reports", "monthly", {"user": "u1"}, delay=3600)
        hivelog_server.clock.advance(3600)
        assert hivelog_server.client.wait(job.id, timeout=10).status == "completed"

Both run the handlers that are registered (`@handler`) by the time they run: import the module that has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..embedded import Embedded
    from .inline import Inline
    from .server import Server

__all__ = ["hivelog_inline", "hivelog_server", "hivelog_servers"]

# Nothing of Hivelog is imported before a test asks: pytest loads this file in every run.


@pytest.fixture
def hivelog_inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inline]:
    """Jobs in memory, run by `drain()`."""
    from ..client import Client
    from .inline import Inline

    inline = Inline()
    monkeypatch.setattr(Client, "_make_backend", lambda *_: inline.backend)
    yield inline
    inline.close()


@pytest.fixture(scope="session")
def hivelog_servers() -> Iterator[Embedded]:
    """A PostgreSQL and a Valkey for this test run; in memory, without fsync: no test cuts the power."""
    from .. import embedded
    from .memory import memory

    parameters = {"fsync": "off", "full_page_writes": "off"}
    with embedded.temporary(parameters=parameters, parent=memory()) as servers:
        yield servers


@pytest.fixture
def hivelog_server(hivelog_servers: Embedded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Everything, running, on a database of this test's own."""
    from .server import running

    with running(hivelog_servers) as server:
        monkeypatch.setenv("DATABASE_URL", server.database_url)
        monkeypatch.setenv("REDIS_URL", server.redis_url)
        yield server
