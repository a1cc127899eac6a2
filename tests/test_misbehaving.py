"""Handlers that misbehave in a process of their own: bounded, recorded, and the worker goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hivelog.broker import child
from hivelog.broker.registry import HandlerError, Registry

from . import bad_handlers, worker_handlers
from .intact import assert_intact
from .test_worker import Bench, new_fork_server, opened, until, working
from .test_worker_stop import worker

MODULE = bad_handlers.__name__


@pytest.fixture
def fork_server() -> None:
    new_fork_server(MODULE, worker_handlers.__name__)


@pytest.fixture
async def bench(database: str, redis_url: str, fork_server: None) -> AsyncIterator[Bench]:
    async with opened(database, redis_url) as bench:
        yield bench
    assert_intact(database)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("kind", ["spin", "deaf_spin"])
async def test_an_endless_loop_is_killed_at_its_timeout(bench: Bench, kind: str) -> None:
    async with working(bench.engine, slots=1):
        job = await bench.put(kind, timeout=1)
        assert (await bench.ended(job)) == ("expired", {"cause": "timeout"})
        assert (await bench.ended(await bench.put("add", {"a": 1, "b": 1})))[0] == "completed", "its slot is free"


async def test_what_a_handler_started_ends_with_it(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    async with working(bench.engine):
        job = await bench.put("with_helper", {"file": str(file)}, timeout=2)
        assert (await bench.ended(job))[0] == "expired"
    helper = int(file.read_text())

    async def gone() -> bool:
        return not alive(helper)

    await until(gone, 5)


async def test_memory_is_limited_and_the_reason_recorded(bench: Bench) -> None:
    async with working(bench.engine):
        job = await bench.put("hog")
        event, data = await bench.ended(job)
    assert (event, data["error_type"]) == ("failed", "MemoryError")
    assert b"more than its 256 MiB of memory" in (bench.body(job, 2) or b"")


async def test_a_limit_for_all_children_comes_from_the_settings(
    database: str, redis_url: str, fork_server: None
) -> None:
    async with opened(database, redis_url, child_memory_mib=300) as bench, working(bench.engine):
        within, over = await bench.put("in_process"), await bench.put("greedy")
        assert (await bench.ended(within))[0] == "completed", bench.body(within, 2)
        assert (await bench.ended(over))[0] == "failed"
        assert b"more than its 300 MiB of memory" in (bench.body(over, 2) or b"")


def test_only_a_child_process_can_have_its_memory_limited() -> None:
    async def run(ctx: Any, payload: Any) -> None: ...

    with pytest.raises(HandlerError, match="memory_mib"):
        Registry().handler("x", memory_mib=64)(run)


async def test_a_killed_child_leaves_its_last_words(bench: Bench) -> None:
    async with working(bench.engine):
        job = await bench.put("suicide")
        event, data = await bench.ended(job)
    text = (bench.body(job, 2) or b"").decode()
    assert (event, data["error_type"]) == ("failed", "ProcessDied")
    assert "killed by SIGKILL" in text
    assert "these were my last words" in text


async def test_a_hundred_megabytes_of_output_are_bounded(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    async with working(bench.engine):
        job = await bench.put("loud")
        assert (await bench.ended(job))[0] == "completed"
    said = capsys.readouterr().out
    assert said.count("x") < 1.1 * (1 << 20)
    assert "the rest is dropped" in said


async def test_an_error_of_a_hundred_megabytes_is_bounded(bench: Bench) -> None:
    longest, before = 0.0, time.monotonic()

    async def measure() -> None:
        nonlocal longest, before
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    async with working(bench.engine):
        measuring = asyncio.create_task(measure())
        job = await bench.put("loud_error")
        event, data = await bench.ended(job)
        measuring.cancel()
    assert (event, data["error_type"]) == ("failed", "ValueError")
    assert len(bench.body(job, 2) or b"") <= 64 * 1024
    assert longest < 1


async def test_half_an_answer_keeps_nobody_waiting() -> None:
    """Its child was stopped in the middle of a message; the worker's loop goes on."""
    reader = asyncio.StreamReader()
    reader.feed_data((1000).to_bytes(4, "big") + b"half")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await child._answer(reader, None)  # type: ignore[arg-type]


async def test_no_child_outlives_its_worker(database: str, redis_url: str, tmp_path: Path) -> None:
    """Their leases will be lost and the jobs run again: two of one must not run side by side. Also when the
    child could do nothing about it: it computes in C, or is stopped."""
    files = {kind: tmp_path / kind for kind in ("with_helper", "compute_in_c", "stop_itself")}
    async with opened(database, redis_url) as bench:
        with worker(database, redis_url, tmp_path, module=MODULE) as process:
            for kind, file in files.items():
                await bench.put(kind, {"file": str(file)})

            async def begun() -> bool:
                return all(file.exists() and file.read_text() for file in files.values())

            await until(begun, 30)
            made = _descendants(process.pid)
            told = {int(pid) for file in files.values() for pid in file.read_text().split()}
            assert told <= made  # the fork server and its children, and what they have started
            process.send_signal(signal.SIGKILL)
            process.wait()

            async def gone() -> bool:
                return not any(alive(pid) for pid in made)

            await until(gone, 5)


def _descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}
