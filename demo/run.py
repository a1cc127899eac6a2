"""Plays the traffic plan against a running Hivelog: the producers of `hivelog demo`.

All it needs is a client and the demo's directory::

    async with sinks() as receivers, Client() as client:
        os.environ.update(receivers.variables(data))  # before the workers are started
        await run_traffic(client, data, sql=SqlProducer(conninfo))
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
import structlog
from psycopg.types.json import Jsonb

from .files import below, write_atomically
from .text import sentences
from .traffic import Arrival, Offer, plan

STALE_SECONDS = 7200.0
SCRATCH_FILES = 12
MAX_BEHIND_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Producer(Protocol):
    """What the traffic needs of a client; `hivelog.Client` offers it."""

    async def enqueue(self, queue: str, kind: str, payload: Any, /, **options: Any) -> Any: ...

    async def enqueue_many(self, jobs: list[dict[str, Any]], /) -> Any: ...


class SqlProducer:
    """Enqueues the way a program without a client does: ``select hivelog.enqueue(...)``.

    A connection an arrival: these are rare, and the demo then survives a restart of PostgreSQL.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def enqueue(self, offer: Offer) -> None:
        """One job in one transaction; raises psycopg.Error."""
        row = (offer.queue, offer.type, Jsonb(offer.payload), Jsonb(offer.options))
        async with await psycopg.AsyncConnection.connect(self._conninfo) as connection:
            await connection.execute("select hivelog.enqueue(%s, %s, %s, %s)", row)


async def run_traffic(
    client: Producer,
    data_dir: Path,
    duration: float | None = None,
    *,
    seed: int = 1,
    rate: float = 1.0,
    sql: SqlProducer | None = None,
) -> Counter[str]:
    """Enqueue the plan of `seed` in real time, for `duration` seconds or until cancelled.

    Answers how many jobs were offered in each way, and how many could not be (``failed``): a
    producer outlives an outage of its queue. Without `sql` those jobs go through the client.
    """
    counts: Counter[str] = Counter()
    clock = _Clock()
    for arrival in plan(seed, rate):
        if duration is not None and arrival.at > duration:
            break
        await clock.reach(arrival.at)
        await _offer(client, sql, data_dir, arrival, counts)
    return counts


class _Clock:
    """The plan's time. It loses what an outage or a suspended laptop cost: no flood afterwards."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    async def reach(self, at: float) -> None:
        ahead = self._start + at - time.monotonic()
        if ahead < -MAX_BEHIND_SECONDS:
            self._start -= ahead
        await asyncio.sleep(max(0.0, ahead))


async def _offer(
    client: Producer,
    sql: SqlProducer | None,
    data_dir: Path,
    arrival: Arrival,
    counts: Counter[str],
) -> None:
    try:
        if any(offer.type == "cleanup" for offer in arrival.offers):
            await asyncio.to_thread(leave_scratch_files, data_dir, int(arrival.at * 1000))
        await _enqueue(client, sql, arrival)
    except Exception as error:  # whatever it is, the next job may well get through
        counts["failed"] += len(arrival.offers)
        _log.warning("demo_enqueue_failed", way=arrival.way, error=str(error))
    else:
        counts[arrival.way] += len(arrival.offers)


async def _enqueue(client: Producer, sql: SqlProducer | None, arrival: Arrival) -> None:
    if arrival.way == "bulk":
        await client.enqueue_many([_item(offer) for offer in arrival.offers])
        return
    for offer in arrival.offers:
        if arrival.way == "sql" and sql is not None:
            await sql.enqueue(offer)
        else:
            due = {"scheduled_for": _due(arrival.delay)} if arrival.delay else {}
            options = offer.options | due
            await client.enqueue(offer.queue, offer.type, offer.payload, **options)


def leave_scratch_files(data_dir: Path, seed: int, count: int = SCRATCH_FILES) -> Sequence[Path]:
    """Files that look hours old, as programs leave them, so that `cleanup` has work."""
    stale = time.time() - STALE_SECONDS
    paths = [below(data_dir, f"scratch/{seed}-{number}.tmp") for number in range(count)]
    for number, path in enumerate(paths):
        write_atomically(path, "\n".join(sentences(seed + number, 30)).encode())
        os.utime(path, (stale, stale))
    return paths


def _item(offer: Offer) -> dict[str, Any]:
    """The shape of one item of ``POST /jobs``."""
    return {
        "queue": offer.queue,
        "type": offer.type,
        "payload": offer.payload,
        "metadata": offer.options,
    }


def _due(delay: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=delay)
