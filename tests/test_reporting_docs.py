"""docs/reporting.md is what the database says of itself, and its cookbook runs, as the reporting user."""

from __future__ import annotations

import random
import re
from pathlib import Path

import psycopg
import pytest
from hivelog.projections.runner import Runner
from hivelog.sql import migrate

from .histories import History
from .log_writer import LogWriter
from .simulated_clock import Clock

PAGE = (Path(__file__).parent.parent / "docs" / "reporting.md").read_text()
_COLUMNS = """
    select c.relname, a.attname, col_description(c.oid, a.attnum) from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where c.relnamespace = 'hivelog_reports'::regnamespace order by 1, a.attnum
"""
_FUNCTIONS = """
    select p.oid::regprocedure::text, obj_description(p.oid) from pg_proc p
    where p.pronamespace = 'hivelog_reports'::regnamespace
"""
_TYPES = """
    select distinct t.typname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    join pg_type t on t.oid = a.atttypid where c.relnamespace = 'hivelog_reports'::regnamespace
"""


def test_every_column_is_told_in_the_database_and_on_the_page(database: str) -> None:
    with psycopg.connect(database) as conn:
        columns = conn.execute(_COLUMNS).fetchall()
        views = dict(
            conn.execute(
                "select relname, obj_description(oid) from pg_class"
                " where relnamespace = 'hivelog_reports'::regnamespace"
            ).fetchall()
        )
        functions = conn.execute(_FUNCTIONS).fetchall()
        types = {row[0] for row in conn.execute(_TYPES).fetchall()}
    parts = {part.split("\n", 1)[0]: part for part in PAGE.split("\n### ")[1:]}
    assert set(parts) == {*views, "Functions"}
    for view, said in views.items():
        written = re.findall(r"^\| `(\w+)` \| (.*) \|$", parts[view], re.MULTILINE)
        assert written == [(column, told) for name, column, told in columns if name == view], view
        assert f"\n\n{said}\n" in parts[view]
    for signature, said in functions:
        short = signature.removeprefix("hivelog_reports.").replace("timestamp with time zone", "timestamptz")
        assert f"| `{short}` | {said} |" in parts["Functions"], short
    # What Grafana and Metabase read without knowing us.
    assert types <= {
        "uuid", "text", "int2", "int4", "int8", "float4", "float8", "timestamptz", "bool", "_text", "jsonb",
    }  # fmt: skip


async def test_the_cookbook(database: str, clock: Clock) -> None:
    chance = random.Random(5)
    log = LogWriter(database)
    History(log, clock).play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(80)])  # type: ignore[misc]
    await Runner(database).catch_up()
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == 20
    migrate.migrate(database)
    log.conn.execute("grant hivelog_report to current_user")
    log.conn.execute("set role hivelog_report")
    empty = []
    for number, query in enumerate(queries, 1):
        found = log.conn.execute(query.encode()).fetchall()
        if not found:
            empty.append(number)
    # No worker died in this history, nobody paused, nothing waits at its end, and no job is of that order; an
    # hour ago and midnight are before it.
    assert set(empty) <= {5, 6, 7, 11, 12, 13, 14, 18}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        log.conn.execute("select * from hivelog.events limit 1")
    log.conn.execute("reset role")
    log.close()


def test_the_reporting_user_cannot_stay_or_write(empty_database: str) -> None:
    migrate.migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as owner:
        if owner.execute("select 1 from pg_roles where rolname = 'hivelog_report'").fetchone() is None:
            pytest.skip("this server's user may not create roles")
        settings = owner.execute(
            "select unnest(setconfig) from pg_db_role_setting s join pg_roles r on r.oid = s.setrole"
            " where r.rolname = 'hivelog_report'"
        ).fetchall()
    assert {row[0] for row in settings} >= {
        "statement_timeout=30s", "idle_in_transaction_session_timeout=30s", "default_transaction_read_only=on",
    }  # fmt: skip
