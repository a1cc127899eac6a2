"""A list as a file, CSV or NDJSON, read and written page by page: `?format=` on every list.

    if (kind := format_of(call)) is not None:
        return await export(call, kind, "jobs", COLUMNS, read)

`read(after, limit)` answers a page's rows and the next `after` (None: the first page), by the same code as
the list itself, so that filters and rights are the same. Nothing is held but a page. Bounded are the rows,
the time, how long a client may not read, and how many files a process writes at once.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, cast

import msgspec
import structlog
from msgspec import Struct
from starlette.types import Receive, Send

from ..stopping import stop_tasks
from .answers import NO_STORE, SECURITY, Answer
from .errors import Problem, invalid
from .protocol import abort_of
from .requests import Call

_log = structlog.get_logger(__name__)

MOST: Final = 100_000  # rows
_PAGE: Final = 500
_LONGEST: Final = 300.0  # s
_FROZEN: Final = 20.0  # s that a client may take for a page
_AT_ONCE: Final = 4
FORMAT: Final = "csv or ndjson: the list as a file, up to 100,000 rows."

Columns = Mapping[str, Callable[[Any], Any]]
Read = Callable[[str | None, int], Awaitable[tuple[Sequence[Any], str | None]]]

_TYPES: Final = {"csv": b"text/csv; charset=utf-8", "ndjson": b"application/x-ndjson"}
_encode: Final = msgspec.json.Encoder().encode


class Slots(Struct):
    """How many files this process writes."""

    taken: int = 0


def format_of(call: Call) -> str | None:
    """None: not as a file."""
    kind = call.text("format")
    if kind is not None and kind not in _TYPES:
        raise invalid("format", "must be csv or ndjson", status=400)
    return kind


async def export(call: Call, kind: str, name: str, columns: Columns, read: Read) -> Answer:
    """Reads the first page, so that whatever is refused is refused before the file begins."""
    if call.services.exports.taken >= _AT_ONCE:
        raise Problem("too_many", f"{_AT_ONCE} lists are being saved already; try again", {"limit": _AT_ONCE})
    most = call.number("limit", MOST, 1, MOST)
    rows, following = await read(None, min(_PAGE, most))
    file = Export(call, _Lines(kind, columns), f"hivelog-{name}.{kind}", read, most, rows, following)
    return cast("Answer", file)


def fields(*names: str) -> Columns:
    """Columns that are called as the rows' fields are; of `a.b` the last part."""
    return {name.rpartition(".")[2]: attrgetter(name) for name in names}


def whole(rows: Sequence[Any]) -> Read:
    """Reads a list that has no pages."""

    async def read(after: str | None, limit: int) -> tuple[Sequence[Any], str | None]:
        return rows, None

    return read


class Export:
    """An answer (see answers.Answer) that is written while it is read."""

    def __init__(
        self,
        call: Call,
        lines: _Lines,
        name: str,
        read: Read,
        most: int,
        rows: Sequence[Any],
        following: str | None,
    ) -> None:
        self._slots, self._receive = call.services.exports, call.receive
        self._abort = abort_of(call.scope)
        self._lines, self._name, self._read = lines, name, read
        self._left, self._rows, self._next = most, rows, following

    async def send(self, send: Send) -> None:
        """Until the end, a bound, or the client leaves. Cut off when it cannot be whole: that must show."""
        self._slots.taken += 1
        writer = asyncio.create_task(self._write(send), name="export")
        leaver = asyncio.create_task(_left(self._receive), name="export client")
        try:
            await asyncio.wait([writer, leaver], return_when=asyncio.FIRST_COMPLETED, timeout=_LONGEST)
            if not writer.done():
                self._abort()
            elif (error := writer.exception()) is not None:
                _log.warning("export_cut_off", list=self._name, error=type(error).__name__)
                self._abort()
        finally:
            self._slots.taken -= 1
            await stop_tasks(writer, leaver)

    async def _write(self, send: Send) -> None:
        headers = [
            (b"content-type", _TYPES[self._lines.kind]), NO_STORE, *SECURITY,
            (b"content-disposition", b'attachment; filename="%s"' % self._name.encode()),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _chunk(send, self._lines.head())
        while True:
            rows = self._rows[: self._left]
            self._left -= len(rows)
            if rows:
                await _chunk(send, self._lines.of(rows))
            if self._next is None or self._left <= 0:
                break
            self._rows, self._next = await self._read(self._next, min(_PAGE, self._left))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _chunk(send: Send, body: bytes) -> None:
    async with asyncio.timeout(_FROZEN):
        await send({"type": "http.response.body", "body": body, "more_body": True})


class _Lines:
    """Rows as lines of a kind of file."""

    def __init__(self, kind: str, columns: Columns) -> None:
        self.kind, self._columns = kind, columns

    def head(self) -> bytes:
        return _csv([list(self._columns)]) if self.kind == "csv" else b""

    def of(self, rows: Sequence[Any]) -> bytes:
        if self.kind == "ndjson":
            return b"".join([_encode(row) + b"\n" for row in rows])
        return _csv([[cell(value(row)) for value in self._columns.values()] for row in rows])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def cell(value: Any) -> str:
    """As a spreadsheet has it: words of a list, anything deeper as JSON; a text is never a formula."""
    if value is None or value is msgspec.UNSET:
        return ""
    if isinstance(value, msgspec.Raw):
        return "" if bytes(value) == b"null" else bytes(value).decode("utf-8", "replace")
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return _harmless(" ".join(value))
    return _harmless(value) if isinstance(value, str) else _encode(value).decode()


def _harmless(text: str) -> str:
    # Spreadsheets run what begins like a formula; a quote before it makes it text.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
