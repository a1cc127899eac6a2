"""A log with a long past for the benches of time travel and rebuild, made in the database itself.

    log = make(url, events=10_000_000, queues=50)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec
import psycopg

_HISTORY: Final = Path(__file__).with_name("past_history.sql").read_text()
_EVENTS_A_JOB: Final = 3.15
_WORKERS: Final = 20
_DAY_BEFORE: Final = "now() - interval '25 hours'"


def make(url: str, *, events: int, queues: int) -> int:
    """Some `events` events; answers the head. Needs the owner's URL and an empty log."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("set synchronous_commit = off; set work_mem = '256MB'; set statement_timeout = 0")
        head = _names(conn, queues)
        partitions = events // 5_000_000 + 2
        conn.execute("select hivelog.ensure_partitions(%s)", (partitions,))
        values = {"jobs": int(events / _EVENTS_A_JOB), "queues": queues, "head": head, "session": 2}
        for statement in (_HISTORY % values).split(";\n"):
            if statement.strip():
                conn.execute(statement.encode())
        conn.execute("vacuum analyze hivelog.events")
        conn.execute("analyze hivelog.batches, hivelog.queue_marks")
        row = conn.execute("select max(position) from hivelog.batches").fetchone()
    assert row is not None
    return int(row[0])


def _names(conn: psycopg.Connection[tuple[object, ...]], queues: int) -> int:
    """Queues, types, workers and their events; answers the head."""
    conn.execute("select hivelog.actor_id('bench')")
    types = [f"type{n}" for n in range(1, 6)]
    conn.execute("select hivelog.type_ids(%s)", (types,))
    rows: list[tuple[Any, ...]] = []
    for n in range(1, queues + 1):
        name, stream = f"queue{n:02}", uuid5(NAMESPACE_URL, f"queue{n}")
        conn.execute("select hivelog.queue_id(%s, %s)", (name, stream))
        conn.execute("update hivelog.queues set deleted = false where name = %s", (name,))
        rows.append((stream, "queue_configured", 1, n, _json({"priority": 100, "max_workers": None})))
    for n in range(_WORKERS):
        stream = uuid5(NAMESPACE_URL, f"worker{n}")
        conn.execute("select hivelog.actor_id(%s)", (f"worker:w{n}:{stream}",))
        data: dict[str, object] = {
            "name": f"w{n}", "host": "h", "pid": n, "queues": [f"queue{q:02}" for q in range(1, queues + 1)],
            "types": types, "slots": 100, "heartbeat": 5, "dead_after": 20,
        }  # fmt: skip
        rows.append((stream, "worker_started", 2 + n, None, _json(data)))
    for position, (stream, kind, actor, queue, data) in enumerate(rows, 1):
        conn.execute(
            "insert into hivelog.events (position, recorded_at, stream, version, type, actor, queue, data)"
            f" values (%s, date_trunc('second', {_DAY_BEFORE}), %s, 1, %s, %s, %s, %s)",
            (position, stream, kind, actor, queue, data),
        )
    conn.execute(
        "insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)"
        f" values (%s, 1, date_trunc('second', {_DAY_BEFORE}), 1, gen_random_uuid())",
        (len(rows),),
    )
    return len(rows)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
