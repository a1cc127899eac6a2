"""A long export that goes easy on its source: a slice of rows, a pause, the next slice."""

import asyncio
import csv
import io
import os
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Protocol

from .records import Usage, generate

SLICES_PER_SECOND = 4


class ExportCancelledError(RuntimeError):
    """Somebody asked for the job to be cancelled; what was written has been removed."""


class Progress(Protocol):
    """The part of a job's context that a long piece of work needs."""

    @property
    def cancelled(self) -> bool: ...

    def progress(self, percent: int, message: str = ..., /) -> Awaitable[None]: ...


async def export_usage(path: Path, seed: int, rows: int, seconds: float, ctx: Progress) -> int:
    """Write `rows` records as CSV over about `seconds`; answers bytes, raises ExportCancelledError.

    The file gets its name only when it is complete.
    """
    records = await asyncio.to_thread(generate, seed, rows)
    partial = path.with_name(f".{path.name}.part")
    try:
        size = await asyncio.to_thread(_start, partial)
        size += await _write_slices(partial, records, seconds, ctx)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return size


async def _write_slices(path: Path, records: list[Usage], seconds: float, ctx: Progress) -> int:
    written = 0
    slices = max(1, round(seconds * SLICES_PER_SECOND))
    for number in range(slices):
        if ctx.cancelled:
            raise ExportCancelledError(f"stopped after slice {number} of {slices}")
        part = records[len(records) * number // slices : len(records) * (number + 1) // slices]
        written += await asyncio.to_thread(_append, path, part)
        await ctx.progress(100 * (number + 1) // slices, f"{number + 1} of {slices} slices")
        await asyncio.sleep(seconds / slices)
    return written


def _start(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(_lines([Usage._fields]))


def _append(path: Path, rows: Iterable[Usage]) -> int:
    with path.open("ab") as file:
        return file.write(_lines(rows))


def _lines(rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
