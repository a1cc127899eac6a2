"""Bring a database's schema to this version of the code: forwards only, by one process at a time.

    report = migrate(url)          # as the owner of the schema
    todo = check(url)              # what `migrate` would do; nothing is changed

A migration runs once, each in its own transaction, and its file is never edited afterwards.
Functions and reports are replaced whenever their file changed. Grants are given at every run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources.abc import Traversable

import psycopg
from psycopg import Connection

from . import roles, scripts
from .scripts import Script, Scripts

# The key of the advisory lock that a migration holds, and nobody else.
_LOCK = 5_203_921_448_106_771

_BOOKS = """
create schema if not exists hivelog;
create table if not exists hivelog.migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default clock_timestamp()
);
create table if not exists hivelog.replaced_scripts (
    name       text primary key,
    checksum   text not null,
    applied_at timestamptz not null default clock_timestamp()
);
"""


class MigrationError(RuntimeError):
    """The database cannot be brought to this version; the message says why and what to do."""


@dataclass
class Report:
    """What a run did. `warnings` say what is not enforced in this database, and why."""

    migrations: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.migrations or self.replaced)


def migrate(url: str, *, app_url: str | None = None, root: Traversable | None = None) -> Report:
    """Apply what is missing; a second run at the same time waits, then finds nothing to do.

    `url` is the owner's. `app_url` is the application's where that is another user, who then
    becomes a member of hivelog_app. `root` holds the SQL files (the package's own if None).
    Raises MigrationError, or psycopg.OperationalError when the database cannot be reached.
    """
    known = scripts.read(root)
    report = Report()
    with psycopg.connect(url, autocommit=True) as conn:
        # Session lock: it must span the transactions of all migrations.
        conn.execute("set statement_timeout = 0; set client_min_messages = error")
        conn.execute("select pg_advisory_lock(%s)", (_LOCK,))
        conn.execute(_BOOKS)
        for number in _missing(conn, known):
            _apply(conn, number, known, report)
        _replace(conn, known, report)
        report.warnings = roles.apply(conn, known.grants, app_url)
    return report


def check(url: str, *, root: Traversable | None = None) -> list[str]:
    """Names of the migrations and scripts that `migrate` would apply, in order; [] when up to date.

    Raises MigrationError when an applied migration was edited, or the database is newer.
    """
    known = scripts.read(root)
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute("select to_regclass('hivelog.replaced_scripts')").fetchone()
        if row == (None,):
            return [script.name for script in (*known.migrations, *known.replaceable)]
        pending = [known.migrations[number - 1].name for number in _missing(conn, known)]
        return pending + [script.name for script in _changed(conn, known)]


def _missing(conn: Connection, known: Scripts) -> range:
    """Numbers of the migrations to apply, after checking those that were."""
    query = "select version, name, checksum from hivelog.migrations order by version"
    applied = conn.execute(query).fetchall()
    last = applied[-1][0] if applied else 0
    if last > len(known.migrations):
        raise MigrationError(
            f"the database is at migration {last}, and this Hivelog knows only "
            f"{len(known.migrations)}: install the Hivelog that migrated it, or a newer one"
        )
    for version, name, checksum in applied:
        script = known.migrations[version - 1]
        if (script.name, script.checksum) != (name, checksum):
            raise MigrationError(
                f"{name} was changed after it had been applied: restore the file and put the "
                "change into a new migration (for a development database without data: "
                "drop schema hivelog cascade)"
            )
    return range(last + 1, len(known.migrations) + 1)


def _apply(conn: Connection, number: int, known: Scripts, report: Report) -> None:
    """One migration, after the functions that it calls: a default or a trigger may name one."""
    script = known.migrations[number - 1]
    with conn.transaction():
        for needed in scripts.called_by(script, known.replaceable):
            _put_in_place(conn, needed, report)
        _run(conn, script)
        conn.execute(
            "insert into hivelog.migrations (version, name, checksum) values (%s, %s, %s)",
            (number, script.name, script.checksum),
        )
    report.migrations.append(script.name)


def _changed(conn: Connection, known: Scripts) -> list[Script]:
    applied: dict[str, str] = dict(
        conn.execute("select name, checksum from hivelog.replaced_scripts").fetchall()
    )
    return [script for script in known.replaceable if applied.get(script.name) != script.checksum]


def _replace(conn: Connection, known: Scripts, report: Report) -> None:
    """All in one transaction: functions that call each other change together."""
    with conn.transaction():
        for script in _changed(conn, known):
            _put_in_place(conn, script, report)
        names = [script.name for script in known.replaceable]
        conn.execute("delete from hivelog.replaced_scripts where name <> all(%s)", (names,))


def _put_in_place(conn: Connection, script: Script, report: Report) -> None:
    # A function may call one that is not there yet, or a table of the migration that needs it.
    conn.execute("set local check_function_bodies = off")
    _run(conn, script)
    conn.execute("set local check_function_bodies = on")
    conn.execute(
        "insert into hivelog.replaced_scripts (name, checksum) values (%s, %s) "
        "on conflict (name) do update set checksum = excluded.checksum, "
        "applied_at = clock_timestamp()",
        (script.name, script.checksum),
    )
    if script.name not in report.replaced:
        report.replaced.append(script.name)


def _run(conn: Connection, script: Script) -> None:
    try:
        conn.execute(script.text)
    except psycopg.Error as error:
        raise MigrationError(f"{script.name}: {_line(error, script)}") from error


def _line(error: psycopg.Error, script: Script) -> str:
    """PostgreSQL's message, with the line that it points at."""
    said = error.diag.message_primary or str(error)
    place = error.diag.statement_position
    if place is None:
        return said
    return f"line {script.text.count(chr(10), 0, int(place) - 1) + 1}: {said}"
