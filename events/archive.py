"""Events on their way out of the database: one compressed file of JSON lines a partition, and a manifest.

    manifest = await write(connection, Path("/archive"), first, last)
    for event in events(Path("/archive"), after=0): ...

A file is there whole or not at all: written under another name, synced, renamed, the manifest last. Gzip,
because everything reads it: zcat, jq, DuckDB (`read_json_auto('*.ndjson.gz')`), and Python without a package.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from .. import sql
from . import times
from .pool import Connection

PAGE: Final = 10_000  # positions a statement
_LEVEL: Final = 3
_GZIP: Final = 31  # window bits: with a gzip header

Progress = Callable[[int, int], None]


class ArchiveError(Exception):
    """The archive cannot be written, or is not what its manifest says."""


class ArchivedSeal(Struct, frozen=True):
    """The last seal that the file reaches to: with it, and the public key, its events can be proved."""

    position: int
    root: str
    signature: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What is in `file`: `count` events, all in first..last. Hashes and roots in hexadecimal."""

    format: str = "hivelog events 1"
    file: str
    first: int
    last: int
    count: int
    first_at: str
    last_at: str
    bytes: int
    sha256: str
    seal: ArchivedSeal | None


def stem(first: int, last: int) -> str:
    return f"events-{first:015d}-{last:015d}"


async def write(
    connection: Connection, directory: Path, first: int, last: int,
    progress: Progress = lambda done, total: None,
) -> Manifest:  # fmt: skip
    """Archive the events in first..last, unless that was done. Raises ArchiveError, psycopg.Error."""
    try:
        done = await asyncio.to_thread(_existing, directory, first, last)
        if done is not None:
            return done
        return await _write(connection, directory, first, last, progress)
    except OSError as error:
        raise ArchiveError(f"the archive cannot be written: {error.strerror or error}") from error


def _existing(directory: Path, first: int, last: int) -> Manifest | None:
    path = directory / f"{stem(first, last)}.json"
    if not path.exists():
        return None
    manifest = read_manifest(path)
    check(directory, manifest)
    return manifest


async def _write(
    connection: Connection, directory: Path, first: int, last: int, progress: Progress
) -> Manifest:
    name = f"{stem(first, last)}.ndjson.gz"
    temporary = directory / f".{name}.{os.getpid()}"
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            written = _Written(file)
            for low in range(first, last + 1, PAGE):
                high = min(low + PAGE - 1, last)
                await _page(connection, written, low, high)
                progress(high - first + 1, last - first + 1)
            size, digest = await asyncio.to_thread(written.close)
        temporary.rename(directory / name)
    finally:
        temporary.unlink(missing_ok=True)
    assert written.first_at is not None
    assert written.last_at is not None
    manifest = Manifest(
        file=name, first=first, last=last, count=written.count, bytes=size, sha256=digest,
        first_at=times.to_text(times.milliseconds(written.first_at)),
        last_at=times.to_text(times.milliseconds(written.last_at)), seal=await _seal(connection, last),
    )  # fmt: skip
    await asyncio.to_thread(_store, directory, f"{stem(first, last)}.json", manifest)
    return manifest


class _Written:
    """A gzip stream into a file, and what went into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._packer = file, zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._digest, self._size = sha256(), 0
        self.count = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None

    def add(self, lines: bytes) -> None:
        self._put(self._packer.compress(lines))

    def close(self) -> tuple[int, str]:
        """Bytes and SHA-256 of the file, which is on the disk now."""
        self._put(self._packer.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._size, self._digest.hexdigest()

    def _put(self, packed: bytes) -> None:
        self._file.write(packed)
        self._digest.update(packed)
        self._size += len(packed)


async def _page(connection: Connection, written: _Written, low: int, high: int) -> None:
    cursor = await connection.execute(sql.load("archive_lines"), {"first": low, "last": high}, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    if row[0] != high - low + 1:
        raise ArchiveError(f"positions are missing between {low} and {high}: see `hivelog audit verify`")
    await asyncio.to_thread(written.add, row[1].encode())
    written.count += row[0]
    written.first_at, written.last_at = written.first_at or row[2], row[3]


async def _seal(connection: Connection, last: int) -> ArchivedSeal | None:
    query = (
        "select position, root, signature from hivelog.seals where position >= %s"
        " order by position limit 1"
    )
    row = await (await connection.execute(query, (last,))).fetchone()
    return None if row is None else ArchivedSeal(row[0], bytes(row[1]).hex(), bytes(row[2]).hex())


def _store(directory: Path, name: str, manifest: Manifest) -> None:
    temporary = directory / f".{name}.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(directory / name)
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# -- reading ---------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, OSError) as error:
        raise ArchiveError(f"{path.name} is no manifest of an archive: {error}") from error


def manifests(directory: Path) -> list[Manifest]:
    """In order of positions. Raises ArchiveError where there is none."""
    found = [read_manifest(path) for path in sorted(directory.glob("events-*.json"))]
    if not found:
        raise ArchiveError(f"there is no archive in {directory}")
    return sorted(found, key=lambda manifest: manifest.first)


def check(directory: Path, manifest: Manifest) -> None:
    """Whether the file is the one that was written. Raises ArchiveError."""
    try:
        with (directory / manifest.file).open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"{manifest.file} cannot be read: {error.strerror}") from error
    if digest != manifest.sha256:
        raise ArchiveError(f"{manifest.file} is not what was archived: its SHA-256 differs")


def events(directory: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """Events after a position, in order. Each file is checked first; raises ArchiveError."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for manifest in manifests(directory):
        if manifest.last <= after:
            continue
        check(directory, manifest)
        with gzip.open(directory / manifest.file, "rb") as lines:
            for line in lines:
                event = decode(line)
                if event["position"] > after:
                    yield event
