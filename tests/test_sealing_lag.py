"""While jobs come without a pause, nothing stays unsealed for longer than a second. Alone on its machine."""

from __future__ import annotations

import asyncio
import threading
import time

import psycopg
from hivelog import sql
from hivelog.events.batch import Part
from hivelog.events.sealer import Sealer
from hivelog.stopping import stop_tasks

from .log_writer import LogWriter
from .sealed_log import opened, ring

_SECONDS = 4.0


async def test_nothing_stays_unsealed_for_a_second_while_jobs_come(database: str) -> None:
    stop = threading.Event()
    appending = threading.Thread(target=append, args=(database, stop))
    async with opened(database) as pool:
        sealing = asyncio.create_task(Sealer(pool, ring()).run())
        appending.start()
        try:
            lags = await asyncio.to_thread(watch, database)
        finally:
            stop.set()
            appending.join()
            await stop_tasks(sealing)
    assert len(lags) > 50
    assert max(lags) < 1


def append(url: str, stop: threading.Event) -> None:
    writer = LogWriter(url)
    while not stop.is_set():
        writer.append(Part(enqueues=[writer.enqueue("q") for _ in range(20)]))
    writer.close()


def watch(url: str) -> list[float]:
    """Seconds that the oldest event without a seal is old, looked at time and again."""
    lags, end = [], time.monotonic() + _SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < end:
            if (row := connection.execute(sql.load("seal_lag")).fetchone()) is not None:
                lags.append(row[1] or 0.0)
            time.sleep(0.02)
    return lags
