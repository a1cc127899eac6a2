"""Migrations: once, in order, by one process at a time, and never backwards."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hivelog.sql import load, migrate, scripts
from hivelog.sql.migrate import MigrationError, Report
from hivelog.sql.scripts import ScriptError
from psycopg import sql

TABLE = "create table hivelog.things (id int primary key); create table hivelog.events (id int);"
ANSWER = "create or replace function hivelog.answer() returns int language sql as $$ select {} $$;"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small set of SQL files: one migration, two functions that call each other in reverse."""
    for folder in ("migrations", "functions", "reports", "grants"):
        (tmp_path / folder).mkdir()
    put(tmp_path, "migrations/0001_things.sql", TABLE)
    put(tmp_path, "functions/answer.sql", ANSWER.format("hivelog.below()"))
    put(tmp_path, "functions/below.sql", ANSWER.format("42").replace("answer", "below"))
    put(tmp_path, "grants/hivelog_app.sql", load_grant())
    return tmp_path


def load_grant() -> str:
    """The real grants of the application."""
    (script,) = [s for s in scripts.read().grants if s.name == "grants/hivelog_app.sql"]
    return script.text


def put(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(query).fetchone()
        assert row is not None
        return row[0]


def test_it_applies_what_is_missing_once(empty_database: str, root: Path) -> None:
    everything = ["migrations/0001_things.sql", "functions/answer.sql", "functions/below.sql"]
    assert migrate.check(empty_database, root=root) == everything
    report = migrate.migrate(empty_database, root=root)
    assert report.migrations + report.replaced == everything
    assert value(empty_database, "select hivelog.answer()") == 42
    assert migrate.check(empty_database, root=root) == []
    assert not migrate.migrate(empty_database, root=root).changed


def test_check_changes_nothing(empty_database: str, root: Path) -> None:
    migrate.check(empty_database, root=root)
    assert value(empty_database, "select to_regnamespace('hivelog')") is None


def test_a_changed_function_is_replaced_and_a_new_migration_applied(
    empty_database: str, root: Path
) -> None:
    migrate.migrate(empty_database, root=root)
    put(root, "functions/below.sql", ANSWER.format("43").replace("answer", "below"))
    put(root, "migrations/0002_more.sql", "alter table hivelog.things add column more text;")
    pending = ["migrations/0002_more.sql", "functions/below.sql"]
    assert migrate.check(empty_database, root=root) == pending
    report = migrate.migrate(empty_database, root=root)
    assert report.migrations + report.replaced == pending
    assert value(empty_database, "select hivelog.answer()") == 43


def test_a_migration_may_call_a_function(empty_database: str, root: Path) -> None:
    later = ANSWER.format("count(*)::int from hivelog.more").replace("answer", "a_later_thing")
    put(root, "functions/a_later_thing.sql", later)
    more = "create table hivelog.more (id int default hivelog.answer()); -- hivelog.nothing()"
    put(root, "migrations/0002_more.sql", more)
    report = migrate.migrate(empty_database, root=root)
    assert sorted(report.replaced) == [
        "functions/a_later_thing.sql",
        "functions/answer.sql",
        "functions/below.sql",
    ]
    query = "insert into hivelog.more default values returning id"
    assert value(empty_database, query) == 42
    assert not migrate.migrate(empty_database, root=root).changed


def test_line_ends_do_not_count_as_a_change(empty_database: str, root: Path) -> None:
    put(root, "migrations/0001_things.sql", TABLE.replace("; ", ";\n"))
    migrate.migrate(empty_database, root=root)
    (root / "migrations/0001_things.sql").write_bytes(TABLE.replace("; ", ";\r\n").encode())
    assert migrate.check(empty_database, root=root) == []


def test_an_edited_migration_is_refused(empty_database: str, root: Path) -> None:
    migrate.migrate(empty_database, root=root)
    put(root, "migrations/0001_things.sql", TABLE + " -- edited")
    for run in (migrate.migrate, migrate.check):
        with pytest.raises(MigrationError, match=r"0001_things.sql was changed .* new migration"):
            run(empty_database, root=root)


def test_a_newer_database_is_refused(empty_database: str, root: Path) -> None:
    put(root, "migrations/0002_more.sql", "select 1;")
    migrate.migrate(empty_database, root=root)
    (root / "migrations/0002_more.sql").unlink()
    for run in (migrate.migrate, migrate.check):
        with pytest.raises(MigrationError, match=r"is at migration 2, .* knows only 1"):
            run(empty_database, root=root)


def test_a_failed_migration_leaves_nothing_and_says_where(empty_database: str, root: Path) -> None:
    put(root, "migrations/0002_bad.sql", "create table hivelog.half ();\nselect nonsense;")
    put(root, "migrations/0003_next.sql", "select 1;")
    with pytest.raises(MigrationError, match=r'0002_bad.sql: line 2: column "nonsense"'):
        migrate.migrate(empty_database, root=root)
    assert value(empty_database, "select to_regclass('hivelog.half')") is None
    assert value(empty_database, "select max(version) from hivelog.migrations") == 1


def test_functions_change_together_or_not_at_all(empty_database: str, root: Path) -> None:
    migrate.migrate(empty_database, root=root)
    put(root, "functions/answer.sql", ANSWER.format("1"))
    put(root, "functions/below.sql", "create or replace nonsense")
    with pytest.raises(MigrationError, match=r"below.sql: line 1"):
        migrate.migrate(empty_database, root=root)
    assert value(empty_database, "select hivelog.answer()") == 42


def test_many_at_once_do_it_once(empty_database: str, root: Path) -> None:
    def run(_: int) -> Report:
        return migrate.migrate(empty_database, root=root)

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        reports = list(pool.map(run, range(5)))
    assert sorted(report.changed for report in reports) == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0003_gap.sql", "0002 was expected"),
        ("0001_again.sql", "expected"),
        ("2_x.sql", "like 0001_"),
    ],
)
def test_the_files_must_count_from_one(root: Path, name: str, said: str) -> None:
    put(root, f"migrations/{name}", "select 1;")
    with pytest.raises(ScriptError, match=said):
        scripts.read(root)


def test_a_query_is_loaded_without_its_comments() -> None:
    text = load("schema")
    assert text.startswith("with spaces as")
    assert load("schema") is text
    with pytest.raises(FileNotFoundError):
        load("no_such_query")


def as_user(url: str, user: str, password: str = "pw") -> str:
    """The same database, another user."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}"))


@pytest.fixture
def other_user(empty_database: str) -> Iterator[str]:
    """A plain user without any right but to connect."""
    name = f"user_of_{urlsplit(empty_database).path[1:]}"
    role = sql.Identifier(name)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login password 'pw'").format(role))
    yield name
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("grant {} to current_user").format(role))
        conn.execute(sql.SQL("drop owned by {} cascade").format(role))
        conn.execute(sql.SQL("drop role {}").format(role))


def test_the_application_user_cannot_rewrite_the_log(
    empty_database: str, root: Path, other_user: str
) -> None:
    app_url = as_user(empty_database, other_user)
    report = migrate.migrate(empty_database, app_url=app_url, root=root)
    assert report.warnings == []
    with psycopg.connect(app_url, autocommit=True) as conn:
        conn.execute("insert into hivelog.things values (1)")
        conn.execute("select * from hivelog.events")
        assert conn.execute("select hivelog.answer()").fetchone() == (42,)
        for statement in (
            "insert into hivelog.events values (1)",
            "update hivelog.events set id = 1",
            "delete from hivelog.events",
            "truncate hivelog.events",
            "insert into hivelog.migrations values (9, '', '')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)
    assert migrate.check(app_url, root=root) == []


def test_a_single_owner_is_told_what_is_not_enforced(empty_database: str, root: Path) -> None:
    (warning,) = migrate.migrate(empty_database, app_url=empty_database, root=root).warnings
    assert "only triggers" in warning
    assert "HIVELOG_MIGRATE_URL" in warning


def test_a_single_owner_without_createrole_works(
    empty_database: str, root: Path, other_user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivelog.sql.roles.APP", "hivelog_app_that_is_not_there")
    put(root, "grants/hivelog_app_that_is_not_there.sql", "select nonsense;")
    (root / "grants/hivelog_app.sql").unlink()
    with psycopg.connect(empty_database, autocommit=True) as conn:
        name = sql.Identifier(urlsplit(empty_database).path[1:])
        conn.execute(
            sql.SQL("grant create on database {} to {}").format(name, sql.Identifier(other_user))
        )
    owner = as_user(empty_database, other_user)
    report = migrate.migrate(owner, app_url=owner, root=root)
    assert report.migrations == ["migrations/0001_things.sql"]
    assert any("may not create roles" in warning for warning in report.warnings)
    assert value(owner, "select hivelog.answer()") == 42
