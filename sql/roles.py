"""The two group roles: `hivelog_app` runs Hivelog without being able to rewrite its log, and
`hivelog_report` reads. Where they may not be created everything works, less protected; then say so.
"""

from __future__ import annotations

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from .scripts import Script

APP = "hivelog_app"
REPORT = "hivelog_report"


def apply(conn: Connection, grants: tuple[Script, ...], app_url: str | None) -> list[str]:
    """Create the roles, give the grants, make the application's user a member. Answers warnings."""
    missing = [role for role in (APP, REPORT) if not _ensure(conn, role)]
    warnings = [_without(role) for role in missing]
    for script in grants:
        if not any(script.name.endswith(f"/{role}.sql") for role in missing):
            with conn.transaction():
                conn.execute(script.text)
    app_user = _user(app_url)
    if app_user is None or app_user == conn.info.user:
        warnings.append(
            f"the application connects as {conn.info.user}, which owns the tables: only triggers, "
            "which an owner can drop, keep the log append-only; set HIVELOG_MIGRATE_URL to the "
            "owner's URL and DATABASE_URL to another user's"
        )
    elif APP not in missing:
        warnings += _make_member(conn, app_user)
    return warnings


def _ensure(conn: Connection, role: str) -> bool:
    if _exists(conn, role):
        return True
    try:
        conn.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass  # roles belong to the whole server: another database's migration was first
    return True


def _exists(conn: Connection, role: str) -> bool:
    query = "select 1 from pg_roles where rolname = %s"
    return conn.execute(query, (role,)).fetchone() is not None


def _make_member(conn: Connection, user: str) -> list[str]:
    row = conn.execute(
        "select pg_has_role(%s, %s, 'member') and not rolsuper from pg_roles where rolname = %s",
        (user, APP, user),
    ).fetchone()
    if row == (True,):
        return []
    try:
        grant = sql.SQL("grant {} to {}").format(sql.Identifier(APP), sql.Identifier(user))
        conn.execute(grant)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
        return [f"{user} could not be made a member of {APP}: {error.diag.message_primary}"]
    return []


def _user(url: str | None) -> str | None:
    return None if url is None else str(conninfo_to_dict(url).get("user") or "") or None


def _without(role: str) -> str:
    lost = {
        APP: "an application user without the right to rewrite the log is not possible",
        REPORT: "a read-only user for reports is not possible",
    }
    return f"the role {role} is missing and this user may not create roles: {lost[role]}"
