"""A log whose time is moved by hand, and retention run over it as the leader does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import psycopg
from hivelog.events import types
from hivelog.events.batch import Part, Record
from hivelog.events.findings import Report
from hivelog.events.names import SYSTEM_STREAM
from hivelog.events.pool import make_pool
from hivelog.events.retention import Done, Retention
from hivelog.events.vault import Vault
from hivelog.events.verify import Verifier
from hivelog.projections import checkpoint
from hivelog.projections.checkpoint import Step
from hivelog.projections.definitions import named
from hivelog.projections.diff import diff
from hivelog.projections.search import Indexer

from .log_writer import LogWriter, end
from .sealed_log import opened, ring, seal
from .simulated_clock import Clock

DAY = 86_400.0
SEED = b"r" * 32


@dataclass
class World:
    """`work` writes jobs that end; `settle` seals and folds all of it; `cut` begins a new partition."""

    url: str
    clock: Clock
    log: LogWriter
    keys: Any = field(default_factory=lambda: ring(SEED))

    def work(self, jobs: int, *, ended: bool = True, queue: str = "q") -> list[UUID]:
        session = self.log.session("w", [queue])
        made = []
        for _ in range(jobs):
            job = self.log.enqueue(queue, correlation="c")
            self.log.append(Part(enqueues=[job]))
            made.append(UUID(bytes=job.job))
            if ended:
                started = self.log.append(Part(starts=[self.log.start(session, queue, job.job)])).started
                self.log.append(Part(ends=[end(started[0][0], started[0][1], "completed", b"1")]))
        return made

    async def cut(self) -> None:
        """Where a seal ends, so that nothing is carried for its sake."""
        await self.settle()
        assert self.cut_anywhere()

    def cut_anywhere(self) -> bool:
        return bool(self.log.one("select hivelog.cut_partition('0')"))

    async def settle(self) -> None:
        await seal(self.url, self.keys)
        connection = await checkpoint.connect(self.url)
        for at in await checkpoint.checkpoints(connection):
            while await checkpoint.advance(connection, named(at.name), at) is Step.MOVED:
                pass
        await connection.close()
        pool = make_pool(self.url)
        await pool.open()
        await Indexer(pool, Vault(None)).catch_up()
        await pool.close()

    async def submit(self, part: Part) -> None:
        """As the leader appends, with a sealer beside it."""
        self.log.append(part)
        await seal(self.url, self.keys)

    async def announce(self, edge: int) -> None:
        """What a run says before it begins."""
        data = types.ActionStarted("a", "retention", edge)
        record = Record(str(UUID(bytes=SYSTEM_STREAM)), "action_started", self.log.actor, data=raw(data))
        await self.submit(Part(records=[record]))

    def as_role(self, role: str) -> str:
        """The database's URL, for a connection with nothing but the rights of a role."""
        return f"{self.url}{'&' if '?' in self.url else '?'}options={quote(f'-c role={role}')}"

    def retention(self, archive: Path | None = None, role: str | None = None) -> Retention:
        url = self.url if role is None else self.as_role(role)
        return Retention(url, archive, self.submit, actor=self.log.actor)

    async def run(self, days: int = 30, archive: Path | None = None, role: str | None = None) -> Done:
        return await self.retention(archive, role).run(days)

    async def verified(self) -> Report:
        async with opened(self.url) as pool:
            return await Verifier(pool, [self.keys.first.public]).verify()

    async def differences(self) -> list[Any]:
        connection = await checkpoint.connect(self.url)
        try:
            return (await diff(connection)).differences
        finally:
            await connection.close()

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.log.conn.execute(query, values).fetchall()

    def events(self, jobs: list[UUID]) -> list[Any]:
        return self.rows("select e from hivelog.events e where stream = any(%s) order by position", jobs)

    @property
    def head(self) -> int:
        return int(self.log.one("select max(position) from hivelog.batches"))

    def tables(self) -> list[str]:
        query = "select relname from pg_class where relname ~ '^events_(gone|kept)' and relkind = 'r' order by 1"
        return [name for (name,) in self.rows(query)]


def raw(data: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(types.encode(data) or b"{}")


@contextlib.contextmanager
def world(url: str) -> Iterator[World]:
    clock = Clock(url)
    clock.install()
    log = LogWriter(url)
    try:
        yield World(url, clock, log)
    finally:
        log.close()


@contextlib.contextmanager
def failing(url: str, function: str) -> Iterator[None]:
    """As if the process died when it called one of the functions: it is gone for the time being."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"alter function hivelog.{function} rename to absent")
        try:
            yield
        finally:
            conn.execute(f"alter function hivelog.absent rename to {function}")
