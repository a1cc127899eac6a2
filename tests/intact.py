"""What must hold of any log and its live tables, asked of the database itself."""

from __future__ import annotations

import psycopg

INTACT = """
select
    (select count(*) = coalesce(max(position), 0) and coalesce(min(position), 1) = 1 from hivelog.events),
    (select count(*) = 0 from (
        select recorded_at < lag(recorded_at) over (order by position) as back from hivelog.events
    ) x where back),
    (select count(*) = 0 from (
        select stream, count(*) n, min(version) low, max(version) high from hivelog.events group by stream
    ) x where low <> 1 or high <> n),
    (select count(*) = 0 from (
        select job from hivelog.pending union all select job from hivelog.ready
        union all select job from hivelog.leases) x group by job having count(*) > 1) is not false,
    (select coalesce(bool_and(m.pending = p.n and m.ready = r.n and m.running = l.n), true)
     from hivelog.queues q
     join lateral (
        select * from hivelog.queue_marks m where m.queue = q.id order by position desc limit 1) m on true
     join lateral (select count(*) n from hivelog.pending where queue = q.id) p on true
     join lateral (select count(*) n from hivelog.ready where queue = q.id) r on true
     join lateral (select count(*) n from hivelog.leases where queue = q.id) l on true)
"""


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(query).fetchall()


def assert_intact(url: str) -> None:
    assert rows(url, INTACT)[0] == (True, True, True, True, True)
