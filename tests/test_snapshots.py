"""A session that holds an old snapshot is named, by /health and by doctor, with its age."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from hivelog.cli.check_server import check_snapshots
from hivelog.events import pool, snapshots

from .web_world import served


def age(report: psycopg.Connection[tuple[float, ...]]) -> float:
    """Seconds since it began, as the server counts them."""
    row = report.execute("select extract(epoch from clock_timestamp() - now())::float8").fetchone()
    assert row is not None
    return row[0]


@contextmanager
def holding(database: str) -> Iterator[psycopg.Connection[tuple[float, ...]]]:
    """A report that began and does not end."""
    with psycopg.connect(database, application_name="weekly report") as connection:
        connection.execute("set transaction isolation level repeatable read read only")
        connection.execute("select count(*) from hivelog.events")
        yield connection


async def test_health_names_the_session_and_its_age(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database, redis_url, tmp_path) as world:
        with holding(database) as report:
            found = (await world.client.get("/health")).json()["components"]["database"]
            assert found["old_snapshots"] == [], "it is not old yet"
            monkeypatch.setattr(snapshots.held, "__defaults__", (0.0,))  # ages are the server's own: any is old now
            least = age(report)
            body = (await world.client.get("/health")).json()
            found = body["components"]["database"]
            held = [each for each in found["old_snapshots"] if each["name"].startswith("weekly report")]
            assert held[0]["what"] == "transaction"
            assert f"pid {report.info.backend_pid}, idle in transaction" in held[0]["name"]
            assert least < held[0]["seconds"] < age(report)
            assert (body["status"], found["status"]) == ("healthy", "warning")  # a warning is no 503
            assert "keeps dead rows" in found["reason"]
        found = (await world.client.get("/health")).json()["components"]["database"]
        assert not [each for each in found["old_snapshots"] if "weekly report" in each["name"]]


async def test_doctor_names_it_too(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await pool.connect(database, "test") as connection:
        with holding(database):
            assert [f.level async for f in check_snapshots(connection)] == ["ok"]
            monkeypatch.setattr(snapshots.held, "__defaults__", (0.0,))
            found = [f async for f in check_snapshots(connection)]
    assert [(f.what, f.level) for f in found] == [("old snapshots", "warning")]
    assert "weekly report (pid" in found[0].said
