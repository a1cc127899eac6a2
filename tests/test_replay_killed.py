"""`hivelog replay` killed with SIGKILL in the middle, and gone on with: nothing is lost, and nothing done twice."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_world import World, environment_of, in_environment, wait_for
from simulated_clock import Clock

from .replay_world import MODULE, Replayed

JOBS = 240


@pytest.fixture
def past(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], clock: Clock
) -> Iterator[Replayed]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        replayed = Replayed(World(environment, capsys))
        with contextlib.closing(replayed.probe):
            yield replayed


def killed(past: Replayed, done: Callable[[], int], *arguments: str, extra: dict[str, str] | None = None) -> str:
    """Begin in a process of its own, kill it when some is done; the action that is to be gone on with."""
    started = past.world.process("replay", "--since", "1h", "--yes", *arguments, extra=extra)
    with started as process:
        wait_for(lambda: done() > JOBS // 8, process)
        process.kill()
        process.wait()
    assert 0 < done() < JOBS
    assert past.all("action_finished") == []
    return str(past.all("action_started")[-1]["action_id"])


def gone_on(past: Replayed, clock: Clock, action: str, *arguments: str) -> dict[str, Any]:
    clock.advance(10)  # the dead process's lease is over
    ran = past.world.run("replay", "--resume", action, "--json", *arguments)
    assert ran.status == 0, ran.err
    again = past.world.run("replay", "--resume", action, *arguments)
    assert (again.status, "already_finished" in again.err or "has finished" in again.err) == (1, True)
    return ran.json  # type: ignore[no-any-return]


def test_a_copy(past: Replayed, clock: Clock) -> None:
    jobs = past.record(*[("keep", n) for n in range(JOBS)])
    action = killed(past, lambda: len(past.copies()), "--as", "copy", "--rate", "200/s")
    done = gone_on(past, clock, action)
    assert (done["matched"], done["changed"], done["refused"], done["skipped"]) == (JOBS, JOBS, 0, {})
    assert [of for _, of in past.copies()] == jobs  # each once, the oldest first
    assert past.one("select count(*) from hivelog.ready") == JOBS


def test_a_redrive(past: Replayed, clock: Clock) -> None:
    jobs = past.record(*[("fragile", {"breaks": 1, "word": "x"})] * JOBS)
    action = killed(past, lambda: len(past.all("requeued")), "--as", "redrive", "--rate", "200/s")
    done = gone_on(past, clock, action)
    assert (done["matched"], done["changed"], done["refused"]) == (JOBS, JOBS, 0)
    assert all(past.types(job) == ["enqueued", "started", "failed", "requeued"] for job in jobs)


def test_a_shadow_run(past: Replayed, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    jobs = past.record(*[("line", {"file": str(file)}) for _ in range(JOBS)])
    file.unlink()

    def ran() -> list[str]:
        return file.read_text().splitlines() if file.exists() else []

    arguments = ("--handlers", MODULE, "--concurrency", "3")
    action = killed(past, lambda: len(ran()), "--as", "shadow", *arguments, extra={"REPLAYED_CODE": "2"})
    head = past.one("select max(position) from hivelog.events")
    first = len(ran())
    report = gone_on(past, clock, action, *arguments)
    assert max(Counter(ran()).values()) == 1
    # Those that had begun at the end of the first process are told, not run again.
    interrupted = report["skipped"].get("interrupted", 0)
    assert 0 <= interrupted <= 3
    assert report["counts"]["equal"] + interrupted == report["matched"] == JOBS
    assert first < len(set(ran())) <= JOBS
    assert set(ran()) <= set(jobs)
    assert past.one("select max(position) from hivelog.events") == head + 1
    assert not any((tmp_path / "replay").iterdir())
