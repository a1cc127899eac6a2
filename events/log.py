"""The log's one door in Python: `Log.append` calls the SQL function of the same name.

It owns one connection and has one append in flight. When an answer is lost the batch may or may not be
in the log; `Lost` then carries what `recover` needs to find out (its batch id and the head known before).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.rows import TupleRow

from .. import sql
from . import arrays, pool
from .batch import Appended, Mark, Outcome, Part, Refused, Section, Started, columns
from .errors import DatabaseUnavailable, EpochChanged
from .statement import Statement

_log = structlog.get_logger(__name__)

_APPEND = sql.load("append_call")
# Every table of the append is reached by its key, whatever its statistics say at the moment: a plan made
# while a table was empty must not scan it when it is full.
_PLANS = (
    "select set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config(name, 'off', false) from unnest(array['enable_seqscan', 'enable_bitmapscan',"
    " 'enable_hashjoin', 'enable_mergejoin']) name"
)
_RECOVERED_JOBS = sql.load("recovered_starts")


class Lost(DatabaseUnavailable):
    """The connection died with a batch under way."""

    def __init__(self, batch_id: bytes, after: int, parts: list[Part]) -> None:
        super().__init__("the database went away during an append")
        self.batch_id = batch_id
        self.after = after
        self.parts = parts


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


class Log:
    """Appends batches of parts. Not for concurrent use: the `Appender` serialises callers."""

    def __init__(self, url: str, *, application_name: str = "hivelog append") -> None:
        self._url = url
        self._name = application_name
        self._connection: pool.Connection | None = None
        self._cursor: psycopg.AsyncCursor[TupleRow] | None = None
        self._append: Statement
        self.epoch = 0
        self.head = 0
        # Asked at every (re)connect: is this still the same life of the log? Answers its epoch.
        self.check_epoch: Callable[[], Awaitable[int]] | None = None

    async def open(self) -> None:
        """Connect (again); reads epoch and head. Raises DatabaseUnavailable."""
        await self.close()
        try:
            connection = await pool.connect(self._url, self._name)
            connection.prepare_threshold = 0
            await connection.execute(_PLANS)
            self._append = Statement(connection.pgconn, _APPEND)
            self._connection = connection
            self._cursor = connection.cursor(binary=True)
            await connection.wait(self._append.prepare())
            await self._cursor.execute(sql.load("head"))
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
        if not self.connected:
            await self.open()
        assert self._connection is not None
        batch_id = os.urandom(16)
        try:
            values = [batch_id, arrays.integer(self.epoch), *columns(parts)]
            row = await self._append(values)
        except psycopg.Error as error:
            raise self._translate(error, batch_id, parts) from error
        except BaseException:
            # Cancelled in mid-flight: the connection's state is unknown, so it must go.
            await self.close()
            raise
        appended = _answer(batch_id, self.epoch, parts, row)
        self.head = appended.head
        return appended

    def _translate(self, error: psycopg.Error, batch_id: bytes, parts: list[Part]) -> Exception:
        if error.sqlstate == "HL002":
            return EpochChanged(str(error))
        gone = self._connection is None or self._connection.closed
        if gone or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
            return Lost(batch_id, self.head, parts)
        if error.sqlstate and error.sqlstate[:2] in ("53", "57", "55", "58", "25", "40"):
            # Full disk, shutdown, timeouts, read-only standby, deadlock: nothing is wrong with the batch.
            return Lost(batch_id, self.head, parts)
        return error

    async def recover(self, lost: Lost) -> Appended | None:
        """After `open`: the lost batch's answer if it is in the log, None if it never will be.

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
        return _recovered(lost, self.epoch, found, rows)


def _answer(batch_id: bytes, epoch: int, parts: list[Part], row: list[bytes | None]) -> Appended:
    head, first, at = arrays.load_bigint(row[0]), arrays.load_bigint(row[1]), arrays.load_timestamp(row[2])
    refused = _refusals(row[3:7])
    started = _started(row[7:20]) if row[8] is not None else []
    marks = [
        Mark(*values)
        for values in zip(
            arrays.load_smallints(row[20]), arrays.load_integers(row[21]), arrays.load_integers(row[22]),
            arrays.load_integers(row[23]), strict=True,
        )
    ]  # fmt: skip
    outcomes = _share(parts, head, first, at, refused, started)
    return Appended(batch_id, epoch, first, head, at, parts, outcomes, marks)


def _refusals(row: Any) -> dict[tuple[Section, int], Refused]:
    if row[1] is None:
        return {}
    jobs = arrays.load_byteas(row[3])
    return {
        (section, n - 1): Refused(code, job)  # type: ignore[misc]
        for section, n, code, job in zip(
            arrays.load_texts(row[0]), arrays.load_integers(row[1]), arrays.load_texts(row[2]), jobs,
            strict=True,
        )
    }  # fmt: skip


def _started(row: Any) -> list[Started]:
    count = len(ns := arrays.load_bigints(row[0]))
    none: list[None] = [None] * count
    return [
        Started(n - 1, *rest)
        for n, *rest in zip(
            ns,
            arrays.load_uuids(row[2]),
            arrays.load_bigints(row[1]),
            arrays.load_smallints(row[3]),
            arrays.load_integers(row[4]),
            arrays.load_smallints(row[5]),
            arrays.load_smallints(row[6]),
            arrays.load_smallints(row[7]),
            arrays.load_jsonbs(row[8]),
            arrays.load_byteas(row[10]),
            arrays.load_optional_smallints(row[9]) or none,
            arrays.load_byteas(row[11]) or none,
            arrays.load_byteas(row[12]),
            strict=True,
        )
    ]


def _share(
    parts: list[Part],
    head: int,
    first: int,
    at: int,
    refused: dict[tuple[Section, int], Refused],
    started: list[Started],
) -> list[Outcome]:
    """Cut the batch's answer into one Outcome a part; positions follow from the order of sections."""
    outcomes = [Outcome(head, at, {}, {"n": [], "m": [], "r": []}, []) for _ in parts]
    position = first
    sections: tuple[tuple[Section, str], ...] = (
        ("n", "enqueues"), ("e", "ends"), ("m", "moves"), ("r", "records"),
    )  # fmt: skip
    for section, name in sections:
        counts = [len(getattr(part, name)) for part in parts]
        if not any(counts):
            continue
        base = 0
        for count, outcome in zip(counts, outcomes, strict=True):
            # Most batches refuse nothing: then there is nothing to look up, command by command.
            accepted = count
            if refused:
                accepted -= _share_refusals(section, base, count, refused, outcome)
            if section != "e" and count:
                outcome.positions[section] = list(range(position, position + accepted))
            position += accepted
            base += count
    if started or refused:
        _share_starts(parts, outcomes, refused, started)
    return outcomes


def _share_refusals(
    section: Section, base: int, count: int, refused: dict[tuple[Section, int], Refused], outcome: Outcome
) -> int:
    """Give an outcome its refusals of one section; answers how many."""
    before = len(outcome.refused)
    for index in range(count):
        if (why := refused.get((section, base + index))) is not None:
            outcome.refused[section, index] = why
    return len(outcome.refused) - before


def _share_starts(
    parts: list[Part],
    outcomes: list[Outcome],
    refused: dict[tuple[Section, int], Refused],
    started: list[Started],
) -> None:
    owners: list[tuple[Outcome, int]] = []
    for part, outcome in zip(parts, outcomes, strict=True):
        owners += [(outcome, i) for i in range(len(part.starts))]
    if len(parts) == 1 and not refused and not parts[0].picks:
        outcomes[0].started = started
        return
    for (section, n), why in refused.items():
        if section == "s" and n < len(owners):
            owner, index = owners[n]
            owner.refused["s", index] = why
    pickers = {
        pick.session: outcome
        for part, outcome in zip(parts, outcomes, strict=True)
        for pick in part.picks
    }
    for job in started:
        if job.index < len(owners) and job.index >= 0:
            owner, job.index = owners[job.index]
        else:
            owner, job.index = pickers[job.session], -1
        owner.started.append(job)


def _recovered(lost: Lost, epoch: int, found: TupleRow, rows: list[TupleRow]) -> Appended:
    """Rebuild the answer of a batch from its events (rows of sql/queries/recovered_starts.sql)."""
    first, head, at = found[0], found[1], milliseconds(found[2])
    positions = {(row[1], row[2].bytes): row[0] for row in rows}
    outcomes = []
    for part in lost.parts:
        outcome = Outcome(head, at, {}, {"n": [], "m": [], "r": []}, [])
        for section, events in _identities(part).items():
            for index, identity in enumerate(events):
                if identity not in positions:
                    outcome.refused[section, index] = Refused("conflict")
                elif section != "e":
                    outcome.positions[section].append(positions[identity])
        outcomes.append(outcome)
    _recovered_starts(lost.parts, outcomes, rows)
    return Appended(lost.batch_id, epoch, first, head, at, lost.parts, outcomes, [])


def _identities(part: Part) -> dict[Section, list[tuple[str, bytes]]]:
    """(event type, stream) of each command that is no start."""
    return {
        "n": [("enqueued", item.job) for item in part.enqueues],
        "e": [(item.event, item.job) for item in part.ends],
        "m": [(item.event, UUID(item.job).bytes) for item in part.moves],
        "r": [(item.event, UUID(item.stream).bytes) for item in part.records],
    }


def _recovered_starts(parts: list[Part], outcomes: list[Outcome], rows: list[TupleRow]) -> None:
    """Each start to the one part that asked for it; a job told to two turns of a session would run twice."""
    named = {
        (start.session, start.job): (outcome, index)
        for part, outcome in zip(parts, outcomes, strict=True)
        for index, start in enumerate(part.starts)
    }
    room = [
        [pick.session, pick.queue, pick.limit, outcome]
        for part, outcome in zip(parts, outcomes, strict=True)
        for pick in part.picks
    ]
    for row in rows:
        if row[1] != "started" or row[4] is None:
            continue
        owner, index = named.pop((row[4], row[2].bytes), (None, -1))
        if owner is None:
            owner = _picker(room, row[4], row[3])
        if owner is not None:
            owner.started.append(_recovered_start(index, row))
    _refuse_the_rest(parts, outcomes)


def _picker(room: list[list[Any]], session: int, queue: int) -> Outcome | None:
    for pick in room:
        if pick[0] == session and pick[1] == queue and pick[2] > 0:
            pick[2] -= 1
            owner: Outcome = pick[3]
            return owner
    return None


def _refuse_the_rest(parts: list[Part], outcomes: list[Outcome]) -> None:
    for part, outcome in zip(parts, outcomes, strict=True):
        got = {job.index for job in outcome.started}
        outcome.refused.update(
            {("s", index): Refused("conflict") for index in range(len(part.starts)) if index not in got}
        )


def _recovered_start(index: int, row: TupleRow) -> Started:
    queue, session, attempt, retry, priority, spec, salt, kek, wrapped, body = row[3:]
    return Started(
        index, row[2].bytes, row[0], queue, session, attempt, retry, priority, msgspec.json.encode(spec),
        salt, kek, wrapped, body,
    )  # fmt: skip
