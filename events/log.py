"""The log's one door in Python: `Log.append` calls the SQL function of the same name.

It owns one connection and has one append in flight: `send`, `landed` and `read`, or all of it as `append`.
When an answer is lost the batch may or may not be in the log; `Lost` then carries what `recover` needs to
find out (its batch id and the head known before).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg
import structlog
from msgspec import Struct
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from .. import sql
from . import answer, arrays, pool
from .batch import Appended, Part
from .errors import DatabaseUnavailable, EpochChanged
from .memory import Memory
from .parameters import CALLS, Call, call_of, parameters
from .statement import Statements, Value, fields
from .times import milliseconds as milliseconds

_log = structlog.get_logger(__name__)

# An append that waits for the lock gives up after 10 s; so the log is asked early rather than late whether a
# batch arrived, which is harmless if it is still on its way.
_SILENCE = 15.0

_APPENDS: dict[str, str] = {name: sql.load(name) for name in CALLS}
# Every table of the append is reached by its key, whatever its statistics say at the moment: a plan made
# while a table was empty must not scan it when it is full.
_PLANS = (
    "select set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config(name, 'off', false) from unnest(array['enable_seqscan', 'enable_bitmapscan',"
    " 'enable_hashjoin', 'enable_mergejoin', 'jit']) name"
)
_RECOVERED_JOBS = sql.load("recovered_starts")


class Lost(DatabaseUnavailable):
    """The connection died with a batch under way."""

    def __init__(self, batch_id: bytes, after: int, parts: list[Part], why: str | None = None) -> None:
        super().__init__(why or "the database went away during an append")
        self.batch_id = batch_id
        self.after = after
        self.parts = parts


class Encoded(Struct):
    """Parts as one call of the log, before the database has been asked."""

    parts: list[Part]
    call: Call
    values: list[Value]


class Flight(Struct):
    """A batch on its way; `after`: the head that was known before it."""

    batch_id: bytes
    after: int
    parts: list[Part]
    answer: asyncio.Future[PGresult] | None = None


class Log:
    """Appends batches of parts. Not for concurrent use: the `Appender` serialises callers."""

    def __init__(self, url: str, *, application_name: str = "hivelog append") -> None:
        self._url = url
        self._name = application_name
        self._connection: pool.Connection | None = None
        self._cursor: psycopg.AsyncCursor[TupleRow] | None = None
        self._append: Statements
        self.epoch = 0
        self.head = 0
        self.memory = Memory()
        # Asked at every (re)connect: is this still the same life of the log? Answers its epoch.
        self.check_epoch: Callable[[], Awaitable[int]] | None = None

    async def open(self) -> None:
        """Connect (again); reads epoch and head. Raises DatabaseUnavailable."""
        await self.close()
        try:
            connection = await pool.connect(self._url, self._name)
            connection.prepare_threshold = 0
            await connection.execute(_PLANS)
            self._append = Statements(connection.pgconn, _APPENDS, _SILENCE)
            self._connection = connection
            self._cursor = connection.cursor(binary=True)
            await connection.wait(self._append.prepare())
            await self._cursor.execute(sql.load("last_batch"))
            row = await self._cursor.fetchone()
        except psycopg.Error as error:
            raise DatabaseUnavailable(str(error)) from error
        assert row is not None
        self.head, self.epoch = row[0], row[1]
        if self.check_epoch is not None:
            try:
                self.epoch = await self.check_epoch()
            except psycopg.Error as error:
                await self.close()
                raise DatabaseUnavailable(str(error)) from error
        if self.epoch == row[1]:
            self.memory.wrote(self.epoch, self.head, row[2].bytes)

    async def close(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            self._append.close()
            await connection.close()

    @property
    def connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    async def append(self, parts: list[Part]) -> Appended:
        """Write one batch. Raises Lost (ambiguous), EpochChanged, or the server's error (not written)."""
        flight = self.send(parts)
        row = await self.landed(flight)
        return self.read(flight, row)

    def encode(self, parts: list[Part]) -> Encoded:
        """What `send` does first, for a batch that is known before it can be sent."""
        call = call_of(parts)
        return Encoded(parts, call, parameters(call, parts))

    def send(self, parts: list[Part], encoded: Encoded | None = None) -> Flight:
        """Put a batch on its way, if there is a connection; raises nothing. One at a time."""
        flight = Flight(os.urandom(16), self.head, parts)
        if self.connected:
            self._launch(flight, encoded)
        return flight

    async def landed(self, flight: Flight) -> list[bytes | None]:
        """Wait for a batch's answer, for `read`. Raises what `append` raises."""
        if flight.answer is None:
            await self.open()
            flight.after = self.head
            if not all(part.fits(self.epoch) for part in flight.parts):
                raise EpochChanged("what was to be appended was decided in an epoch that is over")
            self._launch(flight)
        assert flight.answer is not None
        assert self._connection is not None
        try:
            row = fields(await flight.answer)
        except psycopg.Error as error:
            raise self._translate(error, flight) from error
        except BaseException:
            # Cancelled in mid-flight: the connection's state is unknown, so it must go.
            await self.close()
            raise
        self.head = arrays.load_bigint(row[0])
        if self.head >= arrays.load_bigint(row[1]):
            self.memory.wrote(self.epoch, self.head, flight.batch_id)
        return row

    def read(self, flight: Flight, row: list[bytes | None]) -> Appended:
        """What the answer means. Apart from `landed`, so that the next batch can be sent before."""
        return answer.appended(flight.batch_id, self.epoch, flight.parts, row)

    def _launch(self, flight: Flight, encoded: Encoded | None = None) -> None:
        try:
            encoded = encoded or self.encode(flight.parts)
            values = [flight.batch_id, arrays.integer(self.epoch), *encoded.values]
            flight.answer = self._append.start(encoded.call, values)
        except Exception as error:  # also what cannot be put into wire values
            flight.answer = asyncio.get_running_loop().create_future()
            flight.answer.set_exception(error)

    def _translate(self, error: psycopg.Error, flight: Flight) -> Exception:
        if error.sqlstate == "HL002":
            return EpochChanged(str(error))
        gone = self._connection is None or self._connection.closed
        if gone or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
            return Lost(flight.batch_id, flight.after, flight.parts)
        if error.sqlstate and error.sqlstate[:2] in ("53", "57", "55", "58", "25", "40"):
            # Full disk, shutdown, timeouts, read-only standby, deadlock: nothing is wrong with the batch.
            return Lost(flight.batch_id, flight.after, flight.parts, error.diag.message_primary)
        return error

    async def recover(self, lost: Lost) -> Appended | None:
        """After `open`: the lost batch's answer if it is in the log; None: it is not, and never
        will be, even if it is still on its way.

        Refusals are told only as `conflict` (or `replayed`): their reasons went with the answer.
        """
        assert self._cursor is not None
        try:
            await self._cursor.execute(
                "select * from hivelog.find_batch(%s, %s)", (UUID(bytes=lost.batch_id), lost.after)
            )
            found = await self._cursor.fetchone()
            if found is None or found[0] is None:
                return None
            await self._cursor.execute(_RECOVERED_JOBS, (found[0], found[1]))
            rows = await self._cursor.fetchall()
        except psycopg.Error as error:
            raise lost from error
        return answer.recovered(lost.batch_id, self.epoch, lost.parts, found, rows)
