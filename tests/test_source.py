"""Claims ahead: ids popped for a worker's next turn while the log writes this one. Against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hivelog.broker.source import Source
from hivelog.events.names import Names

from .batches import part
from .redis_rig import Rig, rig, until


@pytest.fixture
async def bench(database: str, redis_url: str) -> AsyncIterator[Rig]:
    async with rig(database, redis_url) as made:
        yield made


async def source(bench: Rig, jobs: int) -> Source:
    await bench.append(part(*(bench.desk.enqueue() for _ in range(jobs))))
    await bench.fed()
    made = Source(bench.claims, bench.feeder, Names(bench.pool))
    await made.serve(bench.desk.session, ["bench"], ["noop"])
    return made


def waiting(bench: Rig) -> int:
    return sum(len(jobs) for jobs in bench.held().values())


async def test_the_next_turn_takes_what_was_claimed_ahead(bench: Rig) -> None:
    worker = await source(bench, 10)
    worker.take_ahead(4)
    await until(lambda: waiting(bench) == 6)
    turn = await worker.take(4)
    assert turn is not None
    assert turn.claim is not None
    assert len(turn.starts) == 4
    assert waiting(bench) == 6
    appended = await bench.append(turn)
    assert len(appended.outcomes[0].started) == 4


async def test_what_was_claimed_ahead_is_taken_also_when_there_is_no_more(bench: Rig) -> None:
    worker = await source(bench, 3)
    worker.take_ahead(4)
    await until(lambda: waiting(bench) == 0)
    assert worker.hungry
    turn = await worker.take(4)
    assert turn is not None
    assert len(turn.starts) == 3
    assert not worker.hungry


async def test_fewer_free_slots_than_expected_give_all_of_it_back(bench: Rig) -> None:
    worker = await source(bench, 10)
    worker.take_ahead(4)
    turn = await worker.take(1)
    assert turn is not None
    assert [start.job for start in turn.starts] == [bench.ready()[bench.desk.queue, bench.desk.type][0][1]]
    assert waiting(bench) == 9


async def test_a_worker_whose_slots_stay_busy_keeps_nothing_from_the_others(bench: Rig) -> None:
    worker = await source(bench, 4)
    worker.take_ahead(4)
    await until(lambda: waiting(bench) == 0)
    await until(lambda: waiting(bench) == 4)
    assert not bench.raw.keys(b"*:claim:*")
    again = await worker.take(4)
    assert again is not None
    assert len(again.starts) == 4


async def test_who_must_not_claim_gives_it_back(bench: Rig) -> None:
    worker = await source(bench, 4)
    worker.take_ahead(4)
    worker.paused = True
    assert await worker.take(4) is None
    assert waiting(bench) == 4
    worker.take_ahead(4)
    await asyncio.sleep(0)
    assert waiting(bench) == 4


async def test_another_session_starts_without_the_claims_of_the_last(bench: Rig) -> None:
    worker = await source(bench, 4)
    worker.take_ahead(4)
    await worker.serve(bench.desk.session, ["bench"], ["noop"])
    assert waiting(bench) == 4
