"""How long retention takes, and how long appends wait for it meanwhile.

    python -m tests.bench.retention 1000000

Makes a log of jobs that ended, each with a body in the vault, seals and folds it, lets 40 days pass and
takes it all away, archived first, while another connection appends without a pause.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg
from hivelog import embedded
from hivelog.events.batch import Part
from hivelog.events.retention import Retention
from hivelog.sql import migrate

from ..log_writer import LogWriter
from ..options import Options
from ..retention_world import DAY, World
from ..sealed_log import seal
from ..simulated_clock import Clock
from .past_log import make

_BODIES = """
insert into hivelog.vault (job, slot, token, salt, body)
select e.stream, 0, 0, '\\x00', convert_to('{"note": "' || repeat('x', 180) || '"}', 'UTF8') from hivelog.events e where e.type = 'enqueued'
"""


class Steps:
    """Seconds from a step's first report to the next step's."""

    def __init__(self) -> None:
        self.began: list[tuple[str, float]] = []

    def __call__(self, step: str, done: int, total: int) -> None:
        if not self.began or self.began[-1][0] != step:
            self.began.append((step, time.perf_counter()))

    def told(self, end: float) -> str:
        ends = [at for _, at in self.began[1:]] + [end]
        return ", ".join(f"{step} {at - began:.1f} s" for (step, began), at in zip(self.began, ends, strict=True))


def appending(url: str, stop: threading.Event, waits: list[float]) -> None:
    writer = LogWriter(url)
    with closing(writer):
        while not stop.is_set():
            began = time.perf_counter()
            writer.append(Part(enqueues=[writer.enqueue("meanwhile")]))
            waits.append(time.perf_counter() - began)


async def measure(url: str, events: int, archive: Path) -> None:
    began = time.perf_counter()
    make(url, events=events, queues=10)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_BODIES)
    clock = Clock(url)
    clock.install()
    log = LogWriter(url)
    world = World(url, clock, log)
    await seal(url, world.keys, largest=65_536)
    await world.settle()
    assert world.cut_anywhere()
    clock.advance(40 * DAY)
    log.append(Part(enqueues=[log.enqueue("meanwhile")]))
    await world.settle()
    print(f"made, sealed and folded in {time.perf_counter() - began:.0f} s", flush=True)
    waits: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=appending, args=(url, stop, waits))
    thread.start()
    steps = Steps()
    began = time.perf_counter()
    done = await Retention(url, archive, world.submit, actor=log.actor, progress=steps).run(30)
    end = time.perf_counter()
    stop.set()
    thread.join()
    log.close()
    size = sum(manifest.bytes for manifest in done.archived)
    print(f"{done.dropped:,} events, {done.jobs:,} jobs, {done.carried:,} carried: {end - began:.1f} s"
          f" = {done.dropped / (end - began):,.0f} events/s ({steps.told(end)});"
          f" archive {size / done.dropped:.0f} bytes an event")  # fmt: skip
    waits.sort()
    print(f"{len(waits):,} appends meanwhile: p50 {waits[len(waits) // 2] * 1000:.1f} ms,"
          f" p99 {waits[int(len(waits) * 0.99)] * 1000:.1f} ms, longest {waits[-1] * 1000:.0f} ms")  # fmt: skip


def main() -> None:
    line = Options("tests.bench.retention", __doc__)
    line.add_argument("events", type=int, nargs="?", default=300_000, help="of the log, about (%(default)s)")
    events = line.parse_args().events
    parameters = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
    with (
        embedded.temporary(with_valkey=False, parameters=parameters) as servers,
        tempfile.TemporaryDirectory() as archive,
    ):
        assert servers.database_url is not None
        migrate.migrate(servers.database_url)
        asyncio.run(measure(servers.database_url, events, Path(archive)))


if __name__ == "__main__":
    main()
