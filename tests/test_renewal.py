"""What is read from the database and kept: callers wait for what is old, and for nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hivelog.events import renewal
from hivelog.events.renewal import Renewal


class Clock:
    """`monotonic` as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(renewal, "monotonic", lambda: self.now)
        monkeypatch.setattr(renewal, "_AFTER_YOU", 0.0)


class Source:
    """Counts readings; each goes on when it may."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.may = asyncio.Event()
        self.may.set()
        self.error: Exception | None = None

    async def read(self) -> None:
        self.begun += 1
        await self.may.wait()
        if self.error is not None:
            raise self.error
        self.ended += 1


async def passes() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_young_is_not_read_old_is_waited_for(clock: Clock) -> None:
    source = Source()
    kept = Renewal(source.read, soon=1.0, latest=2.0)
    await asyncio.gather(*(kept.ensure() for _ in range(5)))
    assert (source.begun, source.ended) == (1, 1)
    clock.now += 0.9
    await kept.ensure()
    assert source.begun == 1
    clock.now += 2.0
    await kept.ensure()
    assert (source.begun, source.ended) == (2, 2)


async def test_in_between_it_is_read_beside_the_caller_and_once(clock: Clock) -> None:
    source = Source()
    kept = Renewal(source.read, soon=1.0, latest=2.0)
    await kept.ensure()
    source.may.clear()
    clock.now += 1.5
    await kept.ensure()
    await kept.ensure()
    await passes()
    assert (source.begun, source.ended) == (2, 1), "the callers did not wait, and one reading is under way"
    clock.now += 1.0
    waits = asyncio.create_task(kept.ensure())
    await passes()
    assert not waits.done(), "older than two seconds: nobody gets it"
    source.may.set()
    await waits
    assert source.ended == 2


async def test_who_waits_hears_the_error_and_the_next_reading_tries_again(clock: Clock) -> None:
    source = Source()
    kept = Renewal(source.read, soon=1.0, latest=2.0)
    source.error = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await kept.ensure()
    source.error = None
    await kept.ensure()
    source.error = ConnectionError("away")
    clock.now += 1.5
    await kept.ensure()  # beside the caller: not its error
    await passes()
    source.error = None
    await kept.ensure()
    await passes()
    assert source.ended == 2


async def test_what_was_forgotten_is_not_believed_when_it_comes(clock: Clock) -> None:
    source = Source()
    kept = Renewal(source.read, soon=1.0, latest=2.0)
    source.may.clear()
    first: asyncio.Task[Any] = asyncio.create_task(kept.ensure())
    await passes()
    kept.forget()
    second = asyncio.create_task(kept.ensure())
    await passes()
    assert source.begun == 2
    source.may.set()
    await asyncio.gather(first, second)
    await kept.ensure()
    assert source.begun == 2


async def test_a_waiter_that_gives_up_does_not_end_the_reading(clock: Clock) -> None:
    source = Source()
    kept = Renewal(source.read, soon=1.0, latest=2.0)
    source.may.clear()
    waits = asyncio.create_task(kept.ensure())
    await passes()
    waits.cancel()
    await passes()
    source.may.set()
    await kept.ensure()
    assert (source.begun, source.ended) == (1, 1)
