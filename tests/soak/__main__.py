"""Steady load for an hour, then an hour of the same beside a session with an old snapshot.

    make soak
    python -m tests.soak --seconds 60 --snapshot-seconds 190

Exit status: 1 where throughput changed by more than a tenth without the snapshot, a job by way of Redis cost more
than a quarter more beside it, or /health did not name it (which it does from a minute on); 2 for a bad option.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
from hivelog import Client

from ..bench.hivelog_side import QUEUE, TYPE
from ..bench.installation import Installation, wait_until
from ..bench.server import running_server
from ..options import Options
from .observed import Observer, Sample, Window

_EVERY = 10.0  # s between two looks
_TICK = 0.1  # s between two calls of the producer
_REPORT = "soak report"


def arguments() -> argparse.Namespace:
    line = Options("tests.soak", __doc__)
    line.variable("SOAK_SECONDS", 3600, "of steady load")
    line.variable("SOAK_SNAPSHOT_SECONDS", None, "of the same beside an old snapshot; as many unless given")
    line.variable("SOAK_RATE", 300, "jobs a second")
    given = line.parse_args()
    if given.snapshot_seconds is None:
        given.snapshot_seconds = given.seconds
    return given


@contextmanager
def load(made: Installation, rate: int) -> Iterator[None]:
    """A producer that enqueues `rate` jobs a second, whatever becomes of them."""
    stop = threading.Event()

    async def produce() -> None:
        items = [{"queue": QUEUE, "type": TYPE, "payload": {"data": "x" * 80}} for _ in range(int(rate * _TICK))]
        async with Client(made.database_url, redis_url=made.redis_url) as client:
            due = time.monotonic()
            while not stop.is_set():
                await client.enqueue_many(items)
                due += _TICK
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=lambda: asyncio.run(produce()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def watch(observer: Observer, seconds: float) -> list[Sample]:
    """Look now and then, at regular times."""
    samples = [observer.look()]
    while samples[-1].at - samples[0].at < seconds:
        time.sleep(min(_EVERY, seconds / 20))
        samples.append(observer.look())
    return samples


def edges(observer: Observer, samples: list[Sample]) -> tuple[Window, Window]:
    """The first and the last five minutes, or third of a shorter run."""
    length = min(300.0, (samples[-1].at - samples[0].at) / 3)
    early = next(each for each in samples if each.at >= samples[0].at + length)
    late = next(each for each in reversed(samples) if each.at <= samples[-1].at - length)
    return observer.window(samples[0], early), observer.window(late, samples[-1])


def tell(title: str, samples: list[Sample], first: Window, last: Window, pick: float) -> None:
    print(f"\n{title}: {samples[-1].at - samples[0].at:.0f} s")
    for name, window in (("first", first), ("last", last)):
        print(f"  {name:5} {window.throughput:7.1f} ends/s, wait p50 {window.wait_p50:.1f} ms, p99"
              f" {window.wait_p99:.1f} ms, {window.cpu_ms:.2f} ms of processor a job")  # fmt: skip
    middle = samples[len(samples) // 3]
    for name in samples[-1].mib:
        print(f"  {name:9} {middle.mib[name]:7.1f} MiB after a third, {samples[-1].mib[name]:7.1f} at the end")
    print(f"  live tables: at most {max(s.dead for s in samples):,} dead rows,"
          f" {samples[-1].bytes / 2**20:.1f} MiB at the end; a claim by SQL {pick:.2f} ms", flush=True)  # fmt: skip


@contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    with psycopg.connect(url, application_name=_REPORT) as report:
        report.execute("set transaction isolation level repeatable read read only")
        report.execute("select count(*) from hivelog.ready")
        yield


def named_by_health(base: str, made: Installation) -> str | None:
    """What /health says of the session, with its age."""
    database = httpx.get(f"{base}/health", headers=made.login, timeout=10).json()["components"]["database"]
    found: list[dict[str, Any]] = [s for s in database["old_snapshots"] if s["name"].startswith(_REPORT)]
    return f"{database['status']}: {found[0]['name']}, {found[0]['seconds']:.0f} s old" if found else None


def soak(made: Installation, superuser: str, given: argparse.Namespace) -> bool:
    failed = False

    def check(holds: bool, said: str) -> None:
        nonlocal failed
        failed |= not holds
        print(f"  {'holds' if holds else 'FAILS'}: {said}", flush=True)

    with made.serving() as (serve, base), made.working(10) as worker, load(made, given.rate):
        print(f"{given.rate} jobs/s", flush=True)
        observer = Observer(superuser, made.redis_url, {"serve": serve.pid, "worker": worker.pid})
        wait_until(lambda: observer.look().head > 10 * given.rate, worker, every=1)
        plain = watched(observer, "Steady load", given.seconds)
        change = plain[1].throughput / plain[0].throughput
        check(0.9 < change < 1.1, f"the last window's throughput is {change:.1%} of the first's")
        with old_snapshot(superuser):
            beside = watched(observer, "Beside an old snapshot", given.snapshot_seconds)
            said = named_by_health(base, made)
        check(said is not None, f"/health names the session: {said}")
        # Processor time, because waiting times are also those of whatever else the machine does.
        ratio = beside[1].cpu_ms / plain[1].cpu_ms
        check(ratio < 1.25, f"a job by way of Redis costs {ratio:.1%} of what it cost without")
        print(f"  claims by SQL: {beside[2]:.2f} ms beside the snapshot, {plain[2]:.2f} ms without")
        observer.close()
    return failed


def watched(observer: Observer, title: str, seconds: float) -> tuple[Window, Window, float]:
    samples = watch(observer, seconds)
    first, last = edges(observer, samples)
    pick = observer.pick_ms()
    tell(title, samples, first, last, pick)
    return first, last, pick


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with running_server() as server:
        url = server.fresh("soak")
        made = Installation(url, server.redis_url, QUEUE, encrypted=False)
        made.migrate()
        made.make_queue()
        return 1 if soak(made, url, given) else 0


if __name__ == "__main__":
    sys.exit(main())
