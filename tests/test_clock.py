"""The test clock moves the only clock that decides, for every connection, in one database."""

from __future__ import annotations

import psycopg
from simulated_clock import Clock


def ahead(url: str) -> float:
    """Seconds by which the database's deciding clock is ahead of the real one."""
    with psycopg.connect(url) as conn:
        row = conn.execute("select extract(epoch from hivelog.now() - clock_timestamp())::float8").fetchone()
        assert row is not None
        return float(row[0])


def test_time_moves_only_when_told(database: str, clock: Clock) -> None:
    assert -1 < ahead(database) < 1
    clock.advance(3600)
    clock.advance(0.5)
    assert 3599 < ahead(database) < 3601


def test_the_next_database_has_the_real_time(database: str) -> None:
    assert -1 < ahead(database) < 1
