"""How processes share one pair of servers: three lock files, no list of process ids to go stale.

`holders.lock`  shared by every process that uses the servers; exclusive to whoever stops them
`start.lock`    exclusive to the process that is starting something
`keeper.lock`   held by the living keeper
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from . import keeper, postgres, valkey
from .places import EmbeddedError, Place


class Servers(TypedDict):
    """What `keeper.stop` needs."""

    pg_ctl: str
    pgdata: str
    valkey_socket: str
    uid: int | None
    gid: int | None


class Share:
    """This process's hold on the servers of one data folder."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._locks = place.data_dir / "embedded"
        self._holders: int | None = self._open("holders.lock")
        fcntl.flock(self._holders, fcntl.LOCK_SH)  # waits while the last holder's servers stop

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Alone in starting servers, with a keeper on watch before the first of them runs."""
        lock = self._open("start.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._ensure_keeper()
            yield
        finally:
            os.close(lock)

    def release(self) -> None:
        """Let go; stop the servers if nobody else holds them, and wait until they have stopped."""
        if (lock := self._holders) is None:
            return
        self._holders = None
        try:
            if _try(lock, fcntl.LOCK_EX):
                keeper.stop(**self._servers())
            elif not _try(lock, fcntl.LOCK_SH):  # not shared either: the keeper is stopping them
                fcntl.flock(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def _open(self, name: str) -> int:
        return os.open(self._locks / name, os.O_RDWR | os.O_CREAT, 0o600)

    def _servers(self) -> Servers:
        account = self._place.account
        return {
            "pg_ctl": str(postgres.binaries(self._place) / "pg_ctl"),
            "pgdata": str(self._place.postgres),
            "valkey_socket": str(valkey.socket_path(self._place)),
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
        }

    def _ensure_keeper(self) -> None:
        lock = self._open("keeper.lock")
        try:
            alive = not _try(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)
        if not alive:
            self._spawn_keeper()

    def _spawn_keeper(self) -> None:
        command = [sys.executable, "-I", "-S", str(Path(keeper.__file__)), str(self._locks)]
        process = subprocess.Popen(  # in its own session: Ctrl-C in our terminal is not for it
            [*command, json.dumps(self._servers())],
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline() != b"keeping\n":
                raise EmbeddedError("the keeper of the embedded servers did not start")
        process.returncode = 0  # it outlives us on purpose


def _try(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
