"""Overload for minutes, with real processes on servers of its own; every figure is measured, none is wished for."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hivelog import embedded
from hivelog.sql import migrate
from rich.console import Console
from rich.table import Table

from ..bench.memory import resident_mib, watched
from ..degraded_world import Site, site
from .feed_clients import Reader, Sleeper, person, reading, stopped
from .flood import Flooded, flood

READERS, ASLEEP, TO_A_PERSON = 950, 50, 28
EVENTS, CALL = 1200, 20
FILES = 8192

Row = tuple[str, str]


async def main(seconds: int) -> bool:
    """Floods for so long, then feeds. Prints what was seen; whether all of it was as promised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    with embedded.temporary() as servers, tempfile.TemporaryDirectory() as folder:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        migrate.migrate(servers.database_url)
        proxies = {"TRUSTED_PROXIES": "127.0.0.1/32"}
        async with site(servers.database_url, servers.redis_url, Path(folder), **proxies) as here:
            here.queues = ["orders", "other"]
            async with here.running() as processes:
                flooded = await flood(here, servers.database_url, processes, seconds)
                rows, good = _of_flood(flooded, seconds)
            with here.serve() as serve:
                fed, fed_well = await _feed(here, serve.pid)
    _print([*rows, *fed], seconds)
    return good and fed_well


def _of_flood(found: Flooded, seconds: int) -> tuple[list[Row], bool]:
    waits = found.waits
    rows = [
        ("jobs acknowledged", f"{found.acknowledged} in {seconds} s, {found.refused} calls refused"),
        ("depth told, depth counted", f"{found.depth}, {found.counted}"),
        ("wait in the other queue, s", f"median {waits[len(waits) // 2]:.3f}, most {waits[-1]:.3f}"),
        ("memory of server and worker, MiB", f"{found.memory[0]:.0f} at first, {found.memory[-1]:.0f} at last"),
        ("growth in the last third, MiB", f"{found.growth:.1f}"),
    ]
    return rows, found.depth == found.counted and waits[len(waits) // 2] < 1 and found.growth < 50


async def _feed(here: Site, pid: int) -> tuple[list[Row], bool]:
    while not await here.is_ready():
        await asyncio.sleep(0.1)
    people = [person(n) for n in range((READERS + ASLEEP) // TO_A_PERSON + 1)]
    readers, tasks = await reading(here.port, people, READERS)
    sleepers = [Sleeper(here.port, people[n % len(people)]) for n in range(ASLEEP)]
    await _streams(here, lambda number: number == READERS + ASLEEP, 60)
    before = resident_mib([pid])
    with watched([pid]) as peak:
        began = time.monotonic()
        for _ in range(EVENTS // CALL):
            batch = [{"queue": "orders", "type": "quiet", "payload": 1} for _ in range(CALL)]
            (await here.client.post("/jobs", json=batch)).raise_for_status()
            await asyncio.sleep(0.3)
        complete = await _all_seen(readers)
        took = time.monotonic() - began
        left = await _streams_left(here)
    await stopped(tasks)
    for sleeper in sleepers:
        sleeper.close()
    rows = [
        ("readers with every event in order", f"{complete} of {READERS}, {EVENTS} events in {took:.1f} s"),
        ("streams left of those that do not read", f"{left - READERS} of {ASLEEP}"),
        ("memory of the server, MiB", f"{before:.0f} with all connected, {peak.mib:.0f} at most"),
    ]
    return rows, complete == READERS and left == READERS


async def _all_seen(readers: list[Reader]) -> int:
    """How many saw all, each position once and in order, within a minute."""
    deadline = time.monotonic() + 60
    while any(len(reader.positions) < EVENTS for reader in readers) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    longest = max((reader.positions for reader in readers), key=len)
    whole = longest == sorted(set(longest)) and len(longest) == EVENTS
    return sum(reader.positions == longest for reader in readers) if whole else 0


async def _streams_left(here: Site) -> int:
    """Streams that the server holds, when those that do not read should be gone."""
    return await _streams(here, lambda number: number <= READERS, 40)


async def _streams(here: Site, wanted: Callable[[int], bool], seconds: float) -> int:
    """Streams that the server holds, once they are as many as wanted or so many seconds are over."""
    deadline = time.monotonic() + seconds
    while True:
        text = (await here.client.get("/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith("hivelog_streams_open "))
        number = int(float(line.split()[1]))
        if wanted(number) or time.monotonic() > deadline:
            return number
        await asyncio.sleep(0.2)


def _print(rows: list[Row], seconds: int) -> None:
    table = Table(title=f"Overload, {seconds} s of flood, {READERS + ASLEEP} feed clients")
    table.add_column("what")
    table.add_column("seen")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
