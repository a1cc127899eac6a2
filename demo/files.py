"""Files below one directory: names that cannot leave it, whole files or none, removal by age."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class UnsafePathError(ValueError):
    """A name that would leave the directory it has to stay in."""


class Removed(NamedTuple):
    files: int
    bytes: int


def below(root: Path, name: str) -> Path:
    """The path of `name` inside `root`, links resolved; raises UnsafePathError."""
    if "\0" in name:
        raise UnsafePathError("a name must not contain NUL")
    base = root.resolve()
    path = (base / name).resolve()
    if path == base or not path.is_relative_to(base):
        raise UnsafePathError(f"{name!r} is not below the demo's directory")
    return path


def write_atomically(path: Path, content: bytes) -> int:
    """Write beside the target, then rename over it: a reader sees all of it or nothing.

    Answers the number of bytes. A crash leaves at most a ``.part`` file, which `cleanup` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return len(content)


def old_files(directory: Path, before: float) -> Iterator[tuple[Path, int]]:
    """Regular files (path, bytes) under `directory` last modified before `before` (Unix time).

    Links are neither followed nor reported, so nothing outside the directory is ever named.
    """
    for folder, _, names in os.walk(directory, followlinks=False):
        for name in names:
            path = Path(folder) / name
            try:
                found = path.lstat()
            except FileNotFoundError:  # another clean-up was quicker
                continue
            if stat.S_ISREG(found.st_mode) and found.st_mtime < before:
                yield path, found.st_size


def remove_old(root: Path, folder: str, before: float, limit: int) -> Removed:
    """Delete at most `limit` old files of `folder`, which must lie below `root`."""
    files = freed = 0
    for path, size in old_files(below(root, folder), before):
        if files >= limit:
            break
        path.unlink(missing_ok=True)
        files, freed = files + 1, freed + size
    return Removed(files, freed)
