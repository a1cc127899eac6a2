"""Proofs for others: over HTTP, by commands, and offline with nothing but the public key."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hivelog.events import anchors, bundle, canonical, signing

from .cli_world import World as Commands
from .cli_world import environment_of, in_environment
from .sealed_log import opened, ring, seal, superuser, write_history
from .web_world import served, until

SEED = bytes(range(32))
GOLDEN = Path(__file__).parent / "golden" / "seals"


async def lines_of(database: str, first: int, last: int) -> list[bytes]:
    async with opened(database) as pool:
        return [line async for line in bundle.write_range(pool, first, last)]


async def test_a_bundle_proves_itself_and_shows_every_change(database: str) -> None:
    head = write_history(database, 12)
    await seal(database, ring(SEED), largest=8)
    lines = await lines_of(database, 5, 30)
    checked = bundle.check(lines, ring(SEED).public)
    assert (checked.events, checked.first, checked.last, checked.whole) == (26, 5, 30, True)
    assert checked.problems == []
    assert bundle.check(lines, ring().public).found > 0  # of another key
    for number, line in enumerate(lines[1:], start=1):
        kind = msgspec.json.decode(line)
        for changed in _changes(kind):
            altered = [*lines[:number], msgspec.json.encode(changed) + b"\n", *lines[number + 1 :]]
            assert bundle.check(altered, ring(SEED).public).found > 0, changed
        if "event" in kind and "path" not in kind:
            assert bundle.check(lines[:number] + lines[number + 1 :], ring(SEED).public).found > 0
    assert head >= 30
    with pytest.raises(ValueError, match="line 1"):
        bundle.check([b"{}"], ring(SEED).public)


@pytest.mark.parametrize("layout", canonical.FORMATS)
def test_bundles_of_every_format_are_checked_for_ever(layout: int) -> None:
    lines = (GOLDEN / f"format{layout}.bundle").read_bytes().splitlines(keepends=True)
    checked = bundle.check(lines, ring(SEED).public)
    assert (checked.problems, checked.events, checked.whole) == ([], 24, True)
    for number, line in enumerate(lines[1:], start=1):
        for changed in _changes(msgspec.json.decode(line)):
            altered = [*lines[:number], msgspec.json.encode(changed) + b"\n", *lines[number + 1 :]]
            assert bundle.check(altered, ring(SEED).public).found > 0, changed


def _changes(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each field of a line altered, one at a time."""
    (kind,) = {"seal", "event"} & set(line)
    for name, value in line[kind].items():
        if isinstance(value, int):
            yield {**line, kind: {**line[kind], name: value + 1}}
        elif name in ("names", "data", "correlation", "type"):
            yield {**line, kind: {**line[kind], name: value + " "}}


async def test_the_bundle_of_a_job_and_a_forged_line_of_keys(database: str) -> None:
    write_history(database, 6)
    await seal(database, ring(SEED), largest=8)
    with psycopg.connect(database) as connection:
        row = connection.execute("select stream from hivelog.events where type = 'failed' limit 1").fetchone()
    assert row is not None
    async with opened(database) as pool:
        lines = [line async for line in bundle.write_job(pool, row[0].bytes)]
    checked = bundle.check(lines, ring(SEED).public)
    assert (checked.events, checked.problems, checked.what) == (3, [], {"job": str(row[0])})
    # A thief's key that says it was followed by the real one.
    thief = signing.SigningKey(os.urandom(32))
    real = ring(SEED).first.public
    word = thief.sign(b"hivelog signing key endorsed\0" + real) + thief.sign(
        b"hivelog signing key followed\0" + thief.public
    )
    known = [signing.KnownKey(1, thief.public), signing.KnownKey(2, real, 1, word)]
    assert signing.trusted_keys({real}, known) == {real}


async def test_seals_proof_and_verification_over_http(
    servers: Any, database: str, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "anchors"
    async with served(database, redis_url, tmp_path, anchor_file=file, anchor_seconds=1.0) as world:
        await world.enqueue()

        async def sealed() -> bool:
            found = (await world.client.get("/audit/seals")).json()
            return found["unsealed"] == 0 and found["sealed_to"] > 0

        await until(sealed)
        began = time.monotonic()
        await world.enqueue()
        await until(sealed)
        assert time.monotonic() - began < 10  # a second, and this machine's moods
        found = (await world.client.get("/audit/seals")).json()
        health = (await world.client.get("/health")).json()["components"]["seals"]
        assert (health["status"], health["behind"]) == ("healthy", 0)
        await until(file.exists)
        verified = (await world.client.get("/audit/verify")).json()
        assert (verified["verdict"], verified["trusted_here"]) == ("intact", True)
        assert verified["report"]["events"] >= found["sealed_to"]
        # The newest when it was verified: meanwhile there may be a newer one.
        assert verified["report"]["tail"]["provable_to"] in [anchor.position for anchor in anchors.read(file)]
        proof = (await world.client.get("/audit/proof?position=2")).json()
        assert proof["event"]["position"] == 2
        for path in ("/audit/proof", "/audit/proof?position=0", "/audit/verify?from=9&to=2", "/audit/seals?x=1"):
            assert (await world.client.get(path)).status_code == 400, path
        assert (await world.client.get("/audit/proof?position=999999")).status_code == 404
        assert (await world.client.get("/audit/verify", headers={"authorization": "none"})).status_code == 401
        with superuser(servers, database) as root:
            root.execute("update hivelog.events set version = 9 where position = 2")
        verified = (await world.client.get("/audit/verify?from=2&to=2")).json()
        assert [one["first"] for one in verified["report"]["findings"]] == [2]
        assert (await world.client.get("/audit/proof?position=2")).status_code == 409


@pytest.fixture
def commands(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Commands]:
    with in_environment(environment_of(database, redis_url, tmp_path)) as _:
        yield Commands(environment_of(database, redis_url, tmp_path), capsys)


def test_commands(servers: Any, database: str, commands: Commands, tmp_path: Path) -> None:
    import asyncio

    from hivelog.events import keyfile, signfile

    assert commands.run("key", "public").status == 1
    path = signfile.key_path(tmp_path)
    keyfile.write_key(path)
    keys = signing.SigningRing.from_settings(keyfile.read_keys(path))
    head = write_history(database, 6)
    asyncio.run(seal(database, keys, largest=8))
    public = commands.run("key", "public").out.strip()
    assert signing.from_text(public) == keys.first.public
    assert commands.run("audit", "verify").status == 0
    assert commands.run("audit", "verify", "--json").json["verdict"] == "intact"
    assert "cut off" in commands.run("audit", "verify", "--public-key", public).out
    other = signing.to_text(ring().first.public)
    assert commands.run("audit", "verify", "--public-key", other).status == 1
    assert commands.run("audit", "verify", "--public-key", "x").status == 2
    file = tmp_path / "a.bundle"
    assert commands.run("audit", "export", str(file), "--from", "3", "--to", "12").status == 0
    checked = commands.run("audit", "verify-bundle", str(file), "--public-key", public, "--json")
    assert (checked.status, checked.json["events"], checked.json["valid"]) == (0, 10, True)
    assert commands.run("audit", "verify-bundle", str(file), "--public-key", other).status == 1
    assert len(commands.run("audit", "seals", "--json").json["seals"]) == -(-head // 8)
    assert "sealed up to" in commands.run("doctor").out
    rotated = commands.run("key", "rotate-signing").out.strip()
    both = keyfile.read_keys(path)
    assert len(both) == 2
    assert rotated == commands.run("key", "public").out.strip() != public
    write_history(database, 2)
    asyncio.run(seal(database, signing.SigningRing.from_settings(both), largest=8))
    for key in (public, rotated):
        assert commands.run("audit", "verify", "--public-key", key).status == 0
    with superuser(servers, database) as root:
        root.execute("delete from hivelog.events where position = 4")
    ran = commands.run("audit", "verify", "--json")
    assert (ran.status, ran.json["findings"][0]["kind"], ran.json["findings"][0]["first"]) == (1, "missing", 4)
    assert commands.run("audit", "export", str(file), "--from", "3", "--to", "12").status == 1
