"""Whoever is told to stop while PostgreSQL hangs is over in a known time, whatever waits for an answer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from . import worker_handlers
from .chaos.servers import Postgres
from .cli_world import TOKEN, environment_of, free_port

GRACE: Final = 1
# Seconds, as docs/operations.md tells.
BOUNDS: Final = {"serve": 15, "worker": GRACE + 15, "supervise": GRACE + 20}
_SLACK: Final = 2.5
QUEUE: Final = "default"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "cluster", {"fsync": "off"})
    try:
        yield server
    finally:
        server.remove()


def test_all_end_in_time(postgres: Postgres, redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    work = ["--handlers", worker_handlers.__name__, "--queue", QUEUE]
    commands = {"serve": ["--port", str(port)], "worker": work, "supervise": work}
    headers = {"authorization": f"Bearer {TOKEN}"}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)
        )
        processes = {}
        for name, options in commands.items():
            environment = environment_of(postgres.url, redis_url, tmp_path) | {
                "HIVELOG_GRACE_SECONDS": str(GRACE), "HIVELOG_HEARTBEAT_SECONDS": "1",
                "HIVELOG_DEAD_AFTER_SECONDS": "60", "PYTHONPATH": str(Path(__file__).parents[1]),
            }  # fmt: skip
            processes[name] = stack.enter_context(process([name, *options], environment, tmp_path / name))
            if name == "serve":
                until(lambda: answers(client))
        until(lambda: client.get("/workers/status").json()["active"] > 1)
        for _ in range(4):
            client.post(f"/queue/{QUEUE}/jobs", json={"type": "hang", "payload": {}})
        until(lambda: client.get(f"/queue/{QUEUE}/stats").json()["stats"]["processing"] == 4)
        postgres.freeze()
        # An append is under way that nobody answers.
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"/queue/{QUEUE}/jobs", json={"type": "hang", "payload": {}}, timeout=1)
        took = stopped(processes)
    assert {name: seconds for name, seconds in took.items() if seconds > BOUNDS[name] + _SLACK} == {}


def test_what_comes_to_no_end_is_ended() -> None:
    """A thread that the interpreter would wait for at its exit, for ever."""
    program = (
        "import threading; from hivelog.stopping import end_within; end_within(0.2);"
        "threading.Thread(target=threading.Event().wait).start()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "stop_overdue" in ended.stdout + ended.stderr


def stopped(processes: dict[str, subprocess.Popen[bytes]]) -> dict[str, float]:
    """Seconds that each takes to end."""
    assert [name for name, each in processes.items() if each.poll() is not None] == [], "it ended by itself"
    began, took = time.monotonic(), {}
    for each in processes.values():
        each.terminate()
    while len(took) < len(processes) and time.monotonic() < began + 60:
        for name, each in processes.items():
            if name not in took and each.poll() is not None:
                took[name] = time.monotonic() - began
        time.sleep(0.05)
    return {name: took.get(name, float("inf")) for name in processes}


@contextlib.contextmanager
def process(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "hivelog.cli", *arguments]
    with log.with_suffix(".log").open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        sys.stdout.write(log.with_suffix(".log").read_text()[-4000:] + os.linesep)


def answers(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/health/ready").status_code == 200
    return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
