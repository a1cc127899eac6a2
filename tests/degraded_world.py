"""Real `hivelog serve` and `hivelog worker` under load, watched from outside: by HTTP, by the feed, by /proc."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from .cli_world import TOKEN, environment_of, free_port
from .test_worker import MODULE, until

Process = subprocess.Popen[bytes]

HEADERS = {"authorization": f"Bearer {TOKEN}"}
FEED = HEADERS | {"accept": "text/event-stream"}


class Site:
    """The processes' environment and what they log, and an HTTP client."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment, self._log = environment, log
        self.queues = ["orders"]
        self.port = free_port()
        self.bases = [self.base]  # servers that a client may turn to
        self.client = httpx.AsyncClient(base_url=self.base, headers=HEADERS, timeout=20)
        self.answered: Counter[int] = Counter()
        self.since = self.slowest = 0.0  # of what was asked since then
        self.acknowledged: dict[str, str] = {}  # job by its idempotency key

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def process(self, *arguments: str) -> Any:
        command = [sys.executable, "-P", "-m", "hivelog.cli", *arguments]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def said(self) -> str:
        """What all of them have logged."""
        return self._log.read_text()

    def serve(self, port: int | None = None) -> Any:
        return self.process("serve", "--port", str(port or self.port))

    def worker(self, name: str, slots: int = 8) -> Any:
        queues = (word for queue in self.queues for word in ("--queue", queue))
        return self.process(
            "worker", "--handlers", MODULE, *queues, "--concurrency", str(slots), "--name", name
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Process, Process]]:
        """A server, the queues, and a worker of them."""
        async with ended_beside(self.serve()) as serve:
            await until(self.is_ready, 40)
            for queue in self.queues:
                answer = await self.client.put(f"/queue/{queue}", json={"max_retries": 0})
                assert answer.status_code in (200, 201), answer.text
            async with ended_beside(self.worker("one")) as worker:
                yield serve, worker

    async def is_ready(self, base: str = "") -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return (await self.client.get(f"{base}/health/ready")).status_code == 200
        return False

    async def timed(self, method: str, path: str, **more: Any) -> httpx.Response:
        began = time.monotonic()
        answer = await self.client.request(method, path, **more)
        if began >= self.since:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.answered[answer.status_code] += 1
        return answer

    async def put(self, key: str, payload: Any) -> bool:
        """One request of a client that would repeat it, with its key, to the next server."""
        self.bases.append(self.bases.pop(0))
        body = {"type": "note", "payload": payload, "metadata": {"max_retries": 0}}
        try:
            answer = await self.timed(
                "POST", f"{self.bases[0]}/queue/orders/jobs", json=body, headers={"idempotency-key": key}
            )
        except httpx.TransportError:
            self.answered[0] += 1
            return False
        if answer.status_code not in (200, 201):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            return False
        job = answer.json()["job"]["id"]
        assert self.acknowledged.setdefault(key, job) == job, "one key, one job"
        return True

    async def produce(
        self, file: Path, jobs: int, every: float, seconds: float = 0.01, enough: asyncio.Event | None = None
    ) -> int:
        """Each job is asked for until it is acknowledged; how many were, when these are `enough`."""
        for number in range(jobs):
            if enough is not None and enough.is_set():
                return number
            payload = {"file": str(file), "n": number, "seconds": seconds}
            while not await self.put(f"key-{number}", payload):
                await asyncio.sleep(0.2)  # as a client pauses before it asks again
            await asyncio.sleep(every)
        return jobs

    async def component(self, name: str) -> tuple[int, str, str]:
        """HTTP status, overall status, and that of one component, as `/health` has them."""
        answer = await self.client.get("/health")
        body = answer.json()
        return answer.status_code, body["status"], body["components"][name]["status"]


@contextlib.asynccontextmanager
async def ended_beside(process: contextlib.AbstractContextManager[Process]) -> AsyncIterator[Process]:
    """The loop goes on while it stops: a proxy that it needs for that may be on it."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(process)
        finally:
            await asyncio.to_thread(stack.close)


@contextlib.asynccontextmanager
async def site(database: str, redis_url: str, data: Path, **more: str) -> AsyncIterator[Site]:
    environment = environment_of(database, redis_url, data) | {
        "HIVELOG_HEARTBEAT_SECONDS": "1", "HIVELOG_DEAD_AFTER_SECONDS": "3", "LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(Path(__file__).parents[1]), **more,
    }  # fmt: skip
    made = Site(environment, data / "log")
    try:
        async with made.client:
            yield made
    finally:
        print(made.said(), file=sys.stderr)  # shown of a test that failed


class Follower:
    """Reads the feed as a browser does: with the id it saw last, again and again."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.positions: list[int] = []
        self.health: list[dict[str, str]] = []
        self.connections = self.resets = 0
        self._last: str | None = None

    @property
    def current(self) -> dict[str, str]:
        """What it knows: a stream that says nothing of it is healthy."""
        healthy = {"database": "healthy", "redis": "healthy"}
        return self.health[-1] if self.health else healthy if self.connections else {}

    async def run(self) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                await self._once()
            await asyncio.sleep(0.1)

    async def _once(self) -> None:
        headers = FEED | ({"last-event-id": self._last} if self._last else {})
        async with self._site.client.stream("GET", "/queue/status", headers=headers) as answer:
            if answer.status_code != 200:
                return
            self.connections += 1
            block: list[str] = []
            async for line in answer.aiter_lines():
                if line:
                    block.append(line)
                else:
                    self._take(dict(item.split(": ", 1) for item in block if ": " in item))
                    block = []

    def _take(self, fields: dict[str, str]) -> None:
        if fields.get("event") == "reset":
            self.resets += 1
        self._last = fields.get("id", self._last)
        if fields.get("event", "message") != "message" or "data" not in fields:
            return
        message = msgspec.json.decode(fields["data"])
        if message["type"] == "job_update":
            self.positions.append(message["position"])
        elif message["type"] == "health":
            self.health.append(message["data"])


def cpu_seconds(*processes: Process) -> float:
    """What these used so far, in user and kernel mode."""
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(of.user + of.system for of in times)


def memory_mib(process: Process) -> float:
    return psutil.Process(process.pid).memory_info().rss / 2**20


def busy_share(before: float, after: float, seconds: float) -> float:
    return (after - before) / seconds


