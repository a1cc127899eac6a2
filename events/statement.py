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
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

# A wire value (binary), a text value, or NULL.
Value = bytes | str | None
T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]
_BINARY, _TEXT = 1, 0


class Statements:
    """Statements with `%s` placeholders, by name, prepared on one connection that is used for nothing else
    from the first call on. One call at a time."""

    def __init__(self, pgconn: PGconn, queries: Mapping[str, str]) -> None:
        self._pgconn = pgconn
        self._queries = {name.encode(): _numbered(query) for name, query in queries.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = -1
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None

    def prepare(self) -> Steps[None]:
        """Steps for `connection.wait`, which blocks or awaits as the connection does."""
        for name, query in self._queries.items():
            yield from _run(self._pgconn, partial(self._pgconn.send_prepare, name, query))

    def execute(self, name: str, values: Sequence[Value]) -> Steps[list[bytes | None]]:
        """The same for a call of `__call__` (for connections that block)."""
        result = yield from _run(self._pgconn, partial(self._send, name, values))
        return _columns(result)

    async def __call__(self, name: str, values: Sequence[Value]) -> list[bytes | None]:
        """Answers the columns of the single row as wire values. Raises psycopg errors.

        A cancelled call leaves the connection in mid-flight: close it.
        """
        if self._loop is None:
            self._loop, self._socket = asyncio.get_running_loop(), self._pgconn.socket
            self._loop.add_reader(self._socket, self._readable)
        self._answer = self._loop.create_future()
        self._send(name, values)
        while self._pgconn.flush():
            await _writable(self._loop, self._socket)
        return _columns(await self._answer)

    def close(self) -> None:
        """Stop watching; before the connection is closed."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop = None

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
            self.close()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)

    def _done(self) -> None:
        """The server is ready for the next query (or said something while none was under way)."""
        result, self._result = self._result, None
        if result is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(result)


def _numbered(query: str) -> bytes:
    """`$1`, `$2` ... for the `%s` of a query."""
    first, *rest = query.encode().split(b"%s")
    return first + b"".join(b"$%d%s" % (number, text) for number, text in enumerate(rest, 1))


def _columns(result: PGresult) -> list[bytes | None]:
    if result.status != ExecStatus.TUPLES_OK:
        raise errors.error_from_result(result)
    return [result.get_value(0, column) for column in range(result.nfields)]


async def _writable(loop: asyncio.AbstractEventLoop, socket: int) -> None:
    ready = asyncio.Event()
    loop.add_writer(socket, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(socket)


def _run(pgconn: PGconn, send: Any) -> Steps[PGresult]:
    send()
    results = yield from generators.execute(pgconn)
    result: PGresult = results[-1]
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result)
    return result
