"""A small disk of its own for PostgreSQL, which can really be filled: an ext4 in a file, mounted by a loop device.

Only where this process may mount; `impossible` says why not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import subprocess
from pathlib import Path

from hivelog.embedded import places

_SIZE = 1 << 30  # sparse: it takes only what is written
_PIECES = (1 << 26, 1 << 20, 1 << 12)  # bytes that are asked for, until there is not even the least left


class Disk:
    """Mounted while it lives. `folder` is its root."""

    def __init__(self, image: Path) -> None:
        self.folder = places.root_state() / f"disk-{secrets.token_hex(4)}"
        with image.open("wb") as file:
            file.truncate(_SIZE)
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        self.folder.mkdir()
        try:
            _run("mount", "-o", "loop", str(image), str(self.folder))
        except OSError:
            self.folder.rmdir()
            raise
        finally:
            image.unlink()  # the mount keeps it, and nothing stays behind after it
        self.folder.chmod(0o755)
        self._ballast = self.folder / "ballast"

    def fill(self) -> None:
        """Until there is no room for one more block."""
        with self._ballast.open("ab") as file:
            for piece in _PIECES:
                with contextlib.suppress(_Full):
                    while True:
                        _allocate(file.fileno(), piece)

    def clear(self) -> None:
        """Room again."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        _run("umount", "--lazy", str(self.folder))
        self.folder.rmdir()


def impossible(folder: Path) -> str:
    """Why there can be no disk here; empty if there can. Tried out in `folder`."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    try:
        Disk(folder / "tried.image").remove()
    except OSError as error:
        return f"no small disk can be mounted: {error}"
    return ""


class _Full(Exception):
    """No piece of this size is left."""


def _allocate(file: int, size: int) -> None:
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
