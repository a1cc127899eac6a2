"""How far a shadow run is: a file beside the keys, a line a step. Ids and verdicts, no contents.

A handler that had begun when its process was killed may have done anything: it is not run a second time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import Struct

from ..events import ids

if TYPE_CHECKING:
    from .shadow import Compared

MOST: Final = 100_000  # ids of unlike jobs that are told


class _Line(Struct, omit_defaults=True):
    """`verdict` None: begun. `enqueued`: what handlers would have, since the line before."""

    job: str
    verdict: str | None = None
    slower: bool = False
    enqueued: dict[str, int] = {}


_decode: Final = msgspec.json.Decoder(_Line).decode


class Journal:
    """`known`: jobs that were begun; `counts` by verdict, and slower; `unlike`: ids, different or failed."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._file = path, descriptor
        self.known: set[bytes] = set()
        self.counts: Counter[str] = Counter()
        self.enqueued: Counter[str] = Counter()
        self.unlike: list[str] = []
        self._ended = 0

    @classmethod
    def begin(cls, folder: Path, action_id: str) -> Self:
        """Raises OSError."""
        path = _path(folder, action_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600))

    @classmethod
    def resume(cls, folder: Path, action_id: str) -> Self:
        """As an earlier call left it. Raises FileNotFoundError where none was made."""
        path = _path(folder, action_id)
        written = path.read_bytes()
        journal = cls(path, os.open(path, os.O_WRONLY | os.O_APPEND))
        for line in written.split(b"\n")[:-1]:  # the last is empty, or torn
            journal._take(_decode(line))
        if written and not written.endswith(b"\n"):
            os.ftruncate(journal._file, written.rfind(b"\n") + 1)
        return journal

    @property
    def interrupted(self) -> int:
        """Begun, and never ended."""
        return len(self.known) - self._ended

    def began(self, job: bytes) -> None:
        self._write(_Line(job.hex()))

    def ended(self, job: bytes, one: Compared, enqueued: Mapping[str, int]) -> None:
        self._write(_Line(job.hex(), one.verdict, one.slower, dict(enqueued)))

    def forget(self) -> None:
        """It is over, and the log has its counts."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: _Line) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")
        self._take(line)

    def _take(self, line: _Line) -> None:
        job = bytes.fromhex(line.job)
        self.known.add(job)
        if line.verdict is None:
            return
        self._ended += 1
        self.counts[line.verdict] += 1
        self.counts["slower"] += line.slower
        self.enqueued.update(line.enqueued)
        if line.verdict != "equal" and len(self.unlike) < MOST:
            self.unlike.append(ids.to_text(job))


def _path(folder: Path, action_id: str) -> Path:
    return folder / "replay" / f"{action_id}.ndjson"
