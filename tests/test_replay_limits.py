"""What a replay leaves alone and refuses: erased and unreadable payloads, bad arguments, limits, who may not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cli_world import World, environment_of, in_environment, wait_for
from hivelog.broker.errors import Rejected
from hivelog.replay import action as replay_action
from hivelog.replay import hold as replay_hold
from hivelog.replay.hold import held
from psycopg import sql

from .replay_world import MODULE, Replayed

KEY = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
SHADOW = ("--as", "shadow", "--handlers", MODULE)


@pytest.fixture
def environment(database: str, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        yield environment


@pytest.fixture
def past(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Replayed]:
    replayed = Replayed(World(environment, capsys))
    with contextlib.closing(replayed.probe):
        yield replayed


def refused(past: Replayed, *arguments: str, status: int = 1) -> str:
    """One line, and nothing written."""
    before = past.one("select count(*) from hivelog.events")
    ran = past.world.run("replay", *arguments)
    assert (ran.status, ran.out) == (status, ""), ran.err
    assert past.one("select count(*) from hivelog.events") == before
    assert ran.err.count("\n") == 1, ran.err
    return ran.err.strip()


def test_what_was_erased_is_skipped_and_counted(past: Replayed) -> None:
    erased, whole, failed = past.record(("keep", {"a": 1}), ("keep", {"a": 2}), ("fragile", {"breaks": 1, "word": "x"}))
    for job in (erased, failed):
        assert past.world.run("erase", job, "--yes").status == 0
    copied = past.replay("--as", "copy")
    assert (copied["matched"], copied["changed"], copied["skipped"]) == (3, 1, {"erased": 2})
    assert [of for _, of in past.copies()] == [whole]
    redriven = past.replay("--as", "redrive", "--type", "fragile")
    assert (redriven["matched"], redriven["changed"], redriven["skipped"]) == (1, 0, {"erased": 1})
    assert past.types(failed)[-1] == "payload_erased"
    shadow = past.replay(*SHADOW)
    assert (shadow["counts"], shadow["skipped"]) == ({"equal": 1}, {"erased": 1})
    assert past.all("action_finished")[0]["counts"] == {"erased": 2}


def test_with_encryption_on(
    past: Replayed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MESSAGING_ENCRYPTION_ENABLED", "true")
    monkeypatch.setenv("MESSAGING_ENCRYPTION_KEY", KEY)
    quokka, other = past.record(("total", {"numbers": [1], "pet": "quokka"}), ("total", {"numbers": [2]}))
    [broken] = past.record(("fragile", {"breaks": 1, "word": "quokka"}))
    done = past.replay("--as", "copy", "--filter", "pet:quokka")
    assert (done["matched"], done["changed"]) == (1, 1)
    [(copy, of)] = past.copies()
    assert of == quokka
    past.work(copy)
    assert past.job(copy)["payload"] == {"numbers": [1], "pet": "quokka"}
    assert past.replay(*SHADOW, "--type", "total", "--ignore", "made")["counts"] == {"equal": 3}
    rows = past.probe.execute("select data::text from hivelog.events").fetchall()
    rows += past.probe.execute("select encode(body, 'escape') from hivelog.vault").fetchall()
    assert not any("quokka" in row[0] for row in rows if row[0])
    monkeypatch.delenv("MESSAGING_ENCRYPTION_KEY")
    monkeypatch.setenv("MESSAGING_ENCRYPTION_ENABLED", "false")
    monkeypatch.setenv("HIVELOG_DATA", str(tmp_path / "elsewhere"))
    lacking = past.replay("--as", "copy", "--type", "total")
    assert (lacking["matched"], lacking["changed"], lacking["skipped"]) == (3, 0, {"no_key": 3})
    redriven = past.replay("--as", "redrive")
    assert (redriven["changed"], redriven["skipped"]) == (0, {"no_key": 1})
    assert past.types(broken)[-1] == "failed"
    assert past.replay(*SHADOW, "--type", "total")["skipped"] == {"no_key": 3}
    assert "MESSAGING_ENCRYPTION_KEY" in refused(past, "--as", "copy", "--since", "1h", "--filter", "pet:quokka", "--yes")
    assert other not in [of for _, of in past.copies()]


def test_what_cannot_be_asked(past: Replayed) -> None:
    past.record(("keep", {}), ("keep", {}), ("keep", {}))
    for arguments, words in (
        (("--as", "again", "--since", "1h"), "redrive, copy, shadow"),
        (("--as", "copy"), "--since is missing"),
        (("--as", "copy", "--since", "soon"), "RFC 3339"),
        (("--as", "copy", "--since", "1h", "--rate", "0/s"), "--rate must be such as 50/s"),
        (("--as", "copy", "--since", "1h", "--rate", "fast"), "--rate must be such as 50/s"),
        (("--as", "shadow", "--since", "1h"), "--handlers"),
        (("workers=3", "--since", "1h"), "--what-if"),
    ):
        assert words in refused(past, *arguments, status=2), arguments
    for arguments, words in (
        (("--as", "redrive", "--since", "1h", "--state", "completed"), "cancelled, expired, failed"),
        (("--as", "copy", "--since", "1h", "--state", "processing"), "must be some of"),
        (("--as", "copy", "--since", "1h", "--queue", "nowhere"), "hivelog queues"),
        (("--as", "shadow", "--since", "1h", "--handlers", "no_such_module", "--yes"), "no_such_module"),
        (("--resume", "0193a5f2-7c1e-7000-8000-000000000000"), "there is no replay"),
        (("--resume", "x' or true"), "there is no replay"),
    ):
        assert words in refused(past, *arguments), arguments


def test_nothing_happens_without_a_yes(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    past.record(("keep", {}))
    monkeypatch.setattr("typer.confirm", lambda text, **_: text != "Copy them?")
    ran = past.world.run("replay", "--as", "copy", "--since", "1h")
    assert ran.status == 1
    assert "copy: 1 job (" in ran.err
    assert past.copies() == past.all("action_started") == []


def test_limits(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    past.record(("keep", "x" * 3000), ("keep", {}), ("sized", {"size": 1}))
    monkeypatch.setattr(replay_action, "MOST", 2)
    assert "must be narrower: 3 jobs match, 2 may" in refused(past, "--as", "copy", "--since", "1h", "--yes")
    monkeypatch.undo()
    assert past.world.run("config", "max_message_size=1024").status == 0
    done = past.replay("--as", "copy", "--type", "keep")
    assert (done["matched"], done["changed"], done["refused"]) == (2, 1, 1)
    monkeypatch.setenv("MESSAGING_QUEUE_ENABLED", "false")
    assert "MESSAGING_QUEUE_ENABLED" in refused(past, "--as", "copy", "--since", "1h", "--yes")
    assert past.replay(*SHADOW, "--type", "keep")["counts"] == {"equal": 2}


def test_a_copy_must_fit_what_living_workers_take(past: Replayed) -> None:
    """The type had another shape when the job was recorded."""
    past.record(("sized", {"size": 1}))
    [failed] = past.record(("sized", {"size": "large"}))
    assert past.types(failed)[-1] == "failed"

    living = "select count(*) from hivelog.sessions where schemas is not null"
    with past.world.process("worker", "--handlers", MODULE, "--queue", "work") as worker:
        wait_for(lambda: past.one(living), worker)
        done = past.replay("--as", "copy", "--type", "sized")
    assert (done["matched"], done["changed"], done["refused"]) == (2, 1, 1)


def test_one_process_at_a_time(past: Replayed, monkeypatch: pytest.MonkeyPatch) -> None:
    past.record(("keep", {}))
    monkeypatch.setattr(replay_hold, "_LOOK", 0.01)
    monkeypatch.setattr(replay_hold, "RENEW", 0.01)

    async def lost(hold: replay_hold.Hold) -> None:
        async with asyncio.timeout(5):
            while True:
                hold.check()
                await asyncio.sleep(0.01)

    async def two() -> None:
        async with past.engine() as engine, held(engine.pool, "some-action") as first:
            with pytest.raises(Rejected, match="another process is at work"):
                await replay_hold.Hold(engine.pool, "some-action").take(patience=0.05)
            first.check()
            past.probe.execute("update hivelog.leadership set holder = 'another', expires_at = 'infinity'")
            with pytest.raises(Rejected, match="taken this replay up"):
                await lost(first)

    asyncio.run(two())


def test_who_may_only_read_may_not_replay(past: Replayed, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    past.record(("keep", {}), ("fragile", {"breaks": 1, "word": "x"}))
    for role in ("hivelog_app", "hivelog_report"):
        try:
            past.probe.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))
        except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege):
            pytest.skip("this server's user may not create roles")
    mark = "&" if "?" in database else "?"
    monkeypatch.setenv("DATABASE_URL", f"{database}{mark}options=-c%20role%3Dhivelog_report")
    for way in ("redrive", "copy"):
        assert "permission denied" in refused(past, "--as", way, "--since", "1h", "--yes")
    monkeypatch.setenv("DATABASE_URL", f"{database}{mark}options=-c%20role%3Dhivelog_app")
    assert past.replay("--as", "redrive")["changed"] == 1
    assert past.replay("--as", "copy", "--type", "keep")["changed"] == 1
    assert past.replay(*SHADOW, "--type", "keep")["counts"] == {"equal": 1}
