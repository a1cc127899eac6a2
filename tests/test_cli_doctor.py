"""Doctor finds what was seeded, says what to do, and exits 1 only for errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cli_world import World, environment_of, in_environment, served
from hivelog.cli.check_redis import redis_findings
from hivelog.cli.check_server import Session, pooler_finding


@pytest.fixture
def server(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        world = World(environment, capsys)
        with served(world):
            yield world


def levels(world: World) -> dict[str, str]:
    """The worst level of each thing looked at."""
    found: dict[str, str] = {}
    for finding in world.run("doctor", "--json").json["findings"]:
        if found.get(finding["what"]) != "error":
            found[finding["what"]] = finding["level"]
    return found


def test_it_finds_what_is_wrong_with_jobs_and_marks(server: World, database: str) -> None:
    before = levels(server)
    assert (before["jobs"], before["depths"], before["schema"], before["pooler"]) == ("ok",) * 4
    # The tests' server runs without fsync: doctor must not call that healthy.
    assert before["durability"] == "error"
    job = server.run("enqueue", "default", "mail", "{}", "--json").json["id"]
    assert levels(server)["workers"] == "warning"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from hivelog.ready where job = %s", (job,))
    ran = server.run("doctor")
    assert ran.status == 1
    assert f"such as {job}" in ran.out
    assert levels(server)["depths"] == "error"


def test_it_finds_a_schema_that_is_behind(
    empty_database: str, server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    ran = server.run("doctor")
    assert ran.status == 1
    assert "hivelog migrate" in ran.out


def test_a_pooler_shows_in_what_a_session_keeps() -> None:
    assert pooler_finding(Session(1, 1, True, True)).level == "ok"
    assert pooler_finding(Session(1, 2, True, True)).level == "warning"
    assert pooler_finding(Session(1, 2, False, True)).level == "error"
    assert pooler_finding(Session(1, 1, True, False)).level == "error"


def test_an_evicting_or_old_redis_is_a_warning() -> None:
    good = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "maxmemory": 0}
    assert {finding.level for finding in redis_findings(good)} == {"ok"}
    assert redis_findings({**good, "maxmemory_policy": "allkeys-lru"})[1].level == "warning"
    assert redis_findings({**good, "redis_version": "6.0.16"})[0].level == "warning"
    assert redis_findings({**good, "maxmemory": 100, "used_memory": 95})[1].level == "warning"
