"""Prepared statements, called at the level of libpq.

psycopg's cursor spends some 200 us a call on adapting forty parameters, loading twenty columns that are
bytes on both sides already, and a task and two epoll changes for each wait. The append is called for every
batch, so it hands the server wire values, takes wire values back, and watches its socket all the time;
everything else uses cursors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from .silence import LONGEST

# A wire value (binary), a text value, or NULL.
Value = bytes | str | None
T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]
_BINARY, _TEXT = 1, 0
# uvloop stops to watch a socket on which an error is pending (its peer died with our call unread) and calls
# nobody; so whoever waits looks for himself now and then, as psycopg does.
_LOOK: Final = 0.1
# A record on the wire: how many fields, and of each the object id of its type and its length (-1: NULL).
_COUNT: Final = Struct(">i")
_FIELD: Final = Struct(">Ii")


class Statements:
    """Statements with `%s` placeholders, by name, prepared on one connection that is used for nothing else
    from the first call on. One call at a time."""

    def __init__(self, pgconn: PGconn, queries: Mapping[str, str], silence: float = LONGEST) -> None:
        """`silence`: seconds after which a call without an answer has lost its connection."""
        self._pgconn, self._silence = pgconn, silence
        self._queries = {name.encode(): _numbered(query) for name, query in queries.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = -1
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self._began = 0.0
        self._looking: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether a call was sent that has no answer yet."""
        return self._answer is not None and not self._answer.done()

    def prepare(self) -> Steps[None]:
        """Steps for `connection.wait`, which blocks or awaits as the connection does."""
        for name, query in self._queries.items():
            yield from _run(self._pgconn, partial(self._pgconn.send_prepare, name, query))

    def start(self, name: str, values: Sequence[Value]) -> asyncio.Future[PGresult]:
        """Send a call; its answer comes by itself. Raises psycopg errors.

        Whoever gives up waiting leaves the connection in mid-flight: close it.
        """
        if self._loop is None:
            self._loop, self._socket = asyncio.get_running_loop(), self._pgconn.socket
            self._loop.add_reader(self._socket, self._readable)
        self._answer, self._began = self._loop.create_future(), self._loop.time()
        if self._looking is None:
            self._looking = self._loop.call_later(_LOOK, self._look)
        self._send(name, values)
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._writable)
        return self._answer

    def close(self) -> None:
        """Stop watching; before the connection is closed."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._loop = None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _send(self, name: str, values: Sequence[Value]) -> None:
        formats = [_TEXT if isinstance(value, str) else _BINARY for value in values]
        wire = [value.encode() if isinstance(value, str) else value for value in values]
        self._pgconn.send_query_prepared(name.encode(), wire, formats, _BINARY)

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._done()
                    return
                self._result = result
        except psycopg.Error as error:
            self._failed(error)

    def _look(self) -> None:
        """Is there an answer that nobody told of, or none for too long?"""
        self._looking = None
        if self.waiting:
            self._readable()
        if self._loop is None or not self.waiting:
            return
        if self._loop.time() - self._began > self._silence:
            self._failed(psycopg.OperationalError(f"no answer within {self._silence:g} s"))
        else:
            self._looking = self._loop.call_later(_LOOK, self._look)

    def _writable(self) -> None:
        try:
            if not self._pgconn.flush() and self._loop is not None:
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._failed(error)

    def _failed(self, error: psycopg.Error) -> None:
        self.close()
        if self._answer is not None and self.waiting:
            self._answer.set_exception(error)

    def _done(self) -> None:
        """The server is ready for the next query (or said something while none was under way)."""
        result, self._result = self._result, None
        if result is not None and self._answer is not None and self.waiting:
            self._answer.set_result(result)


def _numbered(query: str) -> bytes:
    """`$1`, `$2` ... for the `%s` of a query."""
    first, *rest = query.encode().split(b"%s")
    return first + b"".join(b"$%d%s" % (number, text) for number, text in enumerate(rest, 1))


def fields(result: PGresult) -> list[bytes | None]:
    """The fields of the record that is the answer's only value, as wire values. Raises psycopg errors."""
    if result.status != ExecStatus.TUPLES_OK:
        raise errors.error_from_result(result)
    record = result.get_value(0, 0)
    assert record is not None
    found: list[bytes | None] = []
    at = _COUNT.size
    for _ in range(_COUNT.unpack_from(record)[0]):
        _, size = _FIELD.unpack_from(record, at)
        at += _FIELD.size
        found.append(None if size < 0 else record[at : at + size])
        at += max(size, 0)
    return found


def _run(pgconn: PGconn, send: Any) -> Steps[PGresult]:
    send()
    results = yield from generators.execute(pgconn)
    result: PGresult = results[-1]
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result)
    return result
