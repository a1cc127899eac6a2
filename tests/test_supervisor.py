"""`hivelog supervise` with real processes: what it keeps, what dies, and who stops what."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_world import World, environment_of, in_environment, served
from hivelog.broker.supervisor import _AFTER_OUTAGE

from .supervised import QUEUE, Crew, alive, kill, took


@pytest.fixture
def crew(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Crew]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        world = World(environment, capsys)
        with served(world):
            made = Crew(world, database, tmp_path)
            yield made
            made.close()


def test_a_killed_worker_is_replaced_and_its_job_runs_elsewhere_long_before_dead_after(crew: Crew) -> None:
    crew.bounds(min=2, max=2)
    with crew.supervisor():
        workers = crew.settled(2)
        assert sorted(workers) == ["default-1@one", "default-2@one"]
        file = crew.folder / "go"
        job = crew.put("file_in_process", file=str(file))
        crew.until(lambda: crew.job(job)["status"] == "processing")
        name = crew.job(job)["worker_id"]
        group = {pid for pid in _descendants(workers[name]) if alive(pid)}
        assert len(group) >= 2  # the handler runs in a child of its own
        kill(workers[name])
        crew.until(lambda: not any(alive(pid) for pid in group))
        seconds = took(lambda: crew.until(lambda: crew.events(job).count("started") == 2))
        assert seconds < 20  # dead-after is 120 s here
        file.touch()
        crew.until(lambda: crew.job(job)["status"] == "completed")
        assert crew.events(job) == ["enqueued", "started", "lost", "queued", "started", "completed"]
        crew.until(lambda: len(crew.workers()) == 2 and crew.workers()[name] != workers[name])
    [(actor, data)] = crew.rows(
        "select a.name, e.data from hivelog.events e join hivelog.actors a on a.id = e.actor"
        " where e.type = 'worker_lost'"
    )
    assert (actor, data) == ("supervisor:one", {"reason": "killed by SIGKILL"})


def _descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)) and os.getpgid(int(entry.name)) == pid:
            found.append(int(entry.name))
    return found


def test_numbers_set_by_hand_are_obeyed_and_survive_a_restart(crew: Crew) -> None:
    with crew.supervisor():
        crew.settled(1)
        crew.told(1)
        answer = crew.ask("POST", "/workers/scale", {"queue": QUEUE, "workers": 3})
        assert answer["message"] == f"Queue {QUEUE} scaled to 3 workers"
        assert (answer["desired"], answer["running"]) == (3, 1)
        workers = crew.settled(3)
        session = crew.rows("select session from hivelog.sessions where name = 'default-1@one'")[0][0]
        crew.ask("POST", "/workers/stop", {"session": str(session)})
        crew.until(lambda: "default-1@one" not in crew.workers())
        assert crew.settled(2).items() <= workers.items()  # the others were left alone
    assert not any(alive(pid) for pid in workers.values())
    ended = crew.rows("select data ->> 'reason' from hivelog.events where type = 'worker_stopped' order by position")
    assert [row[0] for row in ended] == ["stopped by token:admin", *["the supervisor stops"] * 2]
    with crew.supervisor():
        crew.settled(2)
        row = crew.told(2)
        assert (row["desired"], row["running"], row["pinned"]) == (2, 2, True)
        metrics = crew.client.get("/metrics").text
        assert f'hivelog_workers_desired{{queue="{QUEUE}"}} 2.0' in metrics
        assert f'hivelog_workers_running{{queue="{QUEUE}"}} 2.0' in metrics
        crew.ask("POST", "/workers/scale", {"queue": QUEUE, "workers": 0})
        crew.settled(0)
    assert [(actor, data["workers"], data["reason"]) for actor, data in crew.scales()] == [
        ("leader", 1, "the queue's minimum"),
        ("token:admin", 3, "set by hand"),
        ("token:admin", 2, "default-1@one stopped by hand"),
        ("token:admin", 0, "set by hand"),
    ]


def test_two_hosts_share_and_one_that_is_killed_leaves_nothing_behind(crew: Crew) -> None:
    crew.bounds(min=4, max=4)
    most = 0
    with crew.supervisor(name="one") as one, crew.supervisor(name="two"):

        def shared() -> bool:
            nonlocal most
            most = max(most, len(crew.workers()))
            return len(crew.workers("one")) == len(crew.workers("two")) == 2

        crew.until(shared)
        assert most <= 4  # neither started all of it first
        killed, kept = crew.workers("one"), crew.workers("two")
        file = crew.folder / "go"
        jobs = [crew.put("file_on_loop", file=str(file)) for _ in range(4)]
        crew.until(lambda: all(crew.job(job)["status"] == "processing" for job in jobs))
        kill(one.pid)
        crew.until(lambda: len(crew.workers("two")) == 4)
        # Its workers claim nothing more, and what they run comes to its end.
        file.touch()
        crew.until(lambda: all(crew.job(job)["status"] == "completed" for job in jobs))
        assert all(crew.events(job) == ["enqueued", "started", "completed"] for job in jobs)
        crew.until(lambda: not any(alive(pid) for pid in killed.values()))
        assert kept.items() <= crew.workers().items()
        ended = crew.rows("select data ->> 'reason' from hivelog.events where type = 'worker_stopped'")
        assert {row[0] for row in ended} == {"its parent process ended"}
        with crew.supervisor(name="one"):  # the next one takes its part again, and no more
            crew.until(lambda: len(crew.workers("one")) == len(crew.workers("two")) == 2)
            assert len(crew.workers()) == 4


def test_one_signal_is_patient_and_a_second_one_is_not(crew: Crew) -> None:
    file = crew.folder / "go"
    with crew.supervisor(HIVELOG_GRACE_SECONDS="60") as process:
        [pid] = crew.settled(1).values()
        job = crew.put("file_on_loop", file=str(file))
        crew.until(lambda: crew.job(job)["status"] == "processing")
        process.send_signal(signal.SIGTERM)
        crew.until(lambda: crew.said("worker_stopping") == 1)
        assert process.poll() is None
        assert alive(pid)
        file.touch()
        assert process.wait(20) == 0
        assert crew.job(job)["status"] == "completed"
    with crew.supervisor(HIVELOG_GRACE_SECONDS="60") as process:
        [pid] = crew.settled(1).values()
        job = crew.put("hang")
        crew.until(lambda: crew.job(job)["status"] == "processing")
        process.send_signal(signal.SIGTERM)
        crew.until(lambda: crew.said("worker_stopping") == 2)
        process.send_signal(signal.SIGTERM)
        assert took(lambda: process.wait(20)) < 10
        assert not alive(pid)
        assert crew.events(job) == ["enqueued", "started", "released"]
    assert crew.rows("select count(*) from hivelog.supervisors") == [(0,)]


def test_what_ends_at_once_again_and_again_waits_longer_each_time_and_says_why(crew: Crew) -> None:
    """Its handlers could be imported when the supervisor began, and cannot any more."""
    module = crew.folder / "shortlived.py"
    module.write_text("from hivelog import handler\n\n@handler('x')\nasync def x(ctx, payload): ...\n")
    crew.bounds(min=1, max=1)
    here = {"PYTHONPATH": f"{crew.folder}:{Path(__file__).parents[1]}"}
    with crew.supervisor("--handlers", module.stem, **here):
        [pid] = crew.settled(1).values()
        module.write_text("raise ImportError('its library is not here')")
        kill(pid)

        def told() -> Any:
            [row] = crew.ask("GET", "/workers/status")["supervisors"]
            found = row["crashes"].get(QUEUE)
            return found if found and found["in_a_row"] >= 2 and "library" in found["reason"] else None

        found = crew.until(told)
        assert found["reason"].startswith("ended with status 1: ")
        assert 0 <= found["again_in"] <= 30
        log = (crew.folder / "one.log").read_text()
        assert log.count("worker_process_started") <= found["in_a_row"] + 2, "no busy loop"


def test_a_supervisor_that_was_frozen_or_killed_doubles_no_worker(crew: Crew) -> None:
    """Frozen for longer than dead-after and its own lease, with its worker in the middle of a job; woken, there
    is one worker as before. Started again after -9 beside what it left, there is one in the end too."""
    crew.bounds(min=1, max=1)
    file = crew.folder / "go"
    with crew.supervisor(HIVELOG_DEAD_AFTER_SECONDS="3") as process:
        before = crew.settled(1)
        job = crew.put("file_on_loop", file=str(file))
        crew.until(lambda: crew.job(job)["status"] == "processing")
        kill(process.pid, signal.SIGSTOP)
        crew.until(lambda: crew.ask("GET", "/workers/status")["supervisors"] == [])  # its lease is over
        kill(process.pid, signal.SIGCONT)
        crew.until(lambda: crew.ask("GET", "/workers/status")["supervisors"])
        crew.looked(_AFTER_OUTAGE + 1)  # from then on it would start others
        assert crew.workers() == before
        kill(process.pid)
        with crew.supervisor():
            # The old worker claims nothing more, and ends when its job does.
            crew.until(lambda: len(crew.rows("select from hivelog.sessions")) == 2)
            file.touch()
            crew.until(lambda: len(crew.rows("select from hivelog.sessions")) == 1)
            assert crew.workers().items().isdisjoint(before.items())
    assert crew.events(job) == ["enqueued", "started", "completed"]
    started = crew.rows("select count(*) from hivelog.events where type = 'worker_started'")
    assert started == [(2,)]


def test_it_scales_with_the_work(crew: Crew) -> None:
    crew.bounds(min=1, max=2, threshold=3)
    file = crew.folder / "go"
    with crew.supervisor():
        crew.settled(1)
        jobs = [crew.put("file_on_loop", file=str(file)) for _ in range(6)]
        crew.settled(2)
        file.touch()
        crew.until(lambda: all(crew.job(job)["status"] == "completed" for job in jobs))
    actor, data = crew.scales()[-1]
    assert (actor, data["workers"]) == ("leader", 2)
    assert data["reason"].endswith("jobs wait, more than 3")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--max-jobs", "3"), r"recycled: \d+ jobs, of 3 at most"),
        (("--max-memory", "16"), r"recycled: \d+ MiB, more than 16"),
    ],
)
def test_a_worn_worker_is_recycled_and_nothing_is_lost(
    crew: Crew, option: tuple[str, str], reason: str
) -> None:
    with crew.supervisor(*option):
        [pid] = crew.settled(1).values()
        file = crew.folder / "notes"
        jobs = [crew.put("note", file=str(file), n=n, seconds=0.3) for n in range(12)]
        crew.until(lambda: all(crew.job(job)["status"] == "completed" for job in jobs))
        crew.until(lambda: list(crew.workers().values()) not in ([pid], []))
    assert len(file.read_text().splitlines()) == 12  # each once
    reasons = crew.rows("select data ->> 'reason' from hivelog.events where type = 'worker_stopped'")
    assert any(re.fullmatch(reason, row[0]) for row in reasons)


