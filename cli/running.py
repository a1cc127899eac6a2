"""Which `hivelog up` runs on a data folder: a note beside the data, locked while its process lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from .errors import CommandError

_NOTE = "up.json"


class Running(Struct, frozen=True):
    """A running `up`: its process and the address of its API."""

    pid: int
    url: str


def find(data: Path) -> Running | None:
    """The `up` that runs on this folder, if one does."""
    try:
        descriptor = os.open(data / _NOTE, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else _read(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def announced(data: Path, url: str) -> Iterator[None]:
    """Be the `up` of this folder. Raises CommandError when there is one already."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(data / _NOTE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try(descriptor, fcntl.LOCK_EX):
            other = _read(descriptor)
            where = f" at {other.url} (process {other.pid})" if other else ""
            raise CommandError(
                f"Hivelog runs on {data} already{where}", "use that one, or give another --data and --port"
            )
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(Running(os.getpid(), url)), 0)
        yield
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Running | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Running)
    except msgspec.MsgspecError:
        return None


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
