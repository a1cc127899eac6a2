"""Supervisors among themselves, on one log: who lives, who leads, who runs what. Time is simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hivelog.broker import supervisor, supervisor_leader
from hivelog.broker.engine import Engine
from hivelog.broker.scales import LEASE
from hivelog.broker.supervisor import Options, Supervising
from hivelog.broker.supervisor_scaling import UP_PAUSE
from hivelog.broker.supervisor_workers import WorkerProcesses
from hivelog.settings import Settings

from .conftest import Clock

QUEUES = frozenset({"reports"})


class Time:
    """The one of the processes and the one of the database, moved together."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._now = clock, 1000.0

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._clock.advance(seconds)


@pytest.fixture
def time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time(clock)
    for module in (supervisor, supervisor_leader):
        monkeypatch.setattr(module, "time", made)
    return made


class Host:
    """A supervisor that is ticked by hand. Its processes are never started: what it wants is enough."""

    def __init__(self, engine: Engine, name: str, limit: int | None = None) -> None:
        self.workers = WorkerProcesses(lambda queue, label: ["true"], {}, name, 30)
        options = Options(name=name, host=name, pid=1, queues=QUEUES, limit=limit)
        self.supervising = Supervising(engine.appender, engine.names, engine.pool, self.workers, options)

    @property
    def share(self) -> int:
        return self.workers.wanted["reports"]

    async def tick(self) -> int:
        await self.supervising.tick()
        return self.share


@pytest.fixture
async def engine(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings.load({}, database_url=database, redis_url=redis_url, data=tmp_path)
    async with Engine(settings, name="test") as engine:
        await engine.queues.create_default_queues()
        await engine.queues.configure("reports", {"scaling": {"min": 4, "max": 8}}, actor="test")
        yield engine


async def looks(time: Time, *hosts: Host, count: int = 3) -> list[int]:
    """Some seconds, one look of each host a second; their shares at the end."""
    for _ in range(count):
        time.advance(1)
        for host in hosts:
            await host.tick()
    return [host.share for host in hosts]


async def test_two_that_begin_at_once_never_want_more_than_is_wanted(engine: Engine, time: Time) -> None:
    one, two = Host(engine, "one"), Host(engine, "two")
    for _ in range(4):
        for host in (one, two):
            await host.tick()
            assert one.share + two.share <= 4
        time.advance(1)
    assert [one.share, two.share] == [2, 2]


async def test_one_that_comes_later_takes_half_and_one_that_dies_leaves_it(engine: Engine, time: Time) -> None:
    one, two = Host(engine, "one"), Host(engine, "two")
    assert await looks(time, one) == [4]
    assert await looks(time, one, two) == [2, 2]
    assert await looks(time, one, count=round(LEASE) - 1) == [2]  # silent, and not yet given up
    assert await looks(time, one, count=2) == [4]
    await one.supervising.leave()  # goes by itself: nobody has to wait for it
    three = Host(engine, "three")
    assert await looks(time, three, count=2) == [4]


async def test_after_an_outage_nobody_takes_what_the_others_still_run(engine: Engine, time: Time) -> None:
    one, two = Host(engine, "one"), Host(engine, "two")
    assert await looks(time, one, two) == [2, 2]
    time.advance(300)  # the database was away: nobody beat
    assert await one.tick() == 2
    time.advance(2)
    assert await one.tick() == 2
    assert await looks(time, one, two, count=5) == [2, 2]
    time.advance(300)
    assert await looks(time, one, count=5) == [4]  # the other one did not come back


async def test_a_small_host_leaves_its_part_to_the_others(engine: Engine, time: Time) -> None:
    one, two = Host(engine, "one", limit=1), Host(engine, "two")
    assert await looks(time, one, two) == [1, 3]


async def test_the_number_is_the_logs_and_survives_all_supervisors(engine: Engine, time: Time) -> None:
    one = Host(engine, "one")
    assert await looks(time, one) == [4]
    done = await engine.scales.scale("reports", 7, actor="user:ann")
    assert (done.desired, done.supervised) == (7, True)
    assert await looks(time, one, count=1) == [7]
    await one.supervising.leave()
    time.advance(1000)
    assert await looks(time, Host(engine, "two"), count=100) == [7]  # pinned: no look changes it
    await engine.scales.scale("reports", None, actor="user:ann")
    assert (await engine.scales.scale("reports", 99, actor="user:ann")).raised == 99
    assert (await engine.scales.scale("reports", None, actor="user:ann")).desired == 8  # its maximum


async def test_waiting_jobs_scale_it_whoever_leads(engine: Engine, time: Time) -> None:
    one, two = Host(engine, "one"), Host(engine, "two")
    await engine.queues.configure("reports", {"max_workers": None}, actor="test")
    assert await looks(time, one, two) == [2, 2]
    for _ in range(11):
        await engine.enqueuer.enqueue("reports", "monthly", {}, actor="test")
    await looks(time, one, two, count=1 + round(UP_PAUSE))
    assert one.share + two.share == 5
    await one.supervising.leave()
    await looks(time, two, count=2 * round(UP_PAUSE))
    assert two.share in (6, 7)
    rows = await _reasons(engine)
    assert rows[0] == ("leader", 4, "the queue's minimum")
    assert {row[2] for row in rows[1:]} == {"11 jobs wait, more than 10"}
    assert [row[1] for row in rows] == list(range(4, 4 + len(rows)))  # each step once, though two looked


async def _reasons(engine: Engine) -> list[tuple[str, int, str]]:
    async with engine.pool.connection() as connection:
        cursor = await connection.execute(
            "select a.name, (e.data ->> 'workers')::int, e.data ->> 'reason' from hivelog.events e"
            " join hivelog.actors a on a.id = e.actor where e.type = 'scaled' order by e.position"
        )
        return await cursor.fetchall()
