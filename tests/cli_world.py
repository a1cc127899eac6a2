"""A migrated database, a Redis, and `hivelog` commands on them: in this process, or as real ones."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hivelog import cli

TOKEN = "a-token-for-the-tests-of-the-cli"


@dataclass
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


class World:
    """Runs commands. `run` in this process, as `main` does it; `process` for what goes on."""

    def __init__(self, environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        self.environment, self._capsys = environment, capsys
        self.url: str | None = None

    def run(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        status = cli.main(list(arguments))
        said = self._capsys.readouterr()
        return Ran(status, said.out, said.err)

    def over_http(self, *arguments: str) -> Ran:
        """The same by the running server."""
        assert self.url is not None
        return self.run(*arguments, "--url", self.url, "--token", TOKEN)

    @contextlib.contextmanager
    def process(
        self, *arguments: str, extra: Mapping[str, str] | None = None, cwd: Path | None = None,
        stdout: Any = subprocess.PIPE,
    ) -> Iterator[subprocess.Popen[str]]:
        """A real `hivelog`, ended with SIGTERM."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hivelog.cli", *arguments],
            env={**self.environment, **(extra or {})}, cwd=cwd, text=True,
            stdout=stdout, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def environment_of(database_url: str | None, redis_url: str | None, data: Path) -> dict[str, str]:
    """This process's, with ours only as given here."""
    ours = ("HIVELOG_", "MESSAGING_", "DATABASE_URL", "REDIS_URL", "LOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    given = {
        "HIVELOG_DATA": str(data), "HIVELOG_ADMIN_TOKEN": TOKEN,
        **({} if database_url is None else {"DATABASE_URL": database_url}),
        **({} if redis_url is None else {"REDIS_URL": redis_url}),
    }  # fmt: skip
    return {**kept, **given, "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def in_environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(world: World) -> Iterator[str]:
    """A real `hivelog serve` that is ready; its URL."""
    port = free_port()
    world.url = f"http://127.0.0.1:{port}"
    with world.process("serve", "--port", str(port)) as process:
        wait_for(lambda: answers(f"{world.url}/health/ready"), process, 60)
        yield world.url


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2).status_code == 200
    return False


def wait_for(condition: Any, process: subprocess.Popen[str] | None = None, seconds: float = 30) -> Any:
    """Poll until it is true; its value. Fails when the process ends before, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if process is not None and process.poll() is not None:
            assert process.stdout is not None
            raise AssertionError(f"ended with {process.returncode}: {process.stdout.read()[-2000:]}")
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
