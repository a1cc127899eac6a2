"""Every command: its help, what it answers, its errors and exit status; on the log and over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cli_world import Ran, World, environment_of, in_environment, served, wait_for

COMMANDS = (
    "up", "demo", "serve", "worker", "supervise", "workers", "migrate", "enqueue", "jobs", "job", "queues", "config",
    "pause", "resume", "drain", "retry", "cancel", "events", "failures", "replay", "rebuild", "diff", "doctor", "key", "bench",
)  # fmt: skip
NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def world(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        yield World(environment, capsys)


@pytest.fixture
def server(world: World) -> Iterator[World]:
    """With a real `hivelog serve` beside it, which makes the queues out of the box."""
    with served(world):
        yield world


def enqueued(world: World, queue: str = "default", kind: str = "mail", *more: str) -> str:
    ran = world.run("enqueue", queue, kind, '{"to": "ann"}', "--json", *more)
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


def one_line(ran: Ran) -> str:
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("hivelog: ")
    return lines[0]


def test_every_command_has_a_help_with_an_example(world: World) -> None:
    for command in COMMANDS:
        ran = world.run(command, "--help")
        assert ran.status == 0
        assert f"hivelog {command}" in re.sub(r"\s+", " ", ran.out).split("Example", 1)[1], command
    listed = world.run("--help").out
    assert all(f" {command} " in listed for command in COMMANDS)


def test_misuse_is_one_line_and_status_2(world: World) -> None:
    for arguments, words in (
        (("nope",), "nope"),
        (("jobs", "--bogus"), "--bogus"),
        (("enqueue",), "QUEUE"),
        (("enqueue", "default", "mail", "{not json"), "not JSON"),
        (("config", "retention_days"), "NAME=VALUE"),
        (("queues", "--set", "priority=1"), "which queue"),
        (("worker",), "--handlers"),
        (("supervise",), "--handlers"),
        (("workers", "stop"), "which worker"),
        (("workers", "scale", "reports", "many"), "number"),
        (("rebuild", "everything"), "everything"),
        (("jobs", "--url", "localhost"), "http://"),
    ):
        ran = world.run(*arguments)
        assert ran.status == 2, arguments
        assert words in one_line(ran), arguments


def test_a_bad_setting_stops_with_its_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIVELOG_PROT", "1")
    ran = world.run("jobs")
    assert ran.status == 2
    assert "HIVELOG_PROT" in one_line(ran)


def test_jobs_from_enqueue_to_retry(server: World) -> None:
    job = enqueued(server, "default", "mail", "--priority", "200", "--tag", "nightly")
    shown = server.run("job", job, "--json").json["job"]
    assert (shown["status"], shown["metadata"]["priority"], shown["payload"]) == ("queued", 200, {"to": "ann"})
    # Lists come from a projection, which trails the log by a moment.
    wait_for(lambda: job in server.run("jobs", "default").out)
    assert server.run("jobs", "--tag", "nightly", "--json").json["count"] == 1
    assert server.run("cancel", job, "--reason", "wrong customer").out == "Job cancelled successfully (cancelled)\n"
    history = server.over_http("job", job, "--history", "--json").json["events"]
    assert [event["type"] for event in history] == ["enqueued", "cancelled"]
    assert history[1]["reason"] == "wrong customer"
    again = server.over_http("cancel", job)
    assert again.status == 1
    assert "cancelled" in one_line(again)
    assert server.over_http("retry", job, "--payload", '{"to": "bob"}').status == 0
    assert server.run("job", job, "--json").json["job"]["payload"] == {"to": "bob"}
    text = server.run("job", job, "--history").out
    assert "requeued" in text
    assert "wrong customer" in text


def test_both_ways_answer_the_same(server: World) -> None:
    job = enqueued(server)
    # Lists are projections: the one answer could be from before the job, and the other from after.
    wait_for(lambda: server.run("jobs", "default", "--json").json["count"] == 1)
    for arguments in (("job", job), ("jobs", "default"), ("config",), ("failures",), ("queues", "reports")):
        here, there = server.run(*arguments, "--json"), server.over_http(*arguments, "--json")
        assert here.status == there.status == 0, here.err + there.err
        assert here.json == there.json, arguments


def test_refusals_say_what_to_do(server: World) -> None:
    unknown = one_line(server.run("enqueue", "nowhere", "mail"))
    assert "nowhere" in unknown
    assert "hivelog queues" in unknown
    assert "hivelog jobs" in one_line(server.run("job", NOBODY))
    assert "priority" in one_line(server.run("enqueue", "default", "mail", "{}", "--priority", "-9999999"))
    wrong = server.run("jobs", "--url", str(server.url), "--token", "not-the-token-of-this-server")
    assert wrong.status == 1
    assert "--token" in one_line(wrong)


def test_as_it_was(server: World) -> None:
    job = enqueued(server)
    then = str(server.run("job", job, "--json").json["job"]["position"])
    assert server.run("cancel", job).status == 0
    assert server.run("job", job, "--at", then, "--json").json["job"]["status"] == "queued"
    [listed] = server.run("jobs", "default", "--status", "queued", "--at", then, "--json").json["jobs"]
    assert listed["id"] == job
    queues = {row["name"]: row["stats"] for row in server.run("queues", "--at", then, "--json").json["queues"]}
    assert queues["default"]["queued"] == 1
    assert server.run("job", job, "--json").json["job"]["status"] == "cancelled"
    assert "head" in one_line(server.run("jobs", "--at", "999999"))


def test_a_file_of_jobs(server: World, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    line = {"queue": "background", "type": "index", "payload": {"n": 12345678901234567890123}}
    file.write_text("\n".join(json.dumps(line) for _ in range(2500)) + "\n")
    ran = server.run("enqueue", "--file", str(file), "--json")
    assert ran.json["count"] == 2500
    assert len(set(ran.json["ids"])) == 2500
    # A number that no float holds is stored as it was written.
    assert "12345678901234567890123" in server.run("job", ran.json["ids"][0], "--json").out
    file.write_text('{"queue": "background", "type": "index"}\n')
    bad = server.run("enqueue", "--file", str(file))
    assert bad.status == 2
    assert "line 1" in one_line(bad)


def test_drain_counts_first_and_cancels_that_set(server: World) -> None:
    first = [enqueued(server) for _ in range(3)]
    counted = server.run("drain", "default", "--dry-run", "--json").json
    assert counted["matched"] == 3
    late = enqueued(server)
    ran = server.run("drain", "default", "--position", str(counted["position"]), "--yes", "--json")
    assert ran.json["cancelled"] == 3
    assert server.run("job", late, "--json").json["job"]["status"] == "queued"
    assert server.run("job", first[0], "--json").json["job"]["status"] == "cancelled"


def test_a_big_drain_is_stayed_for(server: World, database: str) -> None:
    # More than a call does at once.
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(2):
            connection.execute(
                "select hivelog.enqueue('background', 'index', '{}', '{}') from generate_series(1, 5200)"
            )
    wait_for(lambda: server.run("drain", "background", "--dry-run", "--json").json["matched"] == 10_400)
    ran = server.run("drain", "background", "--json")
    assert ran.status == 0, ran.err
    assert ran.json["cancelled"] == 10_400


def test_queues_and_their_settings(server: World) -> None:
    listed = {queue["name"]: queue for queue in server.run("queues", "--json").json["queues"]}
    assert {"default", "reports", "notifications", "background"} <= listed.keys()
    made = server.run("queues", "imports", "--set", "max_workers=2", "--set", "retry_backoff=exponential", "--json")
    assert made.json["config"]["max_workers"] == 2
    assert made.json["config"]["retry_backoff"] == "exponential"
    assert server.run("pause", "imports", "--reason", "fire").out == "Queue imports paused\n"
    assert "paused" in server.run("queues").out
    assert server.over_http("resume", "imports").out == "Queue imports resumed\n"
    enqueued(server, "imports")
    busy = server.run("queues", "imports", "--delete")
    assert busy.status == 1
    assert "drain" in one_line(busy)
    server.run("drain", "imports", "--yes")
    assert server.run("queues", "imports", "--delete").status == 0
    assert server.run("config", "retention_days=60", "--json").json["retention_days"] == 60
    refused = server.run("config", "job_persistence=false")
    assert refused.status == 1
    assert "job_persistence" in one_line(refused)


def test_workers_are_told_how_many(server: World) -> None:
    nobody = "; no supervisor runs for it: start `hivelog supervise`; 0 running now\n"
    scaled = server.run("workers", "scale", "reports", "4")
    assert scaled.out == "Queue reports scaled to 4 workers; max_workers raised to 4" + nobody
    assert server.over_http("workers", "start", "reports", "--json").json["desired"] == 5
    assert server.run("workers", "stop", "reports", "--json").json["desired"] == 4
    shown = server.over_http("workers", "status").out
    assert re.search(r"reports +4 +0 +2 +5 +by hand +one stopped by hand", shown), shown
    assert "0 supervisors" in shown
    back = server.run("workers", "scale", "reports", "auto", "--json").json
    assert back["message"].startswith("Queue reports scales by itself again, from 4 workers")
    assert server.run("workers", "stop", "--session", NOBODY).status == 1
    [row] = [r for r in server.run("workers", "status", "--json").json["scaling"] if r["queue"] == "reports"]
    assert (row["desired"], row["pinned"]) == (4, False)


def test_events_by_the_page_and_filtered(server: World) -> None:
    jobs = [enqueued(server) for _ in range(3)]
    server.run("cancel", jobs[1])
    everything = [json.loads(line) for line in server.run("events", "--after", "0", "-n", "5000", "--json").out.splitlines()]
    assert [event["position"] for event in everything] == list(range(1, len(everything) + 1))
    ended = server.run("events", "--type", "cancelled", "--json").out.splitlines()
    assert [json.loads(line)["job"] for line in ended] == [jobs[1]]
    assert "cancelled" in server.over_http("events", "-n", "1").out


def test_rebuild_and_diff(server: World, database: str) -> None:
    jobs = [enqueued(server) for _ in range(5)]
    server.run("cancel", jobs[0])
    assert server.run("diff").out.startswith("No differences in 5 jobs")
    done = server.run("rebuild", "--json").json["rebuilt"]
    assert [made["name"] for made in done] == ["jobs", "failures", "workers", "rounds", "redis", "search"]
    assert not any(sum((made["differences"] or {}).values()) for made in done)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update hivelog.jobs set priority = priority + 1 where id = %s", (jobs[2],))
    differs = server.run("diff", "--json")
    assert differs.status == 1
    assert [(d["subject"], d["what"]) for d in differs.json["differences"]] == [(jobs[2], "priority")]
    assert "rows had been wrong" in server.run("rebuild", "jobs").out
    assert server.run("diff").status == 0


def test_search_from_the_command_line(server: World, database: str) -> None:
    ann, bob = (
        server.run("enqueue", "reports", "mail", payload, "--json").json["id"]
        for payload in ('{"to": {"name": "ann"}, "text": "late quokka"}', '{"to": {"name": "bob"}}')
    )

    def found(*arguments: str, run: Callable[..., Ran] = server.run) -> set[str]:
        ran = run("jobs", *arguments, "--json")
        assert ran.status == 0, ran.err
        return {job["id"] for job in ran.json["jobs"]}

    # Search trails the log by a moment, and so do lists.
    wait_for(lambda: found("--q", "to.name:ann") and found("--q", "to.name:bob"))
    assert found("--q", "to.name:ann QUOKKA") == found("reports", "--q", "quokka") == {ann}
    assert found("--q", "quokka", run=server.over_http) == {ann}
    assert found("--q", "to.name:bob quokka") == found("default", "--q", "quokka") == set()
    assert server.run("jobs", "--q", "wombat").out == "No such jobs.\n"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from hivelog.search")
    assert found("--q", "to.name:bob") == set()
    assert re.fullmatch(r"search rebuilt up to position \d+\n", server.run("rebuild", "search").out)
    assert found("--q", "to.name:bob") == {bob}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update hivelog.search_state set kek = 7")
    refused = server.run("rebuild", "search")
    assert refused.status == 1
    assert "MESSAGING_ENCRYPTION_KEY" in one_line(refused)
    assert found("--q", "to.name:bob") == {bob}


def test_nothing_to_talk_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = environment_of(None, None, tmp_path)
    with in_environment(environment):
        world = World(environment, capsys)
        ran = world.run("jobs")
        assert ran.status == 1
        assert "hivelog up" in one_line(ran)
        away = world.run("jobs", "--url", "http://127.0.0.1:1")
        assert away.status == 1
        assert "hivelog serve" in one_line(away)
        assert not list(tmp_path.iterdir()), "a question must start nothing"


def test_a_database_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/nowhere")
    for command in (("jobs",), ("migrate",)):  # serve waits: test_start
        ran = world.run(*command)
        assert ran.status == 1
        assert "DATABASE_URL" in one_line(ran)
        assert "secret" not in ran.err


def test_migrate_and_check(empty_database: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    todo = world.run("jobs")
    assert todo.status == 1
    assert "hivelog migrate" in one_line(todo)
    before = world.run("migrate", "--check", "--json")
    assert before.status == 1
    assert "migrations/0001_log.sql" in before.json["pending"]
    assert "migrations/0001_log.sql" in world.run("migrate", "--json").json["migrations"]
    after = world.run("migrate", "--check", "--json")
    assert after.status == 0
    assert after.json == {"up_to_date": True, "pending": []}


def test_debug_shows_where(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(psycopg.OperationalError):
        world.run("--debug", "migrate")
