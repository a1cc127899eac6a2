"""One leader a duty, a new one within seconds, and duties that come back after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
import structlog
from hivelog.broker.duties import Duties, every
from hivelog.broker.leadership import LEASE, Leadership
from hivelog.events.pool import Pool, make_pool
from hivelog.stopping import stop_tasks

from .conftest import Clock


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = make_pool(database)
    await pool.open()
    yield pool
    await pool.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_one_holder_a_duty_until_its_lease_is_over(pool: Pool, clock: Clock) -> None:
    one, two = Leadership(pool), Leadership(pool)
    assert await one.claim(["a", "b"]) == {"a": 1, "b": 1}
    assert await two.claim(["a", "b", "c"]) == {"c": 1}
    clock.advance(LEASE - 1)
    assert await one.claim(["a"]) == {"a": 1}
    clock.advance(2)
    assert await two.claim(["a", "b"]) == {"b": 2}
    assert await one.claim(["a", "b"]) == {"a": 1}


async def test_a_released_duty_is_free_at_once(pool: Pool) -> None:
    one, two = Leadership(pool), Leadership(pool)
    await one.claim(["a"])
    await two.release(["a"])
    assert await two.claim(["a"]) == {}
    await one.release(["a"])
    assert await two.claim(["a"]) == {"a": 2}


async def test_many_at_once_make_one_leader(pool: Pool) -> None:
    answers = await asyncio.gather(*(Leadership(pool).claim(["a", "b"]) for _ in range(10)))
    assert sum("a" in answer for answer in answers) == 1
    assert sum("b" in answer for answer in answers) == 1


async def test_a_dead_leaders_duties_go_to_another(pool: Pool, clock: Clock) -> None:
    ran: list[str] = []

    def duty(name: str) -> Duties:
        async def work() -> None:
            ran.append(name)

        return Duties(Leadership(pool), {"d": every(0.01, work)})

    one, two = duty("one"), duty("two")
    await one.tick()
    await two.tick()
    await until(lambda: len(ran) > 2)
    assert set(ran) == {"one"}
    clock.advance(LEASE + 1)
    await two.tick()
    await one.tick()  # learns that it leads no more
    ran.clear()
    await until(lambda: len(ran) > 2)
    assert set(ran) == {"two"}
    assert (two.status()["d"].term, one.status()["d"].held) == (2, False)
    await two.stop()
    await one.stop()


async def test_a_crashed_duty_is_started_again(pool: Pool) -> None:
    runs = 0

    async def fails() -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError("boom")

    duties = Duties(Leadership(pool), {"d": fails}, renew=0.02)
    await duties.start()
    await until(lambda: runs >= 2)
    assert duties.status()["d"].crashes >= 1
    await duties.stop()
    assert await Leadership(pool).claim(["d"]) == {"d": 2}


async def test_a_duty_that_loses_its_cancellation_is_cancelled_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivelog.stopping._PATIENCE", 0.02)
    asleep, lost = asyncio.Event(), 0

    async def work() -> None:
        nonlocal lost
        try:
            asleep.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if lost:
                raise
            lost += 1  # as a library does that answers a cancellation with an error of its own
            raise psycopg.OperationalError("the connection was lost") from None

    async def duty() -> None:
        while True:
            with contextlib.suppress(psycopg.Error):
                await work()

    duties = Duties(Leadership(pool), {"d": duty})
    await duties.tick()
    await asleep.wait()
    async with asyncio.timeout(5):
        await duties.stop()
    assert lost == 1
    assert not duties.status()["d"].held
    assert await Leadership(pool).claim(["d"]) == {"d": 2}


async def test_stopping_ends_even_if_a_task_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hivelog.stopping._PATIENCE", 0.01)
    over = False

    async def stubborn() -> None:
        while not over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as logs:
        await stop_tasks(task, None)
    assert [(entry["event"], entry["tasks"]) for entry in logs] == [("tasks_not_stopped", ["stubborn"])]
    over = True
    await task
