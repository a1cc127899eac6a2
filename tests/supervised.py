"""Real supervisors with real workers, beside a real server: for the tests of `hivelog supervise`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
from cli_world import TOKEN, World, wait_for

from . import worker_handlers

MODULE = worker_handlers.__name__
QUEUE = "default"


class Crew:
    """What the tests see: the API, the log, and the processes."""

    def __init__(self, world: World, database: str, folder: Path) -> None:
        self.world, self.folder = world, folder
        assert world.url is not None
        headers = {"authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=world.url, headers=headers, timeout=20)
        self.probe = psycopg.connect(database, autocommit=True)

    def close(self) -> None:
        self.client.close()
        self.probe.close()

    @contextlib.contextmanager
    def supervisor(self, *options: str, name: str = "one", **more: str) -> Iterator[subprocess.Popen[str]]:
        """A real `hivelog supervise` of QUEUE; ended with SIGTERM."""
        extra = {"HIVELOG_HEARTBEAT_SECONDS": "1", "HIVELOG_DEAD_AFTER_SECONDS": "120",
                 "PYTHONPATH": str(Path(__file__).parents[1]), **more}  # fmt: skip
        log = (self.folder / f"{name}.log").open("a")
        arguments = ["supervise", "--handlers", MODULE, "--queue", QUEUE, "--name", name, *options]
        with self.world.process(*arguments, extra=extra, stdout=log) as process, log:
            yield process

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def bounds(self, **scaling: int) -> None:
        self.ask("PUT", f"/queue/{QUEUE}", {"scaling": scaling})

    def put(self, kind: str, **payload: Any) -> str:
        body = {"type": kind, "payload": payload}
        return str(self.ask("POST", f"/queue/{QUEUE}/jobs", body)["job"]["id"])

    def job(self, job: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/job/{job}")["job"])

    def rows(self, query: str, *values: Any) -> list[Any]:
        return self.probe.execute(query, values).fetchall()

    def workers(self, of: str = "") -> dict[str, int]:
        """Name -> process id of the living sessions, of one supervisor or all."""
        rows = self.rows("select name, pid from hivelog.sessions where name like %s", f"%@{of}%")
        return dict(rows)

    def until(self, condition: Callable[[], Any], seconds: float = 40) -> Any:
        return wait_for(condition, seconds=seconds)

    def said(self, event: str, of: str = "one") -> int:
        """How often a supervisor or its workers have written this line."""
        return (self.folder / f"{of}.log").read_text().count(event)

    def looked(self, seconds: float) -> None:
        """Wait until each supervisor has looked at everything so many seconds from now."""
        [(then,)] = self.rows("select hivelog.now() + make_interval(secs => %s)", seconds)
        query = "select bool_and(last_seen > %s) from hivelog.supervisors"
        self.until(lambda: self.rows(query, then) == [(True,)])

    def settled(self, count: int, of: str = "") -> dict[str, int]:
        """Wait until so many workers live; they, by name."""
        self.until(lambda: len(self.workers(of)) == count)
        return self.workers(of)

    def told(self, count: int) -> dict[str, Any]:
        """Wait until the supervisors have said that they keep so many, a little after these live; QUEUE's row
        of /workers/status."""

        def row() -> dict[str, Any]:
            rows = self.ask("GET", "/workers/status")["scaling"]
            return dict(next(each for each in rows if each["queue"] == QUEUE))

        self.until(lambda: row()["running"] == count)
        return row()

    def scales(self) -> list[tuple[str, dict[str, Any]]]:
        """(actor, data) of the `scaled` events of QUEUE, oldest first."""
        return self.rows(
            "select a.name, e.data from hivelog.events e join hivelog.actors a on a.id = e.actor"
            " join hivelog.queues q on q.id = e.queue where e.type = 'scaled' and q.name = %s order by e.position",
            QUEUE,
        )

    def events(self, job: str) -> list[str]:
        query = "select type::text from hivelog.events where stream = %s order by version"
        return [row[0] for row in self.rows(query, job)]


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


def took(work: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began
