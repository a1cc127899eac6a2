"""How a real `hivelog worker` stops: one signal is patient, a second one is not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis as redis_py

from .intact import assert_intact
from .redis_rig import PREFIX
from .test_worker import MODULE, Bench, until, working
from .test_worker import opened as bench_of

GRACE = 120  # seconds: nothing here waits that long
STARTED = ["enqueued", "started"]


@contextlib.contextmanager
def worker(
    database: str, redis_url: str, data: Path, *, module: str = MODULE, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "DATABASE_URL": database, "REDIS_URL": redis_url, "HIVELOG_GRACE_SECONDS": str(GRACE),
        "HIVELOG_DATA": str(data), "PYTHONPATH": str(Path(__file__).parents[1]),
    } | more  # fmt: skip
    command = [sys.executable, "-P", "-m", "hivelog.cli", "worker", "--handlers", module, "--queue", "work"]
    with said_in(data).open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        print(said_in(data).read_text())


def said_in(data: Path) -> Path:
    """What workers with this folder have written."""
    return data / "worker.log"


def sessions(bench: Bench, job: bytes) -> list[int]:
    """Whose the job's attempts were."""
    query = "select actor from hivelog.events where uuid_send(stream) = %s and type = 'started' order by 1"
    return [row[0] for row in bench.probe.execute(query, (job,)).fetchall()]


@pytest.mark.parametrize("kind", ["file_on_loop", "file_in_thread", "file_in_process"])
async def test_a_second_signal_gives_everything_back_at_once(
    database: str, redis_url: str, tmp_path: Path, kind: str
) -> None:
    slow_file, quick_file = tmp_path / "slow", tmp_path / "quick"
    async with bench_of(database, redis_url) as bench:
        with worker(database, redis_url, tmp_path) as first:

            async def taken() -> bool:
                return "worker_stopping" in said_in(tmp_path).read_text()

            slow = await bench.put(kind, {"file": str(slow_file)})
            quick = await bench.put(kind, {"file": str(quick_file)})
            for job in (slow, quick):
                await bench.happened(job, "started", seconds=30)

            first.send_signal(signal.SIGTERM)
            await until(taken, 30)  # else the system makes one signal of the two
            late = await bench.put(kind, {"file": str(quick_file)})
            quick_file.touch()
            assert (await bench.ended(quick))[0] == "completed"
            assert first.poll() is None, "it waits for the other one"
            assert bench.types(slow) == STARTED

            first.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert await asyncio.to_thread(first.wait, 20) == 0
            assert time.monotonic() - began < 10
        assert bench.types(slow) == [*STARTED, "released"]
        assert bench.events(slow)[-1][1] == {"reason": "shutdown"}
        assert bench.types(late) == ["enqueued"], "a stopping worker takes nothing new"

        slow_file.touch()
        with worker(database, redis_url, tmp_path):
            for job in (slow, late):
                await bench.happened(job, "completed", seconds=30)
        assert bench.types(slow) == [*STARTED, "released", "started", "completed"]
        assert len(set(sessions(bench, slow))) == 2
        # What was given back does not count as an attempt.
        assert msgspec.json.decode(bench.body(slow, 1) or b"null") == {"attempt": 1}
    assert_intact(database)


async def fed(bench: Bench, redis_url: str) -> bool:
    """Redis has read the log to its end."""
    with redis_py.Redis.from_url(redis_url) as client:
        return int(client.hget(PREFIX + b"at", "position") or -1) >= bench.engine.appender.log.head


async def waits_for_the_log(bench: Bench) -> bool:
    query = (
        "select 1 from pg_locks l join pg_database d on d.oid = l.database"
        " where l.locktype = 'advisory' and not l.granted and d.datname = current_database()"
    )
    return bench.probe.execute(query).fetchone() is not None


@pytest.mark.parametrize("patient", [True, False])
async def test_a_job_whose_start_was_under_way_runs_to_its_end_or_not_at_all(
    database: str, redis_url: str, tmp_path: Path, patient: bool
) -> None:
    first_file, second_file = tmp_path / "first", tmp_path / "second"
    async with bench_of(database, redis_url, grace_seconds=GRACE) as bench:
        async with working(bench.engine, slots=1) as running:

            async def given_up() -> bool:
                return running._late

            first = await bench.put("file_on_loop", {"file": str(first_file)})
            await bench.happened(first, "started")
            second = await bench.put("note", {"file": str(second_file), "seconds": 1})
            await until(lambda: fed(bench, redis_url))  # so that the end of the first takes it along
            with psycopg.connect(database) as conn:
                conn.execute("select pg_advisory_xact_lock(hivelog.append_lock())")
                first_file.touch()
                await until(lambda: waits_for_the_log(bench))
                running.stop()
                if not patient:
                    running.stop()
                    await until(given_up)
            await bench.happened(second, "completed", "released")
        assert bench.types(first) == [*STARTED, "completed"]
        assert bench.types(second) == [*STARTED, "completed" if patient else "released"]
        assert second_file.exists() == patient
    assert_intact(database)
