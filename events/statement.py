"""One prepared statement, called at the level of libpq.

psycopg's cursor spends some 100 us a call on adapting forty parameters and loading twenty columns that
are bytes on both sides already. The append is called for every batch, so it hands the server wire values
and takes wire values back; everything else uses cursors.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from psycopg import errors, generators
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

# A wire value (binary), a text value, or NULL.
Value = bytes | str | None
T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]
_NAME = b"hivelog_append"
_BINARY, _TEXT = 1, 0


class Statement:
    """A statement with `%s` placeholders, prepared on one connection.

    The methods are generators for `connection.wait`, which blocks or awaits as the connection does.
    """

    def __init__(self, pgconn: PGconn, query: str) -> None:
        self._pgconn = pgconn
        self._query = query.encode()
        for number in range(1, query.count("%s") + 1):
            self._query = self._query.replace(b"%s", b"$%d" % number, 1)

    def prepare(self) -> Steps[PGresult]:
        return _run(self._pgconn, lambda: self._pgconn.send_prepare(_NAME, self._query))

    def execute(self, values: Sequence[Value]) -> Steps[list[bytes | None]]:
        """Answers the columns of the single row as wire values. Raises psycopg errors."""
        formats = [_TEXT if isinstance(value, str) else _BINARY for value in values]
        wire = [value.encode() if isinstance(value, str) else value for value in values]
        result = yield from _run(
            self._pgconn, lambda: self._pgconn.send_query_prepared(_NAME, wire, formats, _BINARY)
        )
        return [result.get_value(0, column) for column in range(result.nfields)]


def _run(pgconn: PGconn, send: Any) -> Steps[PGresult]:
    send()
    results = yield from generators.execute(pgconn)
    result: PGresult = results[-1]
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result)
    return result
