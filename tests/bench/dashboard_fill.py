"""Fills a database with a long history, set-based: the log as it would have been written, folded by the product."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from hivelog.projections import checkpoint
from hivelog.projections.definitions import PROJECTIONS, Projection

from .contenders import ROOT

QUEUES: Final = 50
TYPES: Final = ("mail", "report", "import", "invoice", "thumbnail")
DAYS: Final = 7
_STRETCH: Final = 100_000  # jobs
_SQL: Final = (ROOT / "tests" / "bench" / "dashboard_history.sql").read_text()


def queue_names() -> list[str]:
    return [f"queue-{n:02}" for n in range(QUEUES)]


def fill(
    url: str, jobs: int, *, queues: str = "queue-%", types: tuple[str, ...] = TYPES, days: int = DAYS,
    errors: int = 97, waves: int = 0,
) -> Iterator[str]:  # fmt: skip
    """Write the history of `jobs` ended jobs, up to now; the queues (like `queues`) exist. Tells how far it is.

    `errors`: kinds of failures; `waves`: how often in a stretch the rate goes up and down, 0 for never.
    """
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set work_mem = '256MB'; set synchronous_commit = off")
        fixed = _numbers(connection, queues, types) | {"errors": errors, "waves": waves}
        now = datetime.now(UTC)
        step = timedelta(days=days) * (min(_STRETCH, jobs) / jobs)
        for n, first in enumerate(range(0, jobs, _STRETCH)):
            _partitions(connection, 3 * _STRETCH)
            start = now - timedelta(days=days) + n * step
            count = min(_STRETCH, jobs - first)
            head = connection.execute("select max(position) from hivelog.batches").fetchone()
            assert head is not None
            values = {"first": first, "count": count, "start": start, "position": head[0], **fixed}
            # A job takes four seconds at most: what comes next begins later.
            stop = start + step - timedelta(seconds=4)
            connection.execute(_SQL, {**values, "stop": max(stop, start)})
            yield f"{first + count:,} jobs written, {time.monotonic() - began:.0f} s"
        connection.execute("analyze")


def head(url: str) -> int:
    """The log's last position."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select max(position) from hivelog.batches").fetchone()
    assert row is not None
    return int(row[0])


def _numbers(connection: psycopg.Connection[Any], like: str, types: tuple[str, ...]) -> dict[str, Any]:
    queues = connection.execute(
        "select array_agg(id order by name) from hivelog.queues where name like %s", (like,)
    ).fetchone()
    for name in types:
        connection.execute("insert into hivelog.job_types (name) values (%s) on conflict do nothing", (name,))
    actors = []
    for name in ("user:bench", "worker:bench:00000000-0000-7000-8000-000000000000"):
        row = connection.execute(
            "insert into hivelog.actors (name) values (%s) on conflict (name) do update set name = excluded.name"
            " returning id", (name,)
        ).fetchone()  # fmt: skip
        assert row is not None
        actors.append(row[0])
    epoch = connection.execute("select max(epoch) from hivelog.batches").fetchone()
    assert queues is not None
    assert epoch is not None
    return {
        "queues": queues[0], "type_names": list(types), "actor": actors[0], "worker": actors[1],
        "epoch": epoch[0],
    }  # fmt: skip


def _partitions(connection: psycopg.Connection[Any], ahead: int) -> None:
    size = connection.execute("select hivelog.partition_size()").fetchone()
    assert size is not None
    connection.execute("select hivelog.ensure_partitions(%s)", (2 + ahead // size[0],))


async def fold(url: str) -> None:
    """Every projection, side by side and in large batches, as a rebuild does: the indexes that only readers need
    come last."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [table for projection in PROJECTIONS for table in projection.tables]
        indexes = connection.execute(
            "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
            " where not indisprimary and indrelid = any (%s::regclass[])", ([f"hivelog.{name}" for name in tables],)
        ).fetchall()  # fmt: skip
        for name, _ in indexes:
            connection.execute(f"drop index {name}")
        await asyncio.gather(*(_fold(url, projection) for projection in PROJECTIONS))
        connection.execute("set maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("vacuum analyze")


async def _fold(url: str, projection: Projection) -> None:
    connection = await checkpoint.connect(url)
    await connection.execute("set synchronous_commit = off")
    found = await checkpoint.checkpoints(connection)
    at = next(each for each in found if each.live and each.name == projection.name)
    while await checkpoint.advance(connection, projection, at, 100_000) is checkpoint.Step.MOVED:
        pass
    await connection.close()


def index_for_search(url: str, jobs: int) -> None:
    """The terms of the newest jobs, as the search duty would write them for plain payloads."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '512MB'; set work_mem = '256MB'")
        connection.execute("drop index hivelog.search_terms")
        connection.execute(
            """
            insert into hivelog.search (job, terms)
            select v.job, array_to_tsvector(array['user_id=' || (p.body ->> 'user_id'), p.body ->> 'user_id',
                'order.id=' || (p.body -> 'order' ->> 'id'), p.body -> 'order' ->> 'id',
                'subject=monthly report', 'monthly', 'report'])
            from (select * from hivelog.vault where slot = 0 order by job desc limit %s) v
            cross join lateral (select convert_from(v.body, 'UTF8')::jsonb as body) p
            """,
            (jobs,),
        )
        connection.execute("create index search_terms on hivelog.search using gin (terms)")
        connection.execute(
            "update hivelog.search_state set position = (select max(position) from hivelog.batches)"
        )
        connection.execute("analyze hivelog.search")


def sizes(url: str) -> dict[str, int]:
    """MiB of the largest tables with their indexes."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            select regexp_replace(c.relname, '^events_.*', 'events'), sum(pg_total_relation_size(c.oid)) / 1048576
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'hivelog' and c.relkind = 'r' group by 1 order by 2 desc limit 6
            """
        ).fetchall()
    return {name: int(mib) for name, mib in rows}

