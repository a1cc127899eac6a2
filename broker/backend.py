"""All that one process needs to work on the log: connections, caches and the commands on top of them.

    async with Backend.open(url) as backend:
        await backend.enqueuer.enqueue("default", "mail", {"to": "ann"}, actor="user:ann")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from ..events.appender import Appender
from ..events.log import Log
from ..events.names import Names
from ..events.pool import Pool, make_pool
from ..events.vault import Vault
from .clock import DatabaseClock
from .configuration import Configuration, SystemConfig
from .drain import Drains
from .enqueue import Enqueuer
from .job_commands import JobCommands
from .queue_commands import QueueCommands


class Backend(Struct, frozen=True, eq=False):
    """One of each, sharing a pool and the process's one appender."""

    pool: Pool
    appender: Appender
    names: Names
    vault: Vault
    clock: DatabaseClock
    configuration: Configuration
    enqueuer: Enqueuer
    jobs: JobCommands
    queues: QueueCommands
    drains: Drains

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        vault: Vault | None = None,
        initial: SystemConfig | None = None,
        pool_size: int = 4,
    ) -> AsyncIterator[Backend]:
        """Connect; on the way out write what waits and close. Raises DatabaseUnavailable."""
        pool = make_pool(url, size=pool_size)
        appender = Appender(Log(url))
        await pool.open()
        try:
            await appender.start()
            try:
                backend = cls.over(pool, appender, vault or Vault(None), initial)
                try:
                    yield backend
                finally:
                    await backend.drains.stop()
                    await backend.enqueuer.bulks.stop()
            finally:
                await appender.stop()
        finally:
            await pool.close()

    @classmethod
    def over(
        cls, pool: Pool, appender: Appender, vault: Vault, initial: SystemConfig | None = None
    ) -> Backend:
        """Over a pool and an appender that somebody else opens and closes."""
        names, clock = Names(pool), DatabaseClock(pool)
        configuration = Configuration(pool, appender, names, initial)
        return cls(
            pool, appender, names, vault, clock, configuration,
            Enqueuer(appender, names, pool, vault, configuration, clock),
            JobCommands(appender, names, pool, vault, configuration),
            QueueCommands(appender, names, pool, vault, configuration),
            Drains(appender, names, pool),
        )  # fmt: skip
