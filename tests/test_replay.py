"""Replay of work on real servers: what is redriven, copied and shadowed, and what is left alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import World, environment_of, in_environment, wait_for

from .replay_handlers import STOPWATCH
from .replay_world import MODULE, Replayed


@pytest.fixture
def past(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Replayed]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        replayed = Replayed(World(environment, capsys))
        with contextlib.closing(replayed.probe):
            yield replayed


def test_redrive_gives_the_same_jobs_new_attempts(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [("fragile", {"breaks": 1, "word": "luck"})] * 3
    *failed, fine, other = past.record(*broken, ("fragile", {}), ("total", {"numbers": [1]}))
    assert [past.types(job)[-1] for job in (*failed, fine)] == ["failed"] * 3 + ["completed"]
    done = past.replay("--as", "redrive", "--type", "fragile")
    assert (done["matched"], done["changed"], done["refused"], done["skipped"]) == (3, 3, 0, {})
    monkeypatch.setenv("REPLAYED_CODE", "2")
    past.work(*failed)
    for job in failed:
        assert past.types(job) == ["enqueued", "started", "failed", "requeued", "started", "completed"]
    assert len(past.types(fine)) == len(past.types(other)) == 3
    [started], [finished] = past.all("action_started"), past.all("action_finished")
    assert (started["action"], started["matched"], started["filter"]["type"]) == ("redrive", 3, "fragile")
    assert (finished["action_id"], finished["changed"]) == (started["action_id"], 3)
    again = past.replay("--as", "redrive", "--type", "fragile")
    assert again == {"matched": {"redrive": 0}}


def test_copies_are_new_jobs_with_the_same_payload(past: Replayed) -> None:
    odd = {"n": 12345678901234567890123, "text": "é\u2028", "user_id": "u1"}
    first, second, other = past.record(
        ("keep", odd), ("keep", {"user_id": "u2"}), ("total", {"numbers": [1]}),
        priority=7, timeout=None, tags=["a", "b"], correlation_id="order-1",
    )  # fmt: skip
    done = past.replay("--as", "copy", "--type", "keep")
    assert (done["matched"], done["changed"], done["skipped"]) == (2, 2, {})
    assert [of for _, of in past.copies()] == [first, second]
    for copy, of in past.copies():
        new, old = past.job(copy), past.job(of)
        assert new["payload"] == old["payload"]
        assert (new["status"], old["status"]) == ("queued", "completed")
        for name in ("priority", "max_retries", "timeout", "tags", "correlation_id", "retry_delay", "source"):
            assert new["metadata"][name] == old["metadata"][name], name
    assert past.types(other) == ["enqueued", "started", "completed"]
    past.work(*(copy for copy, _ in past.copies()))
    # Another replay makes other copies, of the copies too; a filter reads the payloads.
    done = past.replay("--as", "copy", "--type", "keep", "--filter", "user_id:u1", "--state", "completed")
    assert done["changed"] == 2
    [_, started] = past.all("action_started")
    assert started["filter"] == {
        "type": "keep", "since": started["filter"]["since"], "until": started["filter"]["until"],
        "status": ["completed"], "searched": True,
    }  # fmt: skip
    # What the filter quotes was in the vault, and is gone with the end.
    assert past.one(f"select count(*) from hivelog.vault where job = '{started['action_id']}'") == 0


def tables(past: Replayed) -> dict[str, int]:
    """Rows of all that a command could change; what is made of the log may catch up meanwhile."""
    names = ("events", "batches", "vault", "pending", "ready", "leases", "outbox", "idempotency", "leadership")
    return {name: past.one(f"select count(*) from hivelog.{name}") for name in names}


def test_a_dry_run_counts_and_writes_nothing(past: Replayed) -> None:
    past.record(*[("total", {"numbers": [1]})] * 2, ("fragile", {"breaks": 1, "word": "x"}))
    before = tables(past)
    assert past.replay() == {"matched": {"redrive": 1, "copy": 3, "shadow": 2}}
    assert past.replay("--as", "copy", "--type", "total", "--dry-run") == {"matched": {"copy": 2}}
    assert past.replay("--as", "shadow", "--handlers", MODULE, "--dry-run") == {"matched": {"shadow": 2}}
    assert past.replay("--until", "30m", "--as", "copy") == {"matched": {"copy": 0}}
    shown = past.world.run("replay", "--since", "1h", "--queue", "work")
    assert "redrive: 1 job (cancelled, expired, failed; queue=work" in shown.out
    assert "say which with --as" in shown.out
    assert tables(past) == before


def test_a_shadow_run_compares_and_writes_no_job(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = past.record(
        ("total", {"numbers": [1, 2]}), ("total", {"numbers": [1, 2, 3]}), ("slow", {}),
        ("fragile", {"breaks": 2, "word": "luck"}), ("fragile", {"breaks": 1, "word": "luck"}),
        ("fragile", {}), ("keep", None),
    )  # fmt: skip
    same, other, slow, breaks, mended, *_ = ids
    monkeypatch.setenv("REPLAYED_CODE", "2")
    monkeypatch.setattr("hivelog.replay.shadow.time", STOPWATCH)
    before = tables(past)
    shadow = ("--as", "shadow", "--handlers", MODULE, "--concurrency", "1")
    every = (*shadow, "--state", "completed,failed")
    report = past.replay(*every, "--ignore", "made.at", status=1)
    assert report["counts"] == {"equal": 4, "different": 2, "failed": 1, "slower": 1}
    told = {one["job"]: (one["verdict"], one["slower"]) for one in report["jobs"]}
    assert told == {
        other: ("different", False), slow: ("equal", True), breaks: ("failed", False), mended: ("different", False)
    }  # fmt: skip
    assert sorted(report["unlike"]) == sorted((other, breaks, mended))
    [difference] = next(one for one in report["jobs"] if one["job"] == other)["differences"]
    assert difference == {"path": "total", "recorded": "6", "now": "9"}
    # Two events of the action, in an append each; and nothing else, anywhere.
    after = tables(past)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} in (
        {"events": 2, "batches": 2}, {"events": 2, "batches": 2, "leadership": 1}
    )  # fmt: skip
    [finished] = past.all("action_finished")
    assert finished["counts"] == {"equal": 4, "different": 2, "failed": 1, "slower": 1}
    # Without the time that is another each time, both totals differ.
    assert past.replay(*shadow, "--type", "total", status=1)["counts"] == {"different": 2}
    assert past.replay(*shadow, "--type", "total", "--ignore", "made", "--ignore", "tot*", status=1)
    clean = past.replay(*shadow, "--type", "total", "--ignore", "made.*", "--ignore", "total")
    assert clean["counts"] == {"equal": 2}
    monkeypatch.delenv("REPLAYED_CODE")
    # The same failure again is equal: its numbers may differ, as its fingerprint says.
    assert past.replay(*shadow, "--type", "fragile", "--state", "failed")["counts"] == {"equal": 1}
    assert same not in told


def test_what_handlers_enqueue_in_a_shadow_run_is_only_counted(past: Replayed) -> None:
    past.record(("keep", {}))  # makes the queue
    with past.world.process("worker", "--handlers", MODULE, "--queue", "work") as worker:
        made = [
            past.world.run("enqueue", "work", kind, body, "--max-retries", "0", "--json").json["id"]
            for kind, body in (("in_child", '{"worker": 0}'), ("orders", "{}"))
        ]
        wait_for(lambda: all(past.ended(job) for job in made), worker)
    assert past.one("select count(*) from hivelog.ready") > 0
    before = tables(past)
    report = past.replay("--as", "shadow", "--handlers", MODULE, "--state", "completed,failed", status=1)
    assert report["enqueued"] == {"work/bill": 3, "work/letter": 2}
    told = {one["type"]: one["differences"][0] for one in report["jobs"]}
    assert told["orders"]["recorded"].startswith("failed"), "no connection of its own could be used"
    assert told["orders"]["now"] == "completed"
    assert "changes nothing" in told["in_child"]["now"]
    assert tables(past)["events"] == before["events"] + 2
    assert tables(past)["ready"] == before["ready"]


def test_what_people_read(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    different, breaks, erased = past.record(
        ("total", {"numbers": [1, 2, 3]}), ("fragile", {"breaks": 2, "word": "[/bold] luck"}), ("keep", {})
    )
    assert past.world.run("erase", erased, "--yes").status == 0
    monkeypatch.setenv("REPLAYED_CODE", "2")
    ran = past.world.run("replay", "--since", "1h", "--as", "shadow", "--handlers", MODULE, "--yes")
    assert ran.status == 1
    assert "on standard output" not in ran.out
    assert "3 jobs: 0 equal, 1 different, 1 failed, 0 slower" in ran.out
    assert "1 skipped: their payload was erased" in ran.out
    failed, other = (next(line for line in ran.out.splitlines() if job in line) for job in (breaks, different))
    assert "completed → ValueError: no [/bold] luck 4711" in failed
    assert "total: 6 → 9" in other
    assert ran.out.index(breaks) < ran.out.index(different)
    action = past.all("action_finished")[-1]["action_id"]
    assert action in ran.err
    copied = past.world.run("replay", "--since", "1h", "--as", "copy", "--rate", "100/s", "--yes").out
    assert copied.startswith("2 copies of 3 jobs (action ")
    shown = past.world.run("replay", "--what-if", "workers=2", "slots=1", "--queue", "work", "--since", "1h").out
    lines = [line.split() for line in shown.splitlines()]
    # Two slots for ever would have come to the copies too.
    assert ["at", "once", "8", "2"] in lines
    assert ["started", "3", "3", "5"] in lines
    assert "recorded |" in shown
