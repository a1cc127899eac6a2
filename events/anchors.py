"""Anchors: seals published where whoever can alter the database cannot reach.

A chain of seals shows every change but one: that its end was cut off, seals and all. An anchor outside says
how far the log had come. It is a line of JSON, at most one in `every` seconds: to a file (on another
volume), to a URL, and always to the process's own log.

    publisher = Publisher(file=..., url=..., every=300); sealer.sealed.append(publisher.sealed)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from ..stopping import stop_tasks
from . import signing, times
from .seals import Seal

_log = structlog.get_logger(__name__)

_PATIENCE: Final = 10.0  # seconds for the URL
_LONGEST: Final = 4096  # bytes of a line
_READ: Final = 64 * 1024 * 1024  # bytes of a file, from its end


class Anchor(Struct, frozen=True):
    """`seal` is the hash of the seal at `position`, in hexadecimal; `key` its public key."""

    position: int
    epoch: int
    seal: str
    sealed_at: str
    key: str


def anchor_of(seal: Seal) -> Anchor:
    at = times.to_text(seal.sealed_at // 1000)
    return Anchor(seal.position, seal.epoch, seal.hash.hex(), at, signing.to_text(seal.public))


class Publisher:
    """Publishes at most one anchor in `every` seconds. What cannot be published is logged; the next goes
    further."""

    def __init__(self, *, file: Path | None, url: str | None, every: float) -> None:
        self._file, self._url, self._every = file, url, every
        self._latest: Seal | None = None
        self._wait: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def sealed(self, seal: Seal) -> None:
        """A new seal: publish it, or a later one, as soon as it is time."""
        self._latest = seal
        if self._wait is None or self._wait.done():
            self._wait = asyncio.create_task(self._when_due(), name="anchor")

    async def _when_due(self) -> None:
        published: Seal | None = None
        while (latest := self._latest) is not None and latest is not published:  # one may come meanwhile
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            self._not_before = time.monotonic() + self._every
            published = self._latest
            assert published is not None
            await self.publish(anchor_of(published))

    async def stop(self) -> None:
        """What was sealed last is published at once."""
        waits = self._wait is not None and not self._wait.done()
        await stop_tasks(self._wait)
        if waits and self._latest is not None:
            await self.publish(anchor_of(self._latest))

    async def publish(self, anchor: Anchor) -> None:
        _log.info("anchor", **msgspec.to_builtins(anchor))
        line = msgspec.json.encode(anchor) + b"\n"
        if self._file is not None:
            try:
                await asyncio.to_thread(_append, self._file, line)
            except OSError as error:
                _log.error("anchor_not_written", path=str(self._file), error=error.strerror)
        if self._url is not None:
            await _post(self._url, line)


def _append(path: Path, line: bytes) -> None:
    """One write to the end: several processes may share the file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _post(url: str, line: bytes) -> None:
    import httpx

    try:
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            answer = await client.post(url, content=line, headers={"content-type": "application/json"})
            answer.raise_for_status()
    except httpx.HTTPError as error:
        # The URL may hold a secret: only the kind of failure is told.
        _log.error("anchor_not_posted", error=type(error).__name__)


def read(path: Path) -> list[Anchor]:
    """The anchors in a file, the newest 64 MiB of it. Lines that are none raise ValueError, OSError as
    usual."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size > _READ:
            file.seek(size - _READ)
            file.readline()
        return parse(file)


def parse(lines: Iterable[bytes]) -> list[Anchor]:
    """From lines of JSON; raises ValueError."""
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line[:_LONGEST], type=Anchor))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"line {number} is no anchor: {error}") from None
    return found
