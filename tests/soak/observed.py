"""What a soak looks at: ends, waiting times, memory, dead rows, and what a claim by SQL costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import redis

from ..bench.memory import resident_mib

_STATE = """
select (select position from hivelog.batches order by position desc limit 1),
    (select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_all_tables
        where schemaname = 'hivelog' and relname in ('pending', 'ready', 'leases')),
    (select sum(pg_total_relation_size(c.oid))::bigint from pg_class c
        where c.oid in ('hivelog.pending'::regclass, 'hivelog.ready'::regclass, 'hivelog.leases'::regclass))
"""
_WINDOW = """
select count(*) filter (where e.type = 'completed'),
    percentile_cont(0.5) within group (order by extract(epoch from e.recorded_at - f.recorded_at) * 1000)
        filter (where e.type = 'started'),
    percentile_cont(0.99) within group (order by extract(epoch from e.recorded_at - f.recorded_at) * 1000)
        filter (where e.type = 'started')
from hivelog.events e join hivelog.events f on f.stream = e.stream and f.version = 1
where e.position > %s and e.position <= %s and e.type in ('started', 'completed')
"""
_PICK = """
select count(*) from hivelog.queues q, hivelog.append_picks(jsonb_build_array(jsonb_build_object('session', 0,
    'queue', q.id, 'types', (select jsonb_agg(id) from hivelog.job_types), 'limit', 10)),
    hivelog.now(), '{}', '{}')
where q.name = 'bench'
"""


@dataclass(frozen=True)
class Sample:
    """At `at` (s): the log's head, dead rows and bytes of the live tables, MiB and processor seconds by process."""

    at: float
    head: int
    dead: int
    bytes: int
    mib: Mapping[str, float]
    cpu: Mapping[str, float]


@dataclass(frozen=True)
class Window:
    """Between two samples: ends a second, waiting time (ms), processor milliseconds a job."""

    throughput: float
    wait_p50: float
    wait_p99: float
    cpu_ms: float


class Observer:
    """Of one database; `processes` by name. A superuser's URL, to see all sessions and call inner functions."""

    def __init__(self, url: str, redis_url: str, processes: Mapping[str, int]) -> None:
        self._conn: psycopg.Connection[Any] = psycopg.connect(
            url, autocommit=True, application_name="hivelog soak"
        )
        with redis.Redis.from_url(redis_url) as store:
            valkey = int(store.info("server")["process_id"])
        backend = psutil.Process(self._conn.info.backend_pid)
        self._postmaster = backend.parent()
        self._processes = {**processes, "valkey": valkey}

    def close(self) -> None:
        self._conn.close()

    def look(self) -> Sample:
        row = self._conn.execute(_STATE).fetchone()
        assert row is not None
        trees = {name: [psutil.Process(pid)] for name, pid in self._processes.items()}
        assert self._postmaster is not None
        trees["postgres"] = [self._postmaster, *self._postmaster.children()]
        mib, cpu = {}, {}
        for name, tree in trees.items():
            mib[name] = sum(map(_mib, tree))
            cpu[name] = sum(map(_cpu, tree))
        return Sample(time.monotonic(), *row, mib, cpu)

    def window(self, first: Sample, last: Sample) -> Window:
        row = self._conn.execute(_WINDOW, (first.head, last.head)).fetchone()
        assert row is not None
        ended, p50, p99 = row
        spent = sum(last.cpu[name] - first.cpu[name] for name in last.cpu)
        return Window(ended / (last.at - first.at), p50, p99, spent * 1000 / max(ended, 1))

    def pick_ms(self) -> float:
        """What choosing ten jobs takes the database when Redis is away: the median of nine."""
        took = []
        for _ in range(9):
            began = time.perf_counter()
            self._conn.execute(_PICK)
            took.append((time.perf_counter() - began) * 1000)
        return statistics.median(took)


def _mib(process: psutil.Process) -> float:
    try:
        return resident_mib([process.pid])
    except ProcessLookupError:
        return 0.0


def _cpu(process: psutil.Process) -> float:
    """Also what its ended children used, so that backends that go are not forgotten."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
