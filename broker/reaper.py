"""Frees the work of dead workers and ends what runs past its time. A leader duty.

It counts only time that it observed (`watch`): while the database was away nobody could beat, so nobody is
declared dead for it. Under the log's lock `lost` is refused for a session that has beaten meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
import structlog
from msgspec import Struct
from psycopg_pool import PoolTimeout

from .. import sql
from ..events import ids, times
from ..events.appender import Appender
from ..events.batch import End, Part, Record
from ..events.errors import LogError
from ..events.job import Decision, EndAttempt, JobState, decide
from ..events.log import milliseconds
from ..events.names import Names
from ..events.pool import Pool
from .configuration import Configuration, SystemConfig
from .jobs import end_of, load
from .watch import Watch

_log = structlog.get_logger(__name__)

INTERVAL: Final = 1.0
_CHUNK: Final = 250
# Seconds between looks for leases of sessions that are over: a session hardly ever leaves one, and the look
# goes through the whole table, which beside an old snapshot is mostly dead rows.
_ORPHANS: Final = 10.0


class Reaped(Struct):
    """What one look did: sessions declared dead, leases ended."""

    sessions: int = 0
    leases: int = 0


class Sighting(Struct, frozen=True):
    """A living session as the reaper sees it."""

    id: int
    session: UUID
    name: str
    last_heartbeat: int
    dead_after: int  # milliseconds


class Suspect(Struct, frozen=True):
    """A lease that may have to be ended. Times in milliseconds."""

    job: bytes
    token: int
    deadline: int | None  # only when it has passed
    cancelling: int | None
    orphaned: bool


class Reaper:
    """`run` until cancelled. `grace`: seconds that an overdue or cancelling job gets."""

    def __init__(
        self,
        appender: Appender,
        names: Names,
        pool: Pool,
        *,
        grace: float = 30.0,
        interval: float = INTERVAL,
        actor: str = "leader",
        configuration: Configuration | None = None,
    ) -> None:
        self._appender = appender
        self._names = names
        self._pool = pool
        self._grace = round(grace * 1000)
        self._interval = interval
        self._actor = actor
        self._configuration = configuration
        self._epoch: int | None = None
        self._orphans_at = 0.0
        gap = round(interval * 3000 + 2000)
        self._beats, self._overdue, self._cancelling = Watch(gap), Watch(gap), Watch(gap)

    async def run(self) -> None:
        while True:
            try:
                await self.tick()
            except (LogError, psycopg.Error, PoolTimeout) as error:
                _log.warning("reaper_interrupted", error=str(error))
                self.forget()
            await asyncio.sleep(self._interval)

    def forget(self) -> None:
        """What was observed so far is worth nothing: the database was away in between."""
        for watch in (self._beats, self._overdue, self._cancelling):
            watch.reset()

    async def tick(self) -> Reaped:
        """Look once, and act on what has been so for long enough."""
        reaped = Reaped()
        self._epoch = self._appender.log.epoch  # a token that is read now means nothing in the next one
        try:
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(sql.load("reaper_sessions"))).fetchall()
                suspects, seen_at = await self._suspects(connection)
            for session in self._dead(rows):
                await self._bury(session, reaped)
            await self._end_suspects(suspects, seen_at, reaped)
        except BaseException:
            self.forget()
            raise
        return reaped

    def _dead(self, rows: Sequence[tuple[object, ...]]) -> list[Sighting]:
        now = milliseconds(rows[0][5])  # type: ignore[arg-type]
        sightings = {s.id: s for row in rows if (s := _sighting(row)) is not None}
        observed = self._beats.look(now, {s.id: s.last_heartbeat for s in sightings.values()})
        return [
            s
            for s in sightings.values()
            if observed[s.id] >= s.dead_after and now - s.last_heartbeat >= s.dead_after
        ]

    async def _bury(self, session: Sighting, reaped: Reaped) -> None:
        """Its leases are lost, then the session is; all refused if it has beaten since we looked."""
        async with self._pool.connection() as connection:
            parameters = {"session": session.id}
            cursor = await connection.execute(sql.load("leases_of_session"), parameters)
            leases = [(row[0].bytes, row[1]) for row in await cursor.fetchall()]
        chunks = [leases[i : i + _CHUNK] for i in range(0, len(leases), _CHUNK)] or [[]]
        for chunk in chunks:
            ends = await self._ends(chunk, "lost")
            part = Part(ends=ends, cutoff=session.last_heartbeat, epoch=self._epoch)
            if chunk is chunks[-1]:
                part.records.append(await self._worker_lost(session))
            # One at a time: a batch has one cutoff, the earliest of its parts.
            outcome = await self._appender.submit(part)
            reaped.leases += sum(("e", n) not in outcome.refused for n in range(len(ends)))
            if any(why.code == "session_alive" for why in outcome.refused.values()):
                _log.info("session_alive_after_all", name=session.name)
                return
        reaped.sessions += ("r", 0) not in outcome.refused
        _log.warning("worker_lost", name=session.name, session=str(session.session), leases=len(leases))

    async def _worker_lost(self, session: Sighting) -> Record:
        return Record(
            stream=str(session.session), event="worker_lost",
            actor=await self._names.actor_id(self._actor),
            cutoff=times.to_text(session.last_heartbeat),
        )  # fmt: skip

    async def _suspects(self, connection: psycopg.AsyncConnection) -> tuple[list[Suspect], int]:
        orphans = (now := asyncio.get_running_loop().time()) >= self._orphans_at
        rows = await (await connection.execute(sql.load("reaper_leases"), {"orphans": orphans})).fetchall()
        if orphans:
            self._orphans_at = now + _ORPHANS
        if not rows:
            row = await (await connection.execute("select hivelog.now()")).fetchone()
            assert row is not None
            return [], milliseconds(row[0])
        found = [Suspect(r[0].bytes, r[1], _ms(r[2]), _ms(r[3]), r[4]) for r in rows]
        return found, milliseconds(rows[0][5])

    async def _end_suspects(self, suspects: list[Suspect], now: int, reaped: Reaped) -> None:
        overdue = self._overdue.look(now, {s.token: s.deadline for s in suspects if s.deadline})
        stopping = self._cancelling.look(
            now, {s.token: s.cancelling for s in suspects if s.cancelling}
        )

        def late(lengths: dict[int, int]) -> Callable[[Suspect], bool]:
            return lambda s: not s.orphaned and lengths.get(s.token, -1) >= self._grace

        too_slow, too_long = late(stopping), late(overdue)
        await self._end([s for s in suspects if s.orphaned], "lost", reaped)
        await self._end([s for s in suspects if too_slow(s)], "cancelled", reaped)
        await self._end([s for s in suspects if too_long(s) and not too_slow(s)], "timeout", reaped)

    async def _end(self, suspects: list[Suspect], outcome: str, reaped: Reaped) -> None:
        for start in range(0, len(suspects), _CHUNK):
            chunk = [(s.job, s.token) for s in suspects[start : start + _CHUNK]]
            ends = await self._ends(chunk, outcome)
            if ends:
                answer = await self._appender.submit(Part(ends=ends, epoch=self._epoch))
                reaped.leases += len(ends) - len(answer.refused)
                _log.warning("leases_ended", outcome=outcome, leases=len(ends) - len(answer.refused))

    async def _ends(self, leases: Sequence[tuple[bytes, int]], outcome: str) -> list[End]:
        """What becomes of these jobs if their attempts ended so; nothing for those that moved on."""
        if not leases:
            return []
        actor = await self._names.actor_id(self._actor)
        poison_after = await self._poison_after() if outcome == "lost" else None
        async with self._pool.connection() as connection:
            loaded = await load(connection, [job for job, _ in leases])
        cause = "grace" if outcome == "cancelled" else None
        ends = []
        for job, token in leases:
            state = loaded.jobs.get(job)
            if state is None:
                continue
            command = EndAttempt(token, outcome, cause, poison_after=poison_after)  # type: ignore[arg-type]
            decision = decide(state, command, loaded.now)
            if isinstance(decision, Decision):
                ends.append(end_of(state, decision, actor))
                _tell_of_poison(state, decision)
        return ends

    async def _poison_after(self) -> int:
        if self._configuration is None:
            return SystemConfig().poison_after
        return (await self._configuration.current()).poison_after


def _tell_of_poison(state: JobState, decision: Decision) -> None:
    if getattr(decision.data, "cause", None) == "poison":
        deaths = state.losses + 1
        _log.error("job_set_aside", job=ids.to_text(state.id), type=state.spec.type, worker_deaths=deaths)


def _sighting(row: Sequence[object]) -> Sighting | None:
    number, session, name, beat, dead_after, _ = row
    if number is None:
        return None
    return Sighting(number, session, name, milliseconds(beat), dead_after * 1000)  # type: ignore[arg-type, operator]


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds(moment)
