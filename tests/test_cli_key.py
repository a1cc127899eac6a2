"""`hivelog key rotate`: everything opens with the new key alone afterwards, and nothing is passed over."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cli_world import Ran, World, environment_of, in_environment
from hivelog.events import keyfile
from hivelog.events.keyring import Keyring

OLD, NEW, LOST = (bytes((letter,)) * 32 for letter in b"onl")


def text(*keys: bytes) -> str:
    return ",".join(urlsafe_b64encode(key).decode() for key in keys)


def fingerprint(key: bytes) -> str:
    return Keyring([key]).first.fingerprint


class Ring(World):
    """Commands with encryption on; `use` says with which keys, the encrypting one first."""

    def use(self, *keys: bytes) -> None:
        os.environ["MESSAGING_ENCRYPTION_KEY"] = text(*keys)


@pytest.fixture
def world(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Ring]:
    environment = environment_of(database, redis_url, tmp_path) | {"MESSAGING_ENCRYPTION_ENABLED": "true"}
    with in_environment(environment):
        world = Ring(environment, capsys)
        world.use(OLD)
        assert world.run("queues", "letters", "--set", "max_retries=0").status == 0
        yield world


def enqueued(world: Ring, number: int) -> str:
    ran = world.run("enqueue", "letters", "mail", f'{{"n": {number}}}', "--json")
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


def payload_of(world: Ring, job: str) -> Any:
    ran = world.run("job", job, "--json")
    assert ran.status == 0, ran.err
    return ran.json["job"]["unreadable"] or ran.json["job"]["payload"]


def rows(ran: Ran) -> dict[str, int]:
    return {one["fingerprint"]: one["rows"] for one in ran.json["keys"]}


def rotations(database: str) -> list[dict[str, Any]]:
    query = "select data from hivelog.events where type = 'keys_rotated' order by position"
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute(query)]


def test_after_a_rotation_the_new_key_alone_opens_everything(world: Ring, database: str) -> None:
    jobs = [enqueued(world, number) for number in range(3)]
    world.use(NEW, OLD)
    jobs.append(enqueued(world, 3))
    dry = world.run("key", "rotate", "--dry-run", "--json")
    assert dry.status == 0, dry.err
    assert rows(dry) == {fingerprint(OLD): 3, fingerprint(NEW): 1}
    assert (dry.json["to"], dry.json["to_rewrap"], dry.json["unknown"]) == (fingerprint(NEW), 3, 0)
    assert rotations(database) == []

    done = world.run("key", "rotate", "--json")
    assert done.status == 0, done.err
    assert (done.json["rewrapped"], done.json["unknown"]) == (3, 0)
    assert rows(done) == {fingerprint(OLD): 0, fingerprint(NEW): 4}
    expected = {"to": fingerprint(NEW), "from": [fingerprint(OLD)], "rewrapped": 3, "unknown": 0}
    assert rotations(database) == [expected]

    world.use(NEW)
    assert [payload_of(world, job) for job in jobs] == [{"n": number} for number in range(4)]
    world.use(OLD)
    assert payload_of(world, jobs[0]) == "no_key"


def test_a_dry_run_says_it_in_words_and_knows_a_key_that_was_never_used(world: Ring, database: str) -> None:
    enqueued(world, 1)
    world.use(NEW, OLD)
    ran = world.run("key", "rotate", "--dry-run")
    assert ran.status == 0
    assert f"would rewrap 1 to {fingerprint(NEW)}" in ran.out
    assert fingerprint(OLD) in ran.out
    with psycopg.connect(database) as connection:
        known = connection.execute("select fingerprint from hivelog.keks").fetchall()
    assert known == [(fingerprint(OLD),)], "a dry run leaves nothing behind"


def test_stopped_half_way_it_goes_on(world: Ring, monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    from hivelog.events import rotate

    for number in range(5):
        enqueued(world, number)
    world.use(NEW, OLD)
    chunks = iter(range(10))
    rewrap = rotate._rewrap

    async def interrupted(*arguments: Any) -> None:
        if next(chunks):
            raise KeyboardInterrupt
        await rewrap(*arguments)

    monkeypatch.setattr(rotate, "CHUNK", 2)
    monkeypatch.setattr(rotate, "_rewrap", interrupted)
    assert world.run("key", "rotate").status == 130
    assert rotations(database) == []
    monkeypatch.setattr(rotate, "_rewrap", rewrap)
    assert world.run("key", "rotate", "--json").json["rewrapped"] == 3


def test_a_key_that_is_not_here_is_named_and_its_rows_are_left(world: Ring, database: str) -> None:
    mine = enqueued(world, 1)
    world.use(LOST)
    theirs = enqueued(world, 2)
    world.use(NEW, OLD)
    for ran in (world.run("key", "rotate", "--dry-run"), world.run("key", "rotate")):
        assert ran.status == 1
        assert f"1 data keys are under key 2 ({fingerprint(LOST)})" in ran.err
        assert "MESSAGING_ENCRYPTION_KEY" in ran.err
    assert rotations(database)[0]["unknown"] == 1
    assert payload_of(world, mine) == {"n": 1}
    world.use(NEW, LOST)
    assert world.run("key", "rotate", "--json").json["rewrapped"] == 1
    world.use(NEW)
    assert payload_of(world, theirs) == {"n": 2}


def test_without_a_key_it_says_so_and_makes_none(
    world: Ring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MESSAGING_ENCRYPTION_KEY")
    ran = world.run("key", "rotate")
    assert ran.status == 1
    (line,) = ran.err.strip().splitlines()
    assert "no encryption key" in line
    assert "MESSAGING_ENCRYPTION_KEY" in line
    assert not keyfile.key_path(tmp_path).exists()


def test_the_key_file_is_rotated_too(
    world: Ring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its first line encrypts, as the first of MESSAGING_ENCRYPTION_KEY does."""
    job = enqueued(world, 1)
    monkeypatch.delenv("MESSAGING_ENCRYPTION_KEY")
    path = keyfile.key_path(tmp_path)
    path.parent.mkdir()
    path.write_text(f"{text(NEW)}\n{text(OLD)}\n")
    assert world.run("key", "rotate", "--json").json["rewrapped"] == 1
    path.write_text(f"{text(NEW)}\n")
    assert payload_of(world, job) == {"n": 1}
