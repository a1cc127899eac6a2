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
import pytest

from .test_append import assert_intact
from .test_worker import MODULE, Bench
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
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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
            slow = await bench.put(kind, {"file": str(slow_file)})
            quick = await bench.put(kind, {"file": str(quick_file)})
            for job in (slow, quick):
                await bench.happened(job, "started", seconds=30)

            first.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)  # else the system makes one signal of the two
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
