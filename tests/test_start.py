"""Processes that are started while PostgreSQL is away wait for it, and tell what they wait for; what no waiting
would mend ends them at once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from cli_world import TOKEN, environment_of, free_port
from hivelog.events.arrival import is_away
from simulated_clock import Clock

from .proxy import proxied
from .test_worker import MODULE, beaten, opened
from .web_world import until

COMMANDS = {
    "serve": ["serve"],
    "worker": ["worker", "--handlers", MODULE, "--queue", "default"],
    "supervise": ["supervise", "--handlers", MODULE, "--queue", "default"],
}
# What each says when it finds the database gone.
CUT_OFF = {"serve": "reaper_interrupted", "worker": "heartbeat_failed", "supervise": "supervisor_interrupted"}


class Started:
    """Real processes, and what each has said."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = free_port()

    def start(self, name: str, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "hivelog.cli", *COMMANDS[name]]
        port = {"HIVELOG_PORT": str(self.port)}
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, env=self.environment | port | more, stdout=log, stderr=log)
        self.processes[name] = process
        return process

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def health(self, path: str = "") -> tuple[int, Any] | None:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
                answer = await client.get(f"/health{path}")
                return answer.status_code, answer.json()
        return None


    async def put_job(self) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            body = {"type": "add", "payload": {"a": 1, "b": 1}}
            return await client.post("/queue/default/jobs", json=body)

    async def stop(self) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        for process in self.processes.values():
            process.terminate()
        return [await asyncio.to_thread(process.wait, 20) for process in self.processes.values()]


@pytest.fixture
def started(tmp_path: Path, redis_url: str) -> Iterator[Started]:
    environment = environment_of(None, redis_url, tmp_path) | {
        "PYTHONPATH": str(Path(__file__).parents[1]), "HIVELOG_HEARTBEAT_SECONDS": "1", "NO_COLOR": "1",
        "HIVELOG_DEAD_AFTER_SECONDS": "3",
        "HIVELOG_GRACE_SECONDS": "1",
    }  # fmt: skip
    made = Started(environment, tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


async def test_all_wait_for_postgres_and_go_on_by_themselves(
    database: str, redis_url: str, started: Started, tmp_path: Path, clock: Clock
) -> None:
    """Redis is away all the time: jobs are claimed by SQL."""
    async with opened(database, redis_url) as bench:
        await bench.engine.queues.create_default_queues()
    away = f"redis://127.0.0.1:{free_port()}"
    async with proxied(database, tmp_path) as proxy:
        proxy.cut(refuse=True)
        for name in COMMANDS:
            started.start(name, DATABASE_URL=proxy.url, REDIS_URL=away)
        await until(lambda: all("waiting_for_postgresql" in started.said(n) for n in COMMANDS), 60)
        for name in COMMANDS:
            assert "is PostgreSQL running there, and is DATABASE_URL right?" in started.said(name)
        await until(started.health, 10)
        assert await started.health("/live") == (200, {"status": "healthy"})
        assert await started.health("/ready") == (503, {"status": "starting"})
        assert (await started.health() or (0, {}))[1]["components"]["database"] == {"status": "unhealthy"}
        refused = await started.put_job()
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert all(process.poll() is None for process in started.processes.values())

        proxy.restore()

        async def all_work() -> bool:
            if await started.health("/ready") != (200, {"status": "healthy"}):
                return False
            with psycopg.connect(database) as connection:
                names = connection.execute("select name from hivelog.sessions").fetchall()
            return len(names) == 2  # the worker's, and the supervised one's

        async def ran() -> bool:
            with psycopg.connect(database) as connection:
                query = "select count(*) from hivelog.events where type = 'completed'"
                return connection.execute(query).fetchone() == (1,)

        await until(all_work, 60)
        assert (await started.put_job()).status_code == 201
        await until(ran, 30)

        # Away again, for longer than dead-after: nobody is ended for it, and nobody is started twice.
        before = {name: started.said(name).count(sign) for name, sign in CUT_OFF.items()}
        proxy.cut(refuse=True)
        await until(lambda: all(started.said(n).count(sign) > before[n] for n, sign in CUT_OFF.items()), 30)
        clock.advance(4)
        proxy.restore()
        await until(all_work, 60)
        with psycopg.connect(database, autocommit=True) as connection:
            await beaten(connection)
            query = "select type::text from hivelog.events where type in ('worker_started', 'worker_lost')"
            assert connection.execute(query).fetchall() == [("worker_started",)] * 2
        assert await started.stop() == [0, 0, 0]


async def test_told_to_stop_while_they_wait_they_end_well(started: Started) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    names = ("serve", "worker")
    for name in names:
        started.start(name, DATABASE_URL=away)
    await until(lambda: all("waiting_for_postgresql" in started.said(name) for name in names), 60)
    await until(started.health)
    assert await started.stop() == [0, 0]
    assert "Traceback" not in "".join(started.said(name) for name in names)


@contextlib.asynccontextmanager
async def answering(sqlstate: str, text: str) -> AsyncIterator[str]:
    """A stand-in that turns everybody away as PostgreSQL would; its URL. No server starts up for long enough to
    be asked, and texts are in the language of its host."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(4), "big")
        await reader.readexactly(size - 4)
        fields = "".join(f"{kind}{value}\0" for kind, value in (("S", "FATAL"), ("C", sqlstate), ("M", text)))
        body = fields.encode() + b"\0"
        writer.write(b"E" + (len(body) + 4).to_bytes(4, "big") + body)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable"


@pytest.mark.parametrize(
    ("sqlstate", "text", "away"),
    [
        ("57P03", "das Datenbanksystem startet", True),
        ("57P03", "the database system is shutting down", True),
        ("53300", "sorry, too many clients already", True),
        ("28P01", "Passwort-Authentifizierung fehlgeschlagen", False),
        ("3D000", "Datenbank existiert nicht", False),
    ],
)
async def test_who_is_waited_for_does_not_depend_on_the_servers_language(
    sqlstate: str, text: str, away: bool
) -> None:
    async with answering(sqlstate, text) as url:
        with pytest.raises(psycopg.OperationalError) as refused:
            await psycopg.AsyncConnection.connect(url)
        assert await is_away(refused.value) is away


def with_query(url: str, **changes: str) -> str:
    """The same database's URL, with another query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)))


async def test_what_no_waiting_would_mend_ends_them_at_once(
    database: str, empty_database: str, started: Started
) -> None:
    """An unknown database, a schema that is not there, an unknown user."""
    unknown = urlunsplit(urlsplit(database)._replace(path="/no_such_database"))
    stranger = with_query(database, user="stranger", password="wrong")
    for name, url in (("serve", unknown), ("supervise", empty_database), ("worker", stranger)):
        started.start(name, DATABASE_URL=url)
    statuses = [await asyncio.to_thread(process.wait, 60) for process in started.processes.values()]
    said = {name: " ".join(started.said(name).split()) for name in COMMANDS}
    assert statuses == [1, 1, 1]
    assert "make it with `createdb`, or check its name in DATABASE_URL" in said["serve"]
    assert "run `hivelog migrate`" in said["supervise"]
    assert "check the user and the password in DATABASE_URL" in said["worker"]
    assert not any(word in "".join(said.values()) for word in ("waiting_for", "Traceback", "wrong"))
