"""Real `hivelog serve` and `hivelog worker` processes for a browser to look at."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from ..cli_world import TOKEN, environment_of, free_port
from . import work

Process = subprocess.Popen[bytes]
T = TypeVar("T")
_ROOT = Path(__file__).parents[2]


class Site:
    """Its address, an admin's HTTP client, and the processes; the server can be killed and come back."""

    def __init__(self, database: str, redis_url: str, folder: Path) -> None:
        self.database = database
        self.environment = environment_of(database, redis_url, folder) | {
            "HIVELOG_HEARTBEAT_SECONDS": "1", "HIVELOG_DEAD_AFTER_SECONDS": "60", "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        self._log = (folder / "processes.log").open("ab")
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        headers = {"authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=self.base, headers=headers, timeout=30)
        self.cookies: Any = None  # of a browser that logged in
        self._running: list[Process] = []
        self.server: Process | None = None

    def start(self, *arguments: str, **more: str) -> Process:
        """A `hivelog` command that runs until `close`."""
        command = [sys.executable, "-P", "-m", "hivelog.cli", *arguments]
        process = subprocess.Popen(command, env=self.environment | more, stdout=self._log, stderr=self._log)
        self._running.append(process)
        return process

    def serve(self) -> None:
        self.server = self.start("serve", "--port", str(self.port), "--no-migrate")
        until(self._ready, 60)

    def work(self, *queues: str, name: str = "ann", slots: int = 8) -> Process:
        words = (word for queue in queues for word in ("--queue", queue))
        return self.start(
            "worker", "--handlers", work.__name__, *words, "--concurrency", str(slots), "--name", name
        )

    def kill_server(self) -> None:
        """As a crash would: nobody is told."""
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()

    def _ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.client.get("/health/ready").status_code == 200
        return False

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.client.request(method, path, json=body, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query)

    def enqueue(self, queue: str, kind: str, payload: Any = None, **metadata: Any) -> str:
        body = {"type": kind, "payload": payload or {}, "metadata": metadata}
        return str(self.ask("POST", f"/queue/{queue}/jobs", body)["job"]["id"])

    def job(self, job: str) -> dict[str, Any]:
        return dict(self.get(f"/job/{job}")["job"])

    def settled(self) -> None:
        """Every projection has read what was written so far, and search has too."""
        position = self.get("/queue/status")["position"]
        asked = f"/jobs?limit=1&q=a&after_position={position}"
        until(lambda: self.client.get(asked).status_code == 200, 60)

    def close(self) -> None:
        """Killed: a worker would wait for jobs that never end, and the database goes anyway."""
        for process in self._running:
            process.kill()
            process.wait()
        self.client.close()
        self._log.close()


def until(condition: Callable[[], T], seconds: float = 30, why: str = "it did not happen") -> T:
    """Poll until it is true; its value."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


@contextlib.contextmanager
def running(database: str, redis_url: str, folder: Path) -> Iterator[Site]:
    """A server that answers; workers are the caller's business."""
    os.makedirs(folder, exist_ok=True)
    site = Site(database, redis_url, folder)
    try:
        site.serve()
        yield site
    finally:
        site.close()
