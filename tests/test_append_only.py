"""History cannot be rewritten: not by the application, and not by the owner either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hivelog.sql import migrate
from psycopg import sql

STATEMENTS = [
    "update hivelog.{} set data = '{{}}'",
    "update hivelog.{} set recorded_at = recorded_at - interval '1 day'",
    "delete from hivelog.{}",
    "delete from hivelog.{} where position = 1",
    "truncate hivelog.{}",
]


def write_event(conn: psycopg.Connection, position: int) -> None:
    conn.execute(
        "insert into hivelog.events (position, recorded_at, stream, version, type, actor) "
        "values (%s, hivelog.now(), gen_random_uuid(), 1, 'config_changed', 1)",
        (position,),
    )


def tables(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute(
        "select c.relname from pg_class c where c.oid = 'hivelog.events'::regclass "
        "or c.oid in (select inhrelid from pg_inherits where inhparent = 'hivelog.events'::regclass)"
    ).fetchall()
    return [name for (name,) in rows]


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection]:
    """An event in the first, the third and the default partition; one more partition was made since."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("select hivelog.ensure_partitions(3)")
        for position in (1, 10_000_001, 50_000_000_000):
            write_event(conn, position)
        yield conn


def outcome(conn: psycopg.Connection, statement: str) -> str | None:
    """The error code of a refusal."""
    try:
        conn.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nobody_changes_an_event(owner: psycopg.Connection, statement: str) -> None:
    names = tables(owner)
    assert {"events", "events_default", "events_000000", "events_000003"} <= set(names)
    before = owner.execute("select * from hivelog.events order by position").fetchall()
    refused = [code for name in names if (code := outcome(owner, statement.format(name)))]
    assert set(refused) == {"HL003"}
    # An empty partition has no row to refuse over; TRUNCATE is refused everywhere.
    assert len(refused) == len(names) if statement.startswith("truncate") else len(refused) >= 2
    assert owner.execute("select * from hivelog.events order by position").fetchall() == before


def test_replication_mode_does_not_switch_it_off(servers: Any, database: str) -> None:
    if servers.superuser_url is None:
        pytest.skip("needs a superuser")
    url = urlunsplit(urlsplit(servers.superuser_url)._replace(path=urlsplit(database).path))
    with psycopg.connect(url, autocommit=True) as conn:
        write_event(conn, 1)
        conn.execute("set session_replication_role = replica")
        for statement in STATEMENTS:
            for name in ("events", "events_000000"):
                with pytest.raises(psycopg.Error, match="append-only"):
                    conn.execute(statement.format(name))


@pytest.fixture
def application(servers: Any, database: str) -> Iterator[psycopg.Connection]:
    """A connection with nothing but the rights of hivelog_app."""
    with psycopg.connect(database, autocommit=True) as conn:
        write_event(conn, 1)
        # Its creator may administer the role, which since PostgreSQL 16 is not to be it.
        try:
            conn.execute(sql.SQL("grant hivelog_app to {}").format(sql.Identifier(conn.info.user)))
        except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege):
            pytest.skip("this server's user may not create roles")
        conn.execute("set role hivelog_app")
        yield conn


@pytest.mark.parametrize(
    "table",
    [
        "events", "events_default", "events_000000", "batches", "vault", "queue_marks", "pending", "ready",
        "leases", "streams", "identity", "queues", "keks", "actors", "job_types", "config",
    ],
)  # fmt: skip
def test_the_application_has_no_dml_on_what_only_the_append_moves(
    application: psycopg.Connection, table: str
) -> None:
    application.execute(f"select * from hivelog.{table} limit 1")
    for statement in (f"delete from hivelog.{table}", f"truncate hivelog.{table}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(statement)
    # Large bodies are put beside the log before the append; nobody changes one.
    for right in ("update",) if table == "vault" else ("insert", "update"):
        row = application.execute(
            "select has_table_privilege(%s, %s)", (f"hivelog.{table}", right)
        ).fetchone()
        assert row == (False,)


def test_the_application_appends_through_the_function(application: psycopg.Connection) -> None:
    (number,) = application.execute("select hivelog.actor_id('user:ann')").fetchone() or (None,)
    assert number is not None
    assert application.execute("select hivelog.ensure_partitions(3)").fetchone() == (1,)
    application.execute("select hivelog.first_epoch()")
    row = application.execute("select timeline from hivelog.identity").fetchone()
    assert row == (1,)
    row = application.execute(
        "select has_function_privilege(p.oid, 'execute') from pg_proc p "
        "where p.oid = 'hivelog.append'::regproc"
    ).fetchone()
    assert row == (True,)


def test_a_stranger_may_not_append(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        rows = conn.execute(
            "select p.proname, has_function_privilege('hivelog_report', p.oid, 'execute') "
            "from pg_proc p where p.pronamespace = 'hivelog'::regnamespace and p.prosecdef"
        ).fetchall()
    may = {name for name, allowed in rows if allowed}
    assert {"append", "ensure_partitions", "rewrap"} <= {name for name, _ in rows}
    assert may <= {"enqueue"}


def test_a_stranger_with_the_schema_may_enqueue_and_nothing_else(
    application: psycopg.Connection,
) -> None:
    application.execute("reset role")
    user = sql.Identifier(application.info.user)
    application.execute(sql.SQL("grant hivelog_report to {}").format(user))
    application.execute("grant usage on schema hivelog to hivelog_report")
    application.execute("set role hivelog_report")
    with pytest.raises(psycopg.Error) as caught:
        application.execute("select hivelog.enqueue('nowhere', 'render', '{}')")
    assert caught.value.sqlstate == "HL010"  # it got as far as looking for the queue
    for call in ("select hivelog.ensure_partitions(9)", "table hivelog.outbox", "table hivelog.vault"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(call)


def test_a_second_migration_takes_no_right_back_or_away(database: str) -> None:
    assert not migrate.migrate(database).changed
    test_a_stranger_may_not_append(database)
