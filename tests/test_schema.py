"""The migrations and the recorded schema agree; `make schema` records anew."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from hivelog import sql

RECORD = Path(sql.__file__).with_name("schema.txt")


def written_out(url: str) -> str:
    """One heading a thing, one line a column, constraint, index or trigger."""
    with psycopg.connect(url) as conn:
        conn.execute("set search_path = hivelog")  # by default it depends on who asks: "$user" is in it
        rows = conn.execute(sql.load("schema")).fetchall()
    lines: list[str] = []
    for kind, name, detail in rows:
        if (heading := f"{kind} {name}") not in lines[-200:]:
            lines += ["", heading]
        lines.append(f"    {detail}")
    return "\n".join(lines).lstrip() + "\n"


def test_migrations_make_the_recorded_schema(database: str, request: pytest.FixtureRequest) -> None:
    made = written_out(database)
    if request.config.getoption("record_schema"):
        RECORD.write_text(made, encoding="utf-8")
    assert made.splitlines() == RECORD.read_text(encoding="utf-8").splitlines(), (
        "the schema changed: look at the difference, then `make schema`"
    )
    assert "table hivelog.events" in made
