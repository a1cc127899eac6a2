"""The twin and the real PostgreSQL side by side: every question of a simulated history goes to both, and the
answers must be the same. It is what makes the twin worth believing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from hivelog import sql
from hivelog.events.batch import Appended, Outcome, Part, Section
from hivelog.events.errors import EpochChanged
from hivelog.events.log import Flight, Log

from .append import Append, Duplicate, TooLate
from .network import SimNames
from .postgres import Answer, Postgres, moment

T = TypeVar("T")

_CLOCK = """
create table public.hivelog_test_time (now timestamptz not null);
insert into public.hivelog_test_time values ('epoch');
grant select on public.hivelog_test_time to public;
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$ select now from public.hivelog_test_time $$;
delete from hivelog.queues;
insert into hivelog.queues (id, name, stream) overriding system value
    values (1, 'q1', '00000000-0000-0000-0000-000000000001'),
    (2, 'q2', '00000000-0000-0000-0000-000000000002');
"""
_EVENTS = """
select position, round(extract(epoch from recorded_at) * 1000)::bigint, uuid_send(stream), version, type::text,
    actor, queue, attempt, body_size, correlation, data
from hivelog.events order by position
"""
_PLACES = "select uuid_send(stream), position from hivelog.events where position between %s and %s"
# What is compared as it is, in any order of rows.
_COMPARED = {
    sql.load(name): name
    for name in (
        "due_pending", "expired_waiting", "reaper_sessions", "reaper_leases", "leases_of_session", "head",
        "rebuild_head", "feed_state", "claimed_ready", "next_due", "read_streams",
    )
}  # fmt: skip


class Differs(AssertionError):
    """The twin is wrong."""


class Both(Postgres):
    """`url` is set by a subclass, since the world makes its own."""

    url: str

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.compared = 0
        self.differences: list[str] = []  # a process may take the error for the server's
        self._conn = psycopg.connect(self.url, autocommit=True)
        self._conn.execute(_CLOCK)
        self._conn.execute("set timezone = 'UTC'")
        self._conn.execute("select hivelog.type_ids(%s)", (list(SimNames.TYPES),))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._log = Log(self.url)
        self._wait(self._log.open())
        self._stopped = False

    def close(self) -> None:
        self._wait(self._log.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._conn.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def _at_this_time(self) -> None:
        self._conn.execute("update public.hivelog_test_time set now = %s", (moment(self.clock()),))

    def _same(self, what: str, real: object, twin: object) -> None:
        self.compared += 1
        if real != twin:
            self.differences.append(f"{what}: PostgreSQL says {real}, the twin {twin}")
            raise Differs(self.differences[-1])

    # -- the append --------------------------------------------------------------------------------------

    def _append(self, batch: bytes, epoch: int, parts: list[Part]) -> Appended:
        self._at_this_time()
        self._log.epoch = epoch
        real = self._error(lambda: self._wait(self._sent(Flight(batch, self._log.head, parts))))
        order = self._order_of(real) if isinstance(real, Appended) else self._any_order
        twin = self._error(lambda: Append(self.tables, self.clock(), parts, order).run(batch, epoch))
        if isinstance(real, Appended) and isinstance(twin, Appended):
            self._same_answer(real, twin)
            return twin
        self._same("error", type(real), type(twin))
        assert isinstance(twin, Exception)
        raise twin

    def _error(self, call: Callable[[], Appended]) -> Appended | Exception:
        try:
            return call()
        except psycopg.errors.UniqueViolation:
            return Duplicate("vault")
        except psycopg.Error as error:
            if error.sqlstate != "HL003":
                raise
            return TooLate()
        except (EpochChanged, Duplicate, TooLate) as error:
            return error

    async def _sent(self, flight: Flight) -> Appended:
        self._log._launch(flight)
        return self._log.read(flight, await self._log.landed(flight))

    def find_batch(self, batch: bytes, after: int) -> tuple[Any, ...] | None:
        twin = super().find_batch(batch, after)
        real = self._conn.execute(
            "select * from hivelog.find_batch(%s, %s)", (UUID(bytes=batch), after)
        ).fetchone()
        self._same("find_batch", real, twin or (None, None, None))
        return twin

    def _order_of(self, real: Appended) -> Callable[[Section, dict[int, bytes]], list[int]]:
        """The one in which PostgreSQL wrote them."""
        places: dict[bytes, list[int]] = {}
        for stream, position in self._conn.execute(_PLACES, (real.first, real.head)).fetchall():
            places.setdefault(stream, []).append(position)

        def order(section: Section, accepted: dict[int, bytes]) -> list[int]:
            pick = max if section == "s" else min  # a job may end and start again in one batch
            return sorted(accepted, key=lambda n: pick(places.get(accepted[n], [0])))

        return order

    def _same_answer(self, real: Appended, twin: Appended) -> None:
        for name in ("first", "head", "recorded_at"):
            self._same(name, getattr(real, name), getattr(twin, name))
        self._same("marks", _sorted(real.marks), _sorted(twin.marks))
        for mine, other in zip(real.outcomes, twin.outcomes, strict=True):
            self._same("outcome", _told(mine), _told(other))

    # -- everything else ---------------------------------------------------------------------------------

    def heartbeat(self, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
        self._at_this_time()
        real = self._asked(sql.load("heartbeat"), parameters)
        twin = super().heartbeat(parameters)
        told = [sorted(x) for x in real[0]] if real else None  # no row: the session is over
        self._same("heartbeat", told, twin and [sorted(x) for x in twin])
        return twin

    def execute(self, text: str, parameters: Any) -> Answer:
        twin = super().execute(text, parameters)
        if text in _COMPARED:
            self._at_this_time()
            name = _COMPARED[text]
            rows = self._asked(text, parameters)
            self._same(name, _any_order(name, rows), _any_order(name, twin))
        return twin

    def _asked(self, text: str, parameters: Any) -> Answer:
        try:
            return self._conn.execute(text, parameters, binary=True).fetchall()
        except psycopg.Error as error:
            self.differences.append(f"PostgreSQL refuses: {error}")
            raise

    def same_log(self) -> int:
        """At the end, the whole of it; answers how many events."""
        rows = self._conn.execute(_EVENTS).fetchall()
        twin = [
            (e.position, e.recorded_at, e.stream, e.version, e.type, e.actor, e.queue, e.attempt, e.body_size,
             e.correlation, e.data)
            for e in self.tables.events
        ]  # fmt: skip
        for real, other in zip(rows, twin, strict=True):
            self._same("event", real, other)
        return len(rows)


def _sorted(rows: Any) -> list[str]:
    return sorted(map(repr, rows))


def _told(outcome: Outcome) -> object:
    started = [
        (x.index, x.job, x.token, x.queue, x.session, x.attempt, x.retry, x.priority, x.salt, x.body)
        for x in outcome.started
    ]
    return outcome.head, _sorted(outcome.refused.items()), outcome.positions, _sorted(started)


def _any_order(name: str, rows: Answer) -> list[str]:
    if name == "feed_state":  # one row of parallel arrays
        rows = [tuple(map(_ids, row)) for row in rows]
        groups = [zip(*(row[a:b]), strict=True) for row in rows for a, b in ((2, 6), (6, 8), (8, 12))]
        return sorted(repr(each) for group in groups for each in group) + [repr(row[12:]) for row in rows]
    return sorted(repr(tuple(map(_ids, row))) for row in rows)


def _ids(value: Any) -> Any:
    """Joined ids in order, whatever order they were joined in; and JSON likewise."""
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, bytes):
        return sorted(value[at : at + 16] for at in range(0, len(value), 16))
    if isinstance(value, list):
        return [_ids(each) for each in value]
    return [] if value is None else value
