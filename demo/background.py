"""Handlers of the queues ``background`` and ``default``: chores on the demo's own files."""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from .. import JobContext, handler
from .breakage import disturb
from .environment import data_dir
from .export import export_usage
from .files import below, old_files, remove_old, write_atomically
from .text import encode_index, index_files, sentences, summarise

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class CleanupRequest(msgspec.Struct):
    """The payload of `cleanup`; `folder` is relative to the demo's directory."""

    folder: Name = "scratch"
    older_than_seconds: Annotated[float, msgspec.Meta(ge=0)] = 3600.0
    limit: Annotated[int, msgspec.Meta(ge=1)] = 1000


class IndexRequest(msgspec.Struct):
    """The payload of `index_documents`: how many text files to keep in which collection."""

    collection: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")] = "handbook"
    documents: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 60


class ChecksumRequest(msgspec.Struct):
    """The payload of `checksum`."""

    folder: Name = "reports"


class ExportRequest(msgspec.Struct):
    """The payload of `slow_export`."""

    rows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0


class FlakyRequest(msgspec.Struct):
    """The payload of `flaky`: the seed decides what goes wrong, and how often."""

    seed: int


class ChatRequest(msgspec.Struct):
    """The payload of `chat_summary`."""

    session_id: str
    messages: list[str] = msgspec.field(default_factory=list)


@handler("cleanup", queue="background", timeout=300)
async def clean_up(ctx: JobContext, payload: CleanupRequest) -> dict[str, int]:
    """Delete old files of one folder; answers how many and how many bytes were freed."""
    before = time.time() - payload.older_than_seconds
    await ctx.progress(10, f"looking through {payload.folder}")
    removed = await asyncio.to_thread(remove_old, data_dir(), payload.folder, before, payload.limit)
    return {"files": removed.files, "bytes": removed.bytes}


@handler("index_documents", queue="background", timeout=600)
async def index_documents(ctx: JobContext, payload: IndexRequest) -> dict[str, Any]:
    """Build an inverted index over a collection's text files; answers its size."""
    root = data_dir()
    folder = below(root, f"documents/{payload.collection}")
    await ctx.progress(5, "collecting documents")
    paths = await asyncio.to_thread(_write_documents, folder, payload)
    index: dict[str, list[str]] = {}
    steps = index_files(paths, root)
    while (step := await asyncio.to_thread(next, steps, None)) is not None:
        count, index = step
        await ctx.progress(10 + 85 * count // len(paths), f"{count} of {len(paths)} documents")
    name = f"indexes/{payload.collection}.json"
    size = await asyncio.to_thread(write_atomically, below(root, name), encode_index(index))
    return {"file": name, "documents": len(paths), "words": len(index), "bytes": size}


@handler("checksum", queue="background", timeout=300, isolation="process")
def checksum(ctx: JobContext, payload: ChecksumRequest) -> dict[str, Any]:
    """SHA-256 over every file of a folder, names included; in a process of its own."""
    root = data_dir()
    digest, total, count = hashlib.sha256(), 0, 0
    for path, size in sorted(_finished_files(below(root, payload.folder))):
        content = _read_if_there(path)
        digest.update(path.relative_to(root.resolve()).as_posix().encode() + b"\0" + content)
        total, count = total + size, count + 1
    return {"sha256": digest.hexdigest(), "files": count, "bytes": total}


@handler("slow_export", queue="background", timeout=3600)
async def slow_export(ctx: JobContext, payload: ExportRequest) -> dict[str, Any]:
    """Write a CSV file at a gentle pace; stops soon after a cancellation and leaves no file."""
    name = f"exports/{ctx.job.id}.csv"
    path = below(data_dir(), name)
    seed = zlib.crc32(str(ctx.job.id).encode())
    size = await export_usage(path, seed, payload.rows, payload.seconds, ctx)
    return {"file": name, "rows": payload.rows, "bytes": size}


@handler("flaky", queue="background", timeout=60)
def flaky(ctx: JobContext, payload: FlakyRequest) -> dict[str, int]:
    """Fail on most first attempts, in one of several ways; later attempts mostly succeed."""
    disturb(payload.seed, ctx.attempt)
    return {"attempt": ctx.attempt}


@handler("chat_summary", queue="default", timeout=60)
async def chat_summary(ctx: JobContext, payload: ChatRequest) -> dict[str, Any]:
    """The three sentences that say most of a chat; made up when the chat was left out."""
    messages = payload.messages or sentences(zlib.crc32(payload.session_id.encode()), 40)
    return {"messages": len(messages), "summary": summarise(messages)}


def _write_documents(folder: Path, payload: IndexRequest) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.txt" for number in range(payload.documents)]
    for number, path in enumerate(paths):
        if not path.exists():
            seed = zlib.crc32(f"{payload.collection}/{number}".encode())
            write_atomically(path, "\n".join(sentences(seed, 40)).encode())
    return paths


def _finished_files(folder: Path) -> Iterator[tuple[Path, int]]:
    found = old_files(folder, time.time())
    return ((path, size) for path, size in found if path.suffix != ".part")


def _read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # removed by a clean-up since it was listed
        return b""
