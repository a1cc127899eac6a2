"""After an erasure nothing gives back what the job carried, and the log still verifies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import redis
from hivelog.events import bundle, fingerprint, keyfile, signfile, signing
from hivelog.projections.rebuild import rebuild
from psycopg import sql

from .cli_world import World as Commands
from .cli_world import environment_of, in_environment
from .sealed_log import seal
from .web_world import World, served, until

MARKER = "xylophonemarker"
ERRORS = (f"no customer {MARKER} in the house", f"Traceback: {MARKER} is not known")


def everything(database: str, url: str | None = None) -> Iterator[tuple[str, str]]:
    """Every row of every table, the planner's samples too, as text."""
    with psycopg.connect(url or database, autocommit=True) as connection:
        tables = connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p', 'm')"
            " and (n.nspname ~ '^(hivelog|public)' or c.relname = 'pg_statistic' and %s)",
            (url is not None,),
        ).fetchall()
        for schema, name in tables:
            for (text,) in connection.execute(
                sql.SQL("select t::text from {}.{} t").format(sql.Identifier(schema), sql.Identifier(name))
            ):
                yield name, text
                if "\\x" in text:  # bytea is printed in hexadecimal
                    yield name, _unhexed(text)


def _unhexed(text: str) -> str:
    import re

    found = re.findall(r"\\x([0-9a-f]+)", text)
    return " ".join(bytes.fromhex(one[: len(one) // 2 * 2]).decode("latin-1") for one in found)


def places(database: str, marker: str = MARKER, url: str | None = None) -> set[str]:
    return {name for name, text in everything(database, url) if marker in text.lower()}


def in_redis(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        everything = b"".join(key + (client.dump(key) or b"") for key in client.scan_iter())
        return MARKER.encode() in everything


async def lived(world: World, *, key: str | None = None) -> str:
    """A job that carries the marker wherever it can, and has failed."""
    session = await world.session()
    metadata = {"max_retries": 1, "retry_delay": 0}
    body = {"type": "mail", "payload": {"to": MARKER, "n": 1}, "metadata": metadata}
    headers = {} if key is None else {"idempotency-key": key}
    answer = await world.client.post("/queue/default/jobs", json=body, headers=headers)
    job = answer.json()["job"]["id"]
    for number, outcome in enumerate(ERRORS):
        token = await claimed(world, session, str(number))
        beat = {"session": session, "tokens": [token], "progress": [
            {"token": token, "percent": 10, "message": f"at {MARKER}"}]}  # fmt: skip
        assert (await world.client.post("/workers/heartbeat", json=beat)).status_code == 200
        item = {"token": token, "outcome": "failed", "error": {"type": "LookupError", "message": outcome}}
        settle = {"session": session, "items": [item]}
        settled = (await world.client.post("/workers/settle", json=settle)).json()
        assert settled["items"][0]["accepted"] if "items" in settled else True
    await until_status(world, job, "failed")
    again = {"payload": {"to": f"{MARKER} again"}}
    assert (await world.client.post(f"/job/{job}/retry", json=again)).status_code == 200
    reason = {"reason": f"{MARKER} asked"}
    assert (await world.client.post(f"/job/{job}/cancel", json=reason)).status_code == 200
    await until_status(world, job, "cancelled")
    return job


async def claimed(world: World, session: str, claim: str) -> str:
    body = {"session": session, "types": ["mail"], "queues": ["default"], "limit": 1, "wait": 5}
    for number in range(20):
        answer = await world.client.post("/workers/claim", json={**body, "claim_id": f"{claim}-{number}"})
        if jobs := answer.json()["jobs"]:
            return str(jobs[0]["token"])
    raise AssertionError("nothing to claim")


async def until_status(world: World, job: str, status: str) -> None:
    async def there() -> bool:
        return (await world.job(job))["status"] == status

    await until(there)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_nothing_gives_it_back(
    servers: Any, database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    encrypted: bool,
) -> None:  # fmt: skip
    async with served(database, redis_url, tmp_path, encryption_enabled=encrypted) as world:
        job = await lived(world, key="k-1")
        await until(lambda: searchable(database, job))
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("analyze")
        before = places(database, url=as_root(servers, database))
        assert before == (set() if encrypted else {"vault", "search"})
        live = (await world.enqueue())["id"]
        assert (await world.client.delete(f"/job/{live}/payload")).status_code == 409
        erased = await world.client.delete(f"/job/{job}/payload")
        assert (erased.status_code, erased.json()["status"]) == (200, "cancelled")
        again = await world.client.delete(f"/job/{job}/payload")
        assert again.json()["position"] == erased.json()["position"]
        shown = await world.job(job)
        assert [shown[name] for name in ("erased", "payload", "result")] == [True, None, None]
        assert MARKER not in (await world.client.get(f"/job/{job}/history")).text
        await check_gone(servers, database, redis_url, world, job)
        # The key still answers, and matches no body: a guess is confirmed by nothing, and nothing runs twice.
        repeated = await world.client.post(
            "/queue/default/jobs", json={"type": "mail", "payload": {}}, headers={"idempotency-key": "k-1"}
        )
        assert repeated.status_code == 422
        certificate = (await world.client.get(f"/job/{job}/erasure")).content
        assert (await world.client.get(f"/job/{live}/erasure")).status_code == 409
        assert (await world.client.get("/audit/verify")).json()["verdict"] == "intact"
        assert world.services.signing is not None
        public = signing.to_text(world.services.signing.first.public)
    said = capsys.readouterr()
    assert MARKER not in said.out + said.err
    check_certificate(certificate, public, job, tmp_path)
    await rebuild(database, "jobs")
    await rebuild(database, "failures")
    assert places(database, url=as_root(servers, database)) == set()


def as_root(servers: Any, database: str) -> str | None:
    from urllib.parse import urlsplit, urlunsplit

    if servers.superuser_url is None:
        return None
    return urlunsplit(urlsplit(servers.superuser_url)._replace(path=urlsplit(database).path))


def searchable(database: str, job: str) -> bool:
    with psycopg.connect(database) as connection:
        found = connection.execute("select 1 from hivelog.search where job = %s", (job,)).fetchone()
    return found is not None


async def check_gone(servers: Any, database: str, redis_url: str, world: World, job: str) -> None:
    await world.client.get("/jobs", params={"after_position": str(await world.head())})
    assert places(database, url=as_root(servers, database)) == set()
    assert not in_redis(redis_url)
    for path in ("/jobs", "/failures", "/events?limit=1000", f"/jobs?q=to:{MARKER}"):
        answer = await world.client.get(path)
        assert MARKER not in answer.text.replace(f"q=to:{MARKER}", ""), path
    listed = (await world.client.get("/jobs?limit=500")).json()["jobs"]
    assert [one["erased"] for one in listed if one["id"] == job] == [True]
    with psycopg.connect(database) as connection:
        left = connection.execute("select count(*) from hivelog.vault where job = %s", (job,)).fetchone()
    assert left == (0,)


def check_certificate(certificate: bytes, public: str, job: str, folder: Path) -> None:
    """Offline: by the command, in a process that knows no database."""
    pinned = frozenset({signing.from_text(public)})
    lines = certificate.splitlines(keepends=True)
    checked = bundle.check(lines, pinned)
    assert (checked.found, checked.erased, checked.problems) == (0, job, [])
    head = msgspec.json.decode(lines[0])
    for name, value in {"job": "0" * 36, "erased_by": "user:x", "position": 1, "looked": []}.items():
        statement = {**head["erasure"]["statement"], name: value}
        forged = {**head, "erasure": {**head["erasure"], "statement": statement}}
        assert bundle.check([msgspec.json.encode(forged), *lines[1:]], pinned).found > 0, name
    without = [line for line in lines if b"payload_erased" not in line]
    assert bundle.check(without, pinned).found > 0
    file = folder / "erasure.bundle"
    file.write_bytes(certificate)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "hivelog.cli", "audit", "verify-bundle", str(file), "--public-key", public,
         "--json"],
        env={"PATH": "/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert msgspec.json.decode(ran.stdout)["erased"] == job


async def test_many_by_a_filter(database: str, redis_url: str, tmp_path: Path) -> None:
    """The filter quotes what it erases, and goes with it."""
    async with served(database, redis_url, tmp_path) as world:
        jobs = [(await world.enqueue())["id"] for _ in range(3)]
        body = {"type": "mail", "payload": {"user_id": MARKER}}
        posted = [await world.client.post("/queue/default/jobs", json=body) for _ in range(3)]
        mine = [answer.json()["job"]["id"] for answer in posted]
        for job in (*jobs, *mine):
            await world.client.post(f"/job/{job}/cancel")
        action = {"action": "erase", "filter": {"q": f"user_id:{MARKER}"}, "reason": f"{MARKER} asked"}
        done = (await world.client.post("/jobs/actions", json=action)).json()
        assert done["changed"] == 3, done
        shown = [(await world.job(job))["erased"] for job in (*jobs, *mine)]
        assert shown == [False] * 3 + [True] * 3
        assert places(database) == set()


def test_the_command(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = environment_of(database, redis_url, tmp_path)
    with in_environment(environment):
        commands = Commands(environment, capsys)
        keyfile.write_key(signfile.key_path(tmp_path))
        keys = signing.SigningRing.from_settings(keyfile.read_keys(signfile.key_path(tmp_path)))
        assert commands.run("queues", "letters", "--set", "max_retries=0").status == 0
        job = commands.run("enqueue", "letters", "mail", f'{{"to": "{MARKER}"}}', "--json").json["id"]
        assert commands.run("erase").status == 2
        assert commands.run("erase", job, "--yes").status == 1  # live
        assert commands.run("cancel", job).status == 0
        file = tmp_path / "c.bundle"
        assert commands.run("erase", job, "--yes").status == 0
        asyncio.run(seal(database, keys))
        assert commands.run("erase", job, "--yes", "--certificate", str(file)).status == 0
        public = signing.to_text(keys.first.public)
        checked = commands.run("audit", "verify-bundle", str(file), "--public-key", public, "--json")
        assert (checked.status, checked.json["erased"]) == (0, job)


def test_a_template_keeps_no_word_of_the_payload() -> None:
    payload = msgspec.json.encode({"to": ["Ann Example"], "deep": {"note": "größe\nline"}})
    made = fingerprint.failure("mail", "E", "cannot reach ANN Example at größe", payload)
    assert made.template == "cannot reach <value> at <value>"
    plain = fingerprint.failure("mail", "E", "cannot reach ANN Example at größe")
    assert made.fingerprint == plain.fingerprint
    assert fingerprint.without("a <text> b", b'{"x": "text"}') == "a <text> b"
    assert fingerprint.without("same", b"not json") == "same"
