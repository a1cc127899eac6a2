"""The parts that every process of ours has: connections, the appender, what it feeds, and the commands.

    async with Engine(settings, name="serve") as engine:
        await engine.enqueuer.enqueue("reports", "monthly", {}, actor="user:ann")

`serve` adds the API and leader duties, a worker adds its slots, `Client` is this and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ..events import epoch, keyfile
from ..events.appender import Appender
from ..events.log import Log
from ..events.names import Names
from ..events.pool import make_pool
from ..events.vault import Vault
from ..settings import Settings
from .announcements import Announcer
from .claims import Claims
from .clock import DatabaseClock
from .configuration import Configuration, SystemConfig
from .connection import Redis
from .enqueue import Enqueuer
from .feed import Feeder
from .job_commands import JobCommands
from .queue_commands import QueueCommands
from .scale_commands import ScaleCommands
from .scales import Scales
from .sessions import Sessions

_FULL = 50_000  # rows that may wait for the log


class Engine:
    """Opened as a context manager. Raises DatabaseUnavailable, KeyMissing, psycopg errors at the start."""

    vault: Vault
    configuration: Configuration
    enqueuer: Enqueuer
    jobs: JobCommands
    queues: QueueCommands
    scales: ScaleCommands

    def __init__(self, settings: Settings, *, name: str, pool_size: int = 4) -> None:
        assert settings.database_url is not None, "resolve embedded servers first"
        assert settings.redis_url is not None, "resolve embedded servers first"
        url = settings.database_url
        self.settings = settings
        self.pool = make_pool(url, name=f"hivelog {name}", size=pool_size)
        self.names = Names(self.pool)
        self.clock = DatabaseClock(self.pool)
        self.redis = Redis(settings.redis_url)
        log = Log(url, application_name=f"hivelog {name} append")
        log.check_epoch = self._epoch
        self.memory = log.memory
        self._known_epoch = 0
        # Called when the log is in another epoch: what was known by its numbers and positions is void.
        self.new_epoch: list[Callable[[], None]] = [self.names.forget]
        self.feeder = Feeder(self.redis, self.pool, self.memory)
        self.claims = Claims(self.redis, self.pool, self.feeder)
        self.appender = Appender(log, [self.feeder.appended], max_waiting=_FULL)
        self.feeder.on_ahead(self.appender.verify)
        self.sessions = Sessions(
            self.appender, self.names, url,
            heartbeat=settings.heartbeat_seconds, dead_after=settings.dead_after_seconds,
        )  # fmt: skip
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        """In the order of need; closing goes backwards, so the feeder outlives the appender."""
        settings = self.settings
        await self.pool.open()
        stack.push_async_callback(self.pool.close)
        async with self.pool.connection() as connection:
            keyring = await keyfile.open_keyring(
                connection, settings.encryption_keys, enabled=settings.encryption_enabled, data=settings.data
            )
            # The log's name, before the feeder may bring Redis to its head: what Redis knew is evidence.
            await epoch.check(connection, self.memory)
        self.vault = Vault(keyring, encrypt=settings.encryption_enabled)
        await self.names.refresh()
        await self.clock.refresh()
        stack.push_async_callback(self.redis.close)
        await self.feeder.start()
        stack.push_async_callback(self.feeder.stop)
        await self.appender.start()
        stack.push_async_callback(self.appender.stop)
        stack.push_async_callback(self.sessions.close)
        self._commands()
        if settings.encryption_enabled:
            await self.configuration.encryption_is_on()

    def saw(self, epoch: int, position: int) -> None:
        """The log was there once, by what this process itself has read."""
        self.memory.saw(epoch, position)
        self.appender.verify()

    async def _epoch(self) -> int:
        """The epoch of the log as it is now. A new one makes void what its numbers meant before."""
        await self.feeder.checkpoint()  # before the head is read: what Redis knows by then is in the log
        async with self.pool.connection() as connection:
            found = await epoch.check(connection, self.memory)
            if isinstance(found, epoch.Same) and found.epoch == self._known_epoch:
                return found.epoch
            for forget in self.new_epoch:
                forget()
            if self.vault.keys is not None:
                await self.vault.keys.number(connection)
            actor = await self.names.actor_id("system")
            self._known_epoch = await epoch.ensure(self.appender.log, connection, actor)
        return self._known_epoch

    def _commands(self) -> None:
        initial = SystemConfig(
            retention_days=self.settings.retention_days, max_message_size=self.settings.max_message_size
        )
        appender, names, pool, vault = self.appender, self.names, self.pool, self.vault
        self.configuration = Configuration(pool, appender, names, initial)
        self.enqueuer = Enqueuer(
            appender, names, pool, vault, self.configuration, self.clock,
            announcer=Announcer(self.redis, self.feeder),
        )  # fmt: skip
        self.jobs = JobCommands(appender, names, pool, vault, self.configuration)
        self.queues = QueueCommands(appender, names, pool, vault, self.configuration)
        self.scales = ScaleCommands(Scales(appender, names, pool), pool)
