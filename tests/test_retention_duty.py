"""Retention as people meet it: the leader's duty, what the API and the commands say, and the database's rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hivelog import cli
from hivelog.broker import retention as duty
from hivelog.events import archive
from hivelog.events.retention import Done

from .cli_world import environment_of, in_environment
from .retention_world import DAY, World, world
from .simulated_clock import Clock
from .web_world import World as Served
from .web_world import served, until


@pytest.fixture
def log(database: str) -> Iterator[World]:
    with world(database) as made:
        yield made


async def finished(served: Served, count: int) -> list[str]:
    jobs = [(await served.enqueue())["id"] for _ in range(count)]
    session = await served.session()
    claim = {
        "session": session, "claim_id": "c", "types": ["mail"], "queues": ["default"], "limit": 10, "wait": 5,
    }  # fmt: skip
    got = (await served.client.post("/workers/claim", json=claim)).json()["jobs"]
    items = [{"token": job["token"], "outcome": "completed", "result": {}} for job in got]
    answer = await served.client.post("/workers/settle", json={"session": session, "items": items})
    assert [item["accepted"] for item in answer.json()["items"]] == [True] * count
    return jobs


def counting_rounds(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one whenever the duty has ended a round, whatever came of it."""
    rounds: list[None] = []
    once = duty.Retaining.once

    async def counted(self: duty.Retaining) -> Done:
        try:
            return await once(self)
        finally:
            rounds.append(None)

    monkeypatch.setattr(duty.Retaining, "once", counted)
    return rounds


async def test_the_leader_takes_away_what_is_old(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(duty, "_SOON", 0.0)
    monkeypatch.setattr(duty, "_EVERY", 0.1)
    rounds = counting_rounds(monkeypatch)
    clock = Clock(database)
    clock.install()
    async with served(database, redis_url, tmp_path) as server:
        jobs = await finished(server, 3)
        waits = await server.enqueue(scheduled_for="2099-01-01T00:00:00Z")

        async def sealed() -> bool:
            return (await server.client.get("/audit/seals")).json()["unsealed"] == 0

        await until(sealed)  # what one seal covers with later events would stay
        clock.advance(2 * DAY)
        with psycopg.connect(database, autocommit=True) as conn:

            def parts() -> list[tuple[Any, ...]]:
                query = "select high from hivelog.events_partitions() where low <= 1"
                return conn.execute(query).fetchall()

            before = parts()
            await until(lambda: parts() != before, 20, "no partition was begun")
            await server.enqueue()
            clock.advance(40 * DAY)
            edge = "select coalesce(max(edge), 0) from hivelog.retention"
            await until(lambda: conn.execute(edge).fetchone() != (0,), 30, "nothing went")
            monkeypatch.setattr(duty, "_EVERY", 3600.0)
            ended = len(rounds)
            # The round that runs or is about to; after it the edge stays where it is.
            await until(lambda: len(rounds) > ended, 20, "no last round")
            left = "select count(*) from pg_class where relname like 'events_gone%'"
            await until(lambda: conn.execute(left).fetchone() == (0,), 20, "it was not swept")
            (gone,) = conn.execute(edge).fetchone() or (0,)

        for job in jobs:
            assert (await server.client.get(f"/job/{job}")).status_code == 404
        story = (await server.client.get(f"/job/{waits['id']}/history")).json()["events"]
        assert [event["type"] for event in story] == ["enqueued"]

        for path in (f"/jobs?at={gone}", "/queues?at=2026-01-01T00:00:00Z", f"/job/{waits['id']}?at={gone}"):
            answer = await server.client.get(path)
            assert answer.status_code in (410, 400), path
            if answer.status_code == 410:
                assert answer.json()["code"] == "past_retention"
                assert answer.json()["detail"]["edge"] == gone + 1
        assert (await server.client.get(f"/jobs?at={gone}")).status_code == 410
        feed = await server.client.get(f"/queue/status?from={gone}", headers={"accept": "text/event-stream"})
        assert feed.status_code == 410
        seen = {"accept": "text/event-stream", "last-event-id": "1-1"}
        async with server.client.stream("GET", "/queue/status", headers=seen) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("event:"):
                    assert line == "event: reset"
                    break

        assert (await server.client.get(f"/audit/proof?position={gone - 1}")).status_code == 410

        evidence = (await server.client.get("/health")).json()["components"]["database"]["retention"]
        assert (evidence["days"], evidence["edge"]) == (30, gone)
        assert f"hivelog_retention_edge {float(gone)}" in (await server.client.get("/metrics")).text
        answer = (await server.client.get("/audit/verify")).json()
        assert (answer["verdict"], answer["report"]["gap"]["edge"]) == ("intact", gone)

    archived = list(archive.events(tmp_path / "archive"))
    assert [event["position"] for event in archived] == list(range(1, gone + 1))
    capsys.readouterr()
    with in_environment(environment_of(None, None, tmp_path)):
        found = ("events", "--archive", str(tmp_path / "archive"), "--job", jobs[0], "--json")
        assert cli.main(list(found)) == 0
        assert [line.count("completed") for line in capsys.readouterr().out.splitlines()] == [0, 0, 1]
        assert cli.main(["events", "--archive", str(tmp_path), "--limit", "1"]) == 1


async def test_the_application_may_do_it_and_nothing_else(log: World, tmp_path: Path) -> None:
    """The role that serves has no right to change the log, and needs none."""
    log.work(4)
    alive = log.work(2, ended=False)
    await log.cut()
    log.clock.advance(40 * DAY)
    log.work(1)
    await log.settle()
    before = log.events(alive)
    log.log.conn.execute("grant hivelog_app to current_user")
    log.log.conn.execute("grant select, update on hivelog_test_clock to hivelog_app")
    done = await log.run(archive=tmp_path, role="hivelog_app")
    assert (done.dropped, done.jobs) == (done.edge, 4)
    assert log.events(alive) == before
    with psycopg.connect(log.as_role("hivelog_app"), autocommit=True) as conn:
        for table in ("events", "events_kept", "retention", "queue_marks"):
            for statement in ("delete from hivelog.{}", "truncate hivelog.{}", "drop table hivelog.{}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement.format(table))
