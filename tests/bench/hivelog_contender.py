"""Hivelog as a contender: real `hivelog worker` and `hivelog serve` processes.

The clock of `run_waiting` starts with the first `started` event and stops when the queue is seen to
be empty from another connection, after the last commit. That connection asks some twenty times a run: when it asked
each 10 ms it cost two cores 8 % of their rate, while PgQueuer, which tells its last commit itself, is not asked.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import redis

from .contenders import figures
from .hivelog_side import LIVE, QUEUE, TYPE
from .idle import cpu_percent
from .installation import Installation, Process, wait_until, wait_until_left
from .memory import watched
from .ours import Counts, HttpFigures, Load, Resources
from .payload import PAYLOAD
from .server import Server

_BODY = f'{{"type": "{TYPE}", "payload": {PAYLOAD.decode()}}}'
_EVENTS = "select type::text, count(*) from hivelog.events group by type"
_VAULT = "select slot, count(*) from hivelog.vault group by slot"
_FIRST_START = """
select extract(epoch from min(recorded_at)) from hivelog.events where type = 'started'
"""
# Positions that are not searchable yet; the last to catch up, since it takes a part of a processor only.
_SEARCH_BEHIND = """
select (select max(b.position) from hivelog.batches b) - s.position from hivelog.search_state s
"""


class Hivelog:
    """One side of the bench, with or without payload encryption."""

    def __init__(self, server: Server, *, encrypted: bool = False) -> None:
        self.name = "encrypted" if encrypted else "ours"
        self.server, self.encrypted = server, encrypted
        self._made: Installation | None = None
        self.url = ""

    def _prepare(self) -> Installation:
        """A fresh database with the schema, an empty Redis, and a queue without a limit."""
        self.url = self.server.fresh("bench_hivelog")
        redis_url = self.server.redis_url
        with redis.Redis.from_url(redis_url) as store:
            store.flushall()
        self.close()
        self._made = Installation(self.url, redis_url, QUEUE, encrypted=self.encrypted)
        self._made.migrate()
        self._made.make_queue()
        self.server.checkpoint()
        return self._made

    def close(self) -> None:
        """Remove what the last operation kept on disk."""
        if self._made:
            shutil.rmtree(self._made.folder, ignore_errors=True)
            self._made = None

    def _ask(self, made: Installation, operation: str, jobs: int, clients: int = 50) -> dict[str, Any]:
        options = ["--jobs", str(jobs), "--clients", str(clients)]
        command = [sys.executable, "-m", "tests.bench.hivelog_side", operation, *options]
        return figures(command, environment=made.environment)

    def _scalar(self, query: str) -> Any:
        with psycopg.connect(self.url) as conn:
            row = conn.execute(query).fetchone()
            return row[0] if row else None

    def _sessions(self) -> bool:
        return bool(self._scalar("select count(*) from hivelog.sessions"))

    def _timed(self, made: Installation, concurrency: int, left: int, jobs: int) -> float:
        """Jobs a second of a new worker until at most `left` jobs are live."""
        with made.working(concurrency) as worker, self._watched(worker), psycopg.connect(self.url) as conn:
            conn.autocommit = True
            wait_until_left(lambda: int(conn.execute(LIVE).fetchall()[0][0]), left, worker)
            ended = time.time()
            first = float(self._scalar(_FIRST_START))
        return jobs / (ended - first)

    def _watched(self, worker: Process) -> AbstractContextManager[None]:
        """Around a timed run, for a bench that counts more than time."""
        return contextlib.nullcontext()

    def run_waiting(self, jobs: int, concurrency: int) -> float:
        made = self._prepare()
        self._ask(made, "bulk", jobs)
        self.server.checkpoint()
        return self._timed(made, concurrency, 0, jobs)

    def backlog(self, waiting: int, jobs: int, concurrency: int) -> tuple[float, int]:
        made = self._prepare()
        self._ask(made, "bulk", waiting)
        self.server.checkpoint()
        rate = self._timed(made, concurrency, waiting - jobs, jobs)
        return rate, waiting - int(self._scalar(LIVE))

    def bulk(self, jobs: int) -> float:
        made = self._prepare()
        return jobs / float(self._ask(made, "bulk", jobs)["seconds"])

    def concurrent_singles(self, jobs: int, clients: int) -> float:
        made = self._prepare()
        told = self._ask(made, "singles", jobs, clients)
        return float(told["jobs"] / told["seconds"])

    def end_to_end(self, jobs: int, concurrency: int) -> float:
        made = self._prepare()
        with made.serving(), made.working(concurrency) as worker:
            wait_until(self._sessions, worker)
            return jobs / float(self._ask(made, "end_to_end", jobs)["seconds"])

    def latency(self, samples: int) -> list[float]:
        made = self._prepare()
        made.environment["BENCH_ECHO"] = str(made.echo)
        with made.working(10) as worker:
            wait_until(self._sessions, worker)
            ages = [float(age) for age in self._ask(made, "latency", samples)["ages_ms"]]
            wait_until(lambda: self._scalar(LIVE) == 0, worker)
        return ages

    def single_beside(self, load: Load, jobs: int) -> list[float]:
        made = self._prepare()
        if load == "drain":
            self._ask(made, "bulk", jobs)
            self.server.checkpoint()
        waits = [float(wait) for wait in self._ask(made, f"beside_{load}", jobs)["waits_ms"]]
        events = self.counts().events
        found = events.get("enqueued", 0), events.get("cancelled", 0)
        there = jobs + 1  # and one with which the client opened its connections
        expected = there + len(waits), there if load == "drain" else 0
        if found != expected or not waits:
            raise RuntimeError(f"(enqueued, cancelled) must be {expected}, and are {found}")
        return waits

    def _post(self, made: Installation, base: str, connections: int, seconds: float) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.bench.http_load", "--url", base]
        command += ["--path", f"/queue/{QUEUE}/jobs", "--token", made.token, "--body", _BODY]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        told = figures(command)
        if set(told["statuses"]) != {"201"}:
            raise RuntimeError(f"answers other than 201: {told['statuses']}")
        return told

    def http_post(self, connections: int, seconds: float) -> HttpFigures:
        made = self._prepare()
        with made.serving() as (_, base):
            told = self._post(made, base, connections, seconds)
        stored = self.counts().events.get("enqueued", 0)
        if stored < told["statuses"]["201"]:
            raise RuntimeError(f"{told['statuses']['201']} were acknowledged, {stored} are stored")
        return HttpFigures(told["per_second"], told["p99_ms"])

    def resources(self, idle_seconds: float) -> Resources:
        made = self._prepare()
        with made.serving() as (serve, base), made.working(100) as worker:
            pids = [serve.pid, worker.pid]
            wait_until(self._sessions, worker)
            with watched(pids) as peak:
                self._post(made, base, 50, 10)
                wait_until(lambda: self._scalar(LIVE) == 0, worker)
            # What follows the log at leisure has caught up, and the rest of what comes after work is done.
            wait_until(lambda: self._scalar(_SEARCH_BEHIND) == 0, serve)
            time.sleep(5)
            return Resources(peak.mib, cpu_percent(pids, idle_seconds))

    def counts(self) -> Counts:
        with psycopg.connect(self.url) as conn:
            events: dict[str, int] = dict(conn.execute(_EVENTS).fetchall())
            slots: dict[int, int] = dict(conn.execute(_VAULT).fetchall())
        return Counts(events, slots.get(0, 0), slots.get(1, 0))
