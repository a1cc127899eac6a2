"""One Hivelog installation of the bench: its settings, and its real serve and worker processes."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from .contenders import ROOT

_COMMAND = str(Path(sys.executable).with_name("hivelog"))
PATIENCE = 300.0  # seconds

Process = subprocess.Popen[bytes]


class Installation:
    """Where it stands, who may log in, and how its processes are started and stopped."""

    def __init__(
        self, database_url: str, redis_url: str, queue: str, *, encrypted: bool, folder: Path | None = None
    ) -> None:
        """`folder`: where its keys are kept; a new one unless given."""
        self.database_url, self.redis_url = database_url, redis_url
        self.queue, self.encrypted = queue, encrypted
        self.folder = folder or Path(tempfile.mkdtemp(prefix="hivelog-bench-side-"))
        self.folder.mkdir(exist_ok=True)
        self.echo = self.folder / "echo"
        self.token = secrets.token_urlsafe(24)
        self.environment = self._settings()

    def _settings(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        return kept | {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "HIVELOG_DATA": str(self.folder),
            "HIVELOG_ADMIN_TOKEN": self.token,
            "MESSAGING_ENCRYPTION_ENABLED": "true" if self.encrypted else "false",
            "LOG_LEVEL": "warning",
            "BENCH_ECHO": "",
            # A key that is new at each start would have all of a kept database indexed anew.
            **({"MESSAGING_ENCRYPTION_KEY": key} if self.encrypted else {}),
        }

    @property
    def login(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def migrate(self) -> None:
        self._run([_COMMAND, "migrate"])

    def make_queue(self) -> None:
        """The queue of the bench, without a limit, made over the API as a user would."""
        with self.serving() as (_, base):
            url = f"{base}/queue/{self.queue}"
            httpx.put(url, json={"max_workers": None}, headers=self.login).raise_for_status()

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip()[-2000:]}")

    @contextmanager
    def _process(self, *arguments: str) -> Iterator[Process]:
        """A hivelog process; stopped as an operator stops it."""
        errors = self.folder / f"{arguments[0]}.log"
        with errors.open("ab") as log:
            process = subprocess.Popen(
                [_COMMAND, *arguments], env=self.environment, cwd=ROOT, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def serving(self) -> Iterator[tuple[Process, str]]:
        """One serve that is ready, and its base URL."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        with self._process("serve", "--host", "127.0.0.1", "--port", str(port)) as process:
            wait_until(lambda: _ready(base), process)
            yield process, base

    @contextmanager
    def working(self, concurrency: int) -> Iterator[Process]:
        """One worker process, started; its session need not stand yet."""
        options = ["--queue", self.queue, "--concurrency", str(concurrency), "--name", "bench"]
        with self._process("worker", "--handlers", "tests.bench.handlers", *options) as process:
            yield process


def _ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(condition: Callable[[], bool], process: Process, every: float = 0.05) -> None:
    """Poll until true. Raises RuntimeError when the process ends, TimeoutError after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process.args!r}")
        time.sleep(every)


def wait_until_left(count: Callable[[], int], left: int, process: Process) -> None:
    """Poll until at most `left` are left. Raises as `wait_until` does.

    In steps of half the time that the rest takes at the rate seen so far, since each question costs a rate.
    """
    first = count()
    began = time.monotonic()
    deadline = began + PATIENCE
    while (now := count()) > left:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process.args!r}")
        if now == first:
            began = time.monotonic()
        rate = (first - now) / (time.monotonic() - began) if now < first else 0
        time.sleep(min(max((now - left) / rate / 2, 0.005), 0.2) if rate else 0.02)
