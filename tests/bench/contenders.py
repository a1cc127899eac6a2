"""What a contender can be asked to do, and the two peers.

Every operation runs in processes of its own, on a fresh database of the same server, and prints its
figures; rates are jobs a second.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from .server import Server

GRAPHILE = Path(__file__).parent / "peers" / "graphile"
ROOT = Path(__file__).parents[2]
TIMEOUT = 600


class Contender(Protocol):
    """The operations that both sides of a row provide."""

    name: str

    def run_waiting(self, jobs: int, concurrency: int) -> float:
        """Jobs a second of one worker process, from its first claim to the last commit."""

    def bulk(self, jobs: int) -> float:
        """Jobs a second that one client enqueues, 1,000 a call."""

    def concurrent_singles(self, jobs: int, clients: int) -> float:
        """Jobs a second that `clients` tasks of one process enqueue, one a call."""

    def end_to_end(self, jobs: int, concurrency: int) -> float:
        """Jobs a second, from the first enqueue to the last commit, both going on at once."""

    def latency(self, samples: int) -> list[float]:
        """Milliseconds from the enqueue call to the handler's start in another process."""


def figures(
    command: list[str], cwd: Path = ROOT, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a process and read the last line it printed. Raises RuntimeError with its errors."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=cwd,
        env=environment,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


class PgQueuer:
    """The fastest PostgreSQL-backed Python queue found."""

    name = "pgqueuer"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = ""

    @staticmethod
    def version() -> str:
        return f"PgQueuer {version('pgqueuer')}, asyncpg {version('asyncpg')}"

    def _ask(self, operation: str, jobs: int, concurrency: int = 10) -> dict[str, Any]:
        options = ["--dsn", self.url, "--jobs", str(jobs), "--concurrency", str(concurrency)]
        module = "tests.bench.peers.pgqueuer_peer"
        return figures([sys.executable, "-m", module, operation, *options])

    def _prepare(self) -> None:
        self.url = self.server.fresh("bench_pgqueuer")
        self._ask("install", 0)

    def run_waiting(self, jobs: int, concurrency: int) -> float:
        self._prepare()
        self._ask("bulk", jobs)
        self.server.checkpoint()
        told = self._ask("work", jobs, concurrency)
        return jobs / float(told["last_ns"] - told["first_ns"]) * 1e9

    def bulk(self, jobs: int) -> float:
        self._prepare()
        return jobs / float(self._ask("bulk", jobs)["seconds"])

    def concurrent_singles(self, jobs: int, clients: int) -> float:
        self._prepare()
        told = self._ask("singles", jobs, clients)
        return float(told["jobs"] / told["seconds"])

    def end_to_end(self, jobs: int, concurrency: int) -> float:
        self._prepare()
        return jobs / float(self._ask("end_to_end", jobs, concurrency)["seconds"])

    def latency(self, samples: int) -> list[float]:
        self._prepare()
        return [float(age) for age in self._ask("latency", samples)["ages_ms"]]


class Graphile:
    """The fastest PostgreSQL queue found in any language; it deletes finished jobs."""

    name = "graphile"

    def __init__(self, server: Server) -> None:
        self.server = server

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None. Installs its locked packages when npm is there."""
        if not (shutil.which("node") and shutil.which("npm")):
            return "Node.js (node and npm) is not installed"
        if (GRAPHILE / "node_modules" / "graphile-worker").exists():
            return None
        command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=GRAPHILE, capture_output=True, text=True, check=False)
        return f"npm ci failed: {done.stderr.strip()[-300:]}" if done.returncode else None

    @staticmethod
    def version() -> str:
        package = GRAPHILE / "node_modules" / "graphile-worker" / "package.json"
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        found = json.loads(package.read_text())["version"]
        return f"Graphile Worker {found}, Node {node.stdout.strip()}"

    def run_waiting(self, jobs: int, concurrency: int) -> float:
        url = self.server.fresh("bench_graphile")
        told = figures(["node", "bench.mjs", url, str(jobs), str(concurrency)], GRAPHILE)
        return jobs / float(told["seconds"])
