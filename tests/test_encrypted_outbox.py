"""With encryption on, SQL may not leave payloads in plain text, unless the operator allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hivelog
import psycopg
import pytest
from cli_world import World, environment_of, in_environment, served, wait_for
from hivelog import SyncClient

SECRET = '{"to": "the-secret-address"}'


@pytest.fixture
def world(
    database: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    environment = environment_of(database, redis_url, tmp_path) | {"MESSAGING_ENCRYPTION_ENABLED": "true"}
    with in_environment(environment):
        yield World(environment, capsys)


def enqueued(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("select hivelog.enqueue('default', 'mail', %s::jsonb)", (SECRET,)).fetchone()
    assert row is not None
    return str(row[0])


def stored(connection: psycopg.Connection[Any], job: str) -> bytes | None:
    row = connection.execute("select body from hivelog.vault where job = %s", (job,)).fetchone()
    return None if row is None else bytes(row[0])


def test_sql_is_refused_until_the_operator_allows_plain_text(world: World, database: str) -> None:
    with served(world), psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(psycopg.Error, match="plain text") as refused:
            enqueued(connection)
        assert refused.value.sqlstate == "HL013"
        hint = refused.value.diag.message_hint or ""
        assert "hivelog config allow_plaintext_outbox=true" in hint

        allowed = world.run("config", "allow_plaintext_outbox=true", "--json")
        assert allowed.status == 0, allowed.err
        assert (allowed.json["encryption"], allowed.json["allow_plaintext_outbox"]) == (True, True)
        job = enqueued(connection)
        body = wait_for(lambda: stored(connection, job))
        assert b"secret" not in body
        assert connection.execute("select count(*) from hivelog.outbox").fetchone() == (0,)
        assert world.run("job", job, "--json").json["job"]["payload"] == {"to": "the-secret-address"}

        assert world.run("config", "retention_days=60").status == 0  # another change keeps both
        enqueued(connection)
        assert world.run("config", "allow_plaintext_outbox=false").status == 0
        with pytest.raises(psycopg.Error, match="plain text"):
            enqueued(connection)


def test_a_transaction_of_the_clients_user_is_refused_too(world: World, database: str) -> None:
    with SyncClient() as client, psycopg.connect(database) as connection:
        client.configure("letters", max_retries=0)
        with pytest.raises(hivelog.EncryptionRefused):
            client.enqueue("letters", "mail", {}, connection=connection)
        connection.rollback()
        assert client.enqueue("letters", "mail", {}).status == "queued"
        assert world.run("config", "allow_plaintext_outbox=true").status == 0
        assert client.enqueue("letters", "mail", {}, connection=connection).position is None


def test_encryption_is_no_setting_of_the_api(world: World) -> None:
    assert world.run("queues", "letters", "--set", "max_retries=0").status == 0
    assert world.run("config", "--json").json["encryption"] is True
    assert world.run("config", "encryption=true", "--json").status == 0  # as it is: a document sent back
    refused = world.run("config", "encryption=false")
    assert refused.status == 1
    assert "MESSAGING_ENCRYPTION_ENABLED" in refused.err
    wrong = world.run("config", "allow_plaintext_outbox=maybe")
    assert "true or false" in wrong.err


def test_it_is_recorded_once_however_many_processes_start(world: World, database: str) -> None:
    for _ in range(3):
        assert world.run("config", "--json").status == 0
    with psycopg.connect(database) as connection:
        query = "select data ->> 'encryption' from hivelog.events where type = 'config_changed'"
        assert connection.execute(query).fetchall() == [("true",)]
