"""The processes under test: two `serve` and three `worker`, each with its own network to both servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ..proxy import Proxy, before_socket
from .servers import Postgres, Valkey

TOKEN = "a-token-for-the-chaos-run"
HEARTBEAT, DEAD_AFTER, GRACE = 2, 6, 5  # seconds
ROOT = Path(__file__).parents[2]


@dataclass
class Member:
    """A process that may die and is started again under a new name: its record is its own."""

    kind: str
    number: int
    database: Proxy
    redis: Proxy
    environment: dict[str, str]
    folder: Path
    port: int = 0
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)  # one fault at a time

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}.{self.starts}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def clock(self) -> Path:
        return self.folder / f"{self.kind}-{self.number}.clock"

    def start(self) -> None:
        self.starts += 1
        arguments = ["serve", "--port", str(self.port), "--no-migrate"]
        if self.kind == "worker":
            arguments = ["worker", "-m", "tests.chaos.handlers", "-c", "8", "--name", self.name]
        with (self.folder / f"{self.kind}-{self.number}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hivelog.cli", *arguments],
                env=self.environment | {"CHAOS_NAME": self.name, "CHAOS_CLOCK": str(self.clock)}, cwd=ROOT, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.alive():
            assert self.process is not None
            self.process.send_signal(number)

    def step_clock(self, seconds: float) -> None:
        """Its wall clock is off by so much from now on (`clock/sitecustomize.py`)."""
        draft = self.clock.with_suffix(".new")
        draft.write_text(f"{seconds}")
        draft.replace(self.clock)

    async def ended(self) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait)


class Fleet:
    """All members. `urls` are the addresses of the API."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def of(self, kind: str) -> list[Member]:
        return [member for member in self.members if member.kind == kind]

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.of("serve")]

    def start(self) -> None:
        for member in self.members:
            member.start()

    async def answering(self, seconds: float = 240) -> None:
        """Until every server says that it is there."""
        async with httpx.AsyncClient() as client, asyncio.timeout(seconds):
            for url in self.urls:
                while not await _ready(client, url):
                    await asyncio.sleep(0.1)

    def died(self) -> list[Member]:
        """Those that ended though nobody meant it (faults that end a process hold its lock)."""
        return [member for member in self.members if not member.alive() and not member.busy.locked()]

    def kill(self) -> None:
        for member in self.members:
            member.signal(signal.SIGKILL)
            if member.process is not None:
                member.process.wait()

    async def stop(self, members: Iterable[Member] | None = None) -> None:
        """SIGTERM, and wait for their end."""
        chosen = self.members if members is None else members
        for member in chosen:
            member.signal(signal.SIGTERM)
        for member in chosen:
            await asyncio.wait_for(member.ended(), 60)


async def _ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.asynccontextmanager
async def fleet(
    postgres: Postgres, valkey: Valkey, folder: Path, *, serves: int = 2, workers: int = 3
) -> AsyncIterator[Fleet]:
    """The processes, not started yet; killed at the end, if they still live."""
    async with contextlib.AsyncExitStack() as stack:
        members = []
        kinds = [("serve", n + 1) for n in range(serves)] + [("worker", n + 1) for n in range(workers)]
        for kind, number in kinds:
            database = before_socket(postgres.socket, "postgresql://hivelog@127.0.0.1:{port}/hivelog")
            redis = before_socket(valkey.socket, "redis://127.0.0.1:{port}/0")
            proxies = [await stack.enter_async_context(proxy) for proxy in (database, redis)]
            environment = _environment(folder, *proxies)
            members.append(Member(kind, number, *proxies, environment, folder, _free_port()))
        made = Fleet(members)
        stack.callback(made.kill)
        yield made


def _environment(folder: Path, database: Proxy, redis: Proxy) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database.url, "REDIS_URL": redis.url, "HIVELOG_ADMIN_TOKEN": TOKEN,
        "HIVELOG_HEARTBEAT_SECONDS": str(HEARTBEAT), "HIVELOG_DEAD_AFTER_SECONDS": str(DEAD_AFTER),
        "HIVELOG_GRACE_SECONDS": str(GRACE), "HIVELOG_DATA": str(folder), "CHAOS_RECORDS": str(folder),
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parent / 'clock'}", "LOG_FORMAT": "json",
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
