"""A supervisor: keeps this host's share of the wanted worker processes running.

Once a second it says that it lives, reads which others do and how many processes each queue should have, and
computes its share, as the others do theirs. One of them, the leader, also decides the numbers. With the
database away it keeps what it has. Who dies is not counted after LEASE seconds, and the others run its share.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final
from uuid import uuid4

import msgspec
import psycopg
import structlog
from msgspec import Struct
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from .. import sql
from ..events import times
from ..events.appender import Appender
from ..events.batch import Part, Record
from ..events.errors import LogError
from ..events.log import milliseconds
from ..events.names import Names
from ..events.pool import Pool
from ..stopping import stop_tasks
from .scales import LEASE, Scale, Scales, Supervisor
from .supervisor_leader import Leader
from .supervisor_restart import Crash, Limits, worn_out
from .supervisor_share import Member, allot
from .supervisor_workers import WorkerProcess, WorkerProcesses

_log = structlog.get_logger(__name__)

_EVERY: Final = 1.0
# Seconds that we must have been among the others before we start more than we have: of those that begin at
# the same moment each sees the others at its second beat. After an outage it may take longer.
_AT_START: Final = 0.9
_AFTER_OUTAGE: Final = 3.0
_TROUBLE: Final = (LogError, psycopg.Error, PoolTimeout)


class Options(Struct, frozen=True, kw_only=True):
    """What `hivelog supervise` is told. `queues` None: all; `slots`: jobs that a worker runs at once."""

    name: str
    host: str
    pid: int
    queues: frozenset[str] | None = None
    slots: int = 1
    limit: int | None = None  # processes on this host
    limits: Limits = Limits()


class Supervising:
    """`run` until cancelled; `leave` afterwards, when the workers are gone."""

    def __init__(
        self, appender: Appender, names: Names, pool: Pool, workers: WorkerProcesses, options: Options
    ) -> None:
        self._appender, self._names, self._pool = appender, names, pool
        self._workers, self._options = workers, options
        self._id = str(uuid4())
        self._scales = Scales(appender, names, pool)
        self._leader = Leader(pool, self._scales, options.slots)
        self._versions: dict[str, int] = {}  # of the queues' streams, up to where orders are carried out
        self._beat_at: float | None = None
        self._settled_at = float("inf")

    async def run(self) -> None:
        """Follow the log, and keep the processes."""
        keeping = asyncio.create_task(self._workers.keep(), name="keep")
        try:
            while True:
                try:
                    await self.tick()
                except _TROUBLE as error:
                    _log.warning("supervisor_interrupted", error=str(error))
                except Exception:
                    _log.exception("supervisor_failed")  # the workers must not end for it
                await asyncio.sleep(_EVERY)
        finally:
            await stop_tasks(keeping)

    async def leave(self) -> None:
        """Let the others have our share at once."""
        with contextlib.suppress(*_TROUBLE):
            async with asyncio.timeout(5):
                await self._bury()
                await self._leader.leave()
                async with self._pool.connection() as connection:
                    await connection.execute(sql.load("supervisor_leave"), {"id": self._id})

    async def tick(self) -> None:
        """One look at everything. Raises psycopg's errors and LogError."""
        others = await self._beat()
        scales = await self._scales.all()
        await self._look_at_workers()
        await self._carry_out(scales)
        members = [each.member for each in (self._me(), *others)]
        if self._settled:
            scales = await self._leader.decide(scales, members)
        self._take_share(scales, members)
        self._recycle()
        await self._bury()

    # -- among the others --------------------------------------------------------------------------------

    def _me(self) -> Supervisor:
        o = self._options
        kept, crashes = self._workers.processes(), self._workers.crashes()
        return Supervisor(self._id, o.name, o.host, o.pid, o.queues, o.limit, kept, crashes)

    async def _beat(self) -> list[Supervisor]:
        me = self._me()
        values = {
            "id": me.id, "name": me.name, "host": me.host, "pid": me.pid, "process_limit": me.limit,
            "queues": None if me.queues is None else sorted(me.queues), "processes": Jsonb(me.processes),
            "crashes": Jsonb(msgspec.to_builtins(me.crashes)),
            "lease": LEASE,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(sql.load("supervisor_beat"), values)).fetchall()
        now = time.monotonic()
        if self._beat_at is None:
            self._settled_at = now + _AT_START
        elif now - self._beat_at > LEASE:  # so long nobody counted us, or there was nobody to be seen
            self._settled_at = now + _AFTER_OUTAGE
        self._beat_at = now
        return [Supervisor.of(row) for row in rows]

    @property
    def _settled(self) -> bool:
        return time.monotonic() >= self._settled_at

    def _take_share(self, scales: list[Scale], members: list[Member]) -> None:
        wishes = [scale.wish for scale in scales if scale.scaled is not None]
        share = allot(wishes, members)[self._id]
        if not self._settled:
            share &= self._workers.wanted
        if share != self._workers.wanted:
            _log.info("share", processes=dict(share), supervisors=len(members))
        self._workers.wanted = share

    async def _carry_out(self, scales: list[Scale]) -> None:
        """Stop the workers that somebody wants to be stopped."""
        for scale in scales:
            seen = self._versions.setdefault(scale.queue, scale.version)
            if scale.version == seen:
                continue
            for order in await self._scales.orders(scale, seen):
                if order.session is not None and (worker := self._worker_of(order.session)) is not None:
                    self._workers.stop(worker, f"stopped by {order.actor}")
            self._versions[scale.queue] = scale.version

    def _worker_of(self, session: str) -> WorkerProcess | None:
        for worker in self._workers.all:
            if worker.leaving is None and worker.session == session:
                return worker
        return None

    # -- the processes -----------------------------------------------------------------------------------

    async def _look_at_workers(self) -> None:
        """What the database knows of our processes."""
        workers = {worker.pid: worker for worker in self._workers.all}
        rows = await self._read_sessions(list(workers), [worker.name for worker in workers.values()])
        for pid, session, _, memory, busy, jobs in rows:
            worker = workers[pid]
            worker.session, worker.busy, worker.memory_mib, worker.jobs = str(session), busy, memory, jobs

    async def _read_sessions(self, pids: list[int], names: list[str]) -> list[Any]:
        if not pids:
            return []
        values = {"host": self._options.host, "pids": pids, "names": names}
        async with self._pool.connection() as connection:
            return await (await connection.execute(sql.load("supervised_sessions"), values)).fetchall()

    def _recycle(self) -> None:
        """One of a queue at a time: another takes its place while it finishes what it runs."""
        for queue in list(self._workers.wanted):
            if any(w.queue == queue and w.leaving is not None for w in self._workers.all):
                continue
            for worker in self._workers.of(queue):
                if why := worn_out(self._options.limits, worker.memory_mib, worker.jobs):
                    self._workers.stop(worker, why)
                    break

    async def _bury(self) -> None:
        """The session of a process that is gone ends now: its jobs need not wait for dead-after."""
        while self._workers.crashed:
            await self._end_session(self._workers.crashed[0])
            self._workers.crashed.pop(0)

    async def _end_session(self, crash: Crash) -> None:
        for _, session, beat, *_ in await self._read_sessions([crash.pid], [crash.name]):
            record = Record(
                stream=str(session), event="worker_lost", cutoff=times.to_text(milliseconds(beat)),
                actor=await self._names.actor_id(f"supervisor:{self._options.name}"),
                data=msgspec.Raw(msgspec.json.encode({"reason": crash.how})),
            )  # fmt: skip
            await self._appender.submit(Part(records=[record]))
            _log.info("worker_session_ended", name=crash.name, why=crash.how)
