"""One key, one job: whatever the concurrency, within a batch, over bulks, after a lost answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.enqueue import Item
from hivelog.broker.errors import Rejected
from hivelog.broker.marks import Marks
from hivelog.events.batch import Outcome, Part, Refused

from .conftest import Clock

ACTOR = "user:test"


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.create_default_queues()
        yield opened


async def enqueue(backend: Backend, payload: object, key: str, **more: Any) -> Any:
    return await backend.enqueuer.enqueue(
        "default", "mail", payload, actor=ACTOR, idempotency_key=key, **more
    )


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(f"select count(*) from hivelog.{table}").fetchone()
    assert row is not None
    return int(row[0])


async def test_the_same_call_again_answers_the_first_job(backend: Backend, database: str) -> None:
    first = await enqueue(backend, {"a": 1, "b": 2}, "k")
    again = await enqueue(backend, {"b": 2, "a": 1}, "k")
    assert (again.job, again.position, again.replayed) == (first.job, first.position, True)
    assert not first.replayed
    assert (count(database, "ready"), count(database, "vault")) == (1, 1)


async def test_another_body_is_a_mismatch(backend: Backend) -> None:
    await enqueue(backend, {"a": 1}, "k")
    with pytest.raises(Rejected) as caught:
        await enqueue(backend, {"a": 2}, "k")
    assert caught.value.code == "idempotency_mismatch"


async def test_callers_and_paths_have_keys_of_their_own(backend: Backend, database: str) -> None:
    jobs = {
        (await enqueue(backend, {}, "k")).job,
        (await enqueue(backend, {}, "k", scope="user:other")).job,
        (await enqueue(backend, {}, "k", path="/elsewhere")).job,
    }
    assert len(jobs) == 3


async def test_the_database_never_sees_the_key(backend: Backend, database: str) -> None:
    await enqueue(backend, {}, "order-4711")
    with psycopg.connect(database) as conn:
        text = conn.execute("select i::text from hivelog.idempotency i").fetchall()
    assert "4711" not in str(text)
    assert b"order-4711".hex() not in str(text)


async def test_many_callers_with_one_key_get_one_job(database: str) -> None:
    """Two processes, twenty callers each: within a batch, between batches, between appenders."""
    async with Backend.open(database) as one, Backend.open(database) as two:
        await one.queues.create_default_queues()
        answers = await asyncio.gather(
            *(enqueue(backend, {"n": 1}, "k") for _ in range(20) for backend in (one, two))
        )
    assert len({answer.job for answer in answers}) == 1
    assert len({answer.position for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert (count(database, "ready"), count(database, "vault")) == (1, 1)


async def test_two_bodies_with_one_key_in_one_batch(backend: Backend, database: str) -> None:
    answers = await asyncio.gather(
        *(enqueue(backend, {"n": n}, "k") for n in range(6)), return_exceptions=True
    )
    refused = [a for a in answers if isinstance(a, Rejected)]
    assert len(refused) == 5
    assert {error.code for error in refused} == {"idempotency_mismatch"}
    assert (count(database, "ready"), count(database, "vault")) == (1, 1)


async def test_a_bulk_with_a_key_is_replayed_whole(backend: Backend, database: str) -> None:
    items = [Item("default", "mail", {"n": n}) for n in range(50)]
    many = backend.enqueuer.enqueue_many
    first, again = await asyncio.gather(
        many(items, actor=ACTOR, idempotency_key="k"), many(items, actor=ACTOR, idempotency_key="k")
    )
    assert first.jobs == again.jobs
    assert {first.replayed, again.replayed} == {False, True}
    assert count(database, "ready") == 50
    with pytest.raises(Rejected) as caught:
        await many(items[:49], actor=ACTOR, idempotency_key="k")
    assert caught.value.code == "idempotency_mismatch"


async def test_items_with_keys_stand_for_the_jobs_they_made(backend: Backend, database: str) -> None:
    def items(*numbers: int) -> list[Item]:
        return [Item("default", "mail", {"n": n}, None, f"k{n}") for n in numbers]

    first = await backend.enqueuer.enqueue_many(items(1, 2), actor=ACTOR)
    second = await backend.enqueuer.enqueue_many(items(2, 3, 3), actor=ACTOR)
    assert second.jobs[0] == first.jobs[1]
    assert second.jobs[1] == second.jobs[2]
    assert not second.replayed
    assert count(database, "ready") == 3
    third = await backend.enqueuer.enqueue_many(items(1, 2), actor=ACTOR)
    assert (third.jobs, third.position, third.replayed) == (first.jobs, first.position, True)


async def test_one_mismatch_refuses_the_whole_bulk(backend: Backend, database: str) -> None:
    await backend.enqueuer.enqueue_many([Item("default", "mail", 1, None, "k")], actor=ACTOR)
    fresh = [Item("default", "mail", n) for n in range(5)]
    known = [Item("default", "mail", 2, None, "k")]
    twice = [Item("default", "mail", 3, None, "x"), Item("default", "mail", 4, None, "x")]
    for clash in (known, twice):
        with pytest.raises(Rejected) as caught:
            await backend.enqueuer.enqueue_many([*fresh, *clash], actor=ACTOR)
        assert caught.value.code == "idempotency_mismatch"
    assert (count(database, "ready"), count(database, "vault")) == (1, 1)


async def test_a_lost_answer_is_found_again_by_its_key(backend: Backend) -> None:
    """After a recovered batch the log says `conflict` and not why; the key tells."""
    first = await enqueue(backend, {"n": 1}, "k")
    real = backend.appender.post

    def without_reasons(sent: Part) -> asyncio.Future[Outcome]:
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def deliver(done: asyncio.Future[Outcome]) -> None:
            outcome = done.result()
            outcome.refused = {at: Refused("conflict") for at in outcome.refused}
            answer.set_result(outcome)

        real(sent).add_done_callback(deliver)
        return answer

    backend.appender.post = without_reasons  # type: ignore[method-assign]
    again = await enqueue(backend, {"n": 1}, "k")
    assert (again.job, again.replayed) == (first.job, True)
    with pytest.raises(Rejected) as caught:
        await enqueue(backend, {"n": 2}, "k")
    assert caught.value.code == "idempotency_mismatch"


async def test_a_key_lasts_a_day_and_as_long_as_its_job(
    backend: Backend, database: str, clock: Clock
) -> None:
    ended = await enqueue(backend, {"n": 1}, "ended")
    await enqueue(backend, {"n": 2}, "live")
    await backend.jobs.cancel(ended.job, actor=ACTOR)
    marks = Marks(backend.pool)
    clock.advance(23.9 * 3600)
    assert (await marks.tick()).keys == 0
    clock.advance(0.2 * 3600)
    assert (await marks.tick()).keys == 1
    assert (await enqueue(backend, {"n": 2}, "live")).replayed
    assert not (await enqueue(backend, {"n": 1}, "ended")).replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", 5])
async def test_a_key_is_a_short_text(backend: Backend, key: Any) -> None:
    with pytest.raises(Rejected) as caught:
        await enqueue(backend, {}, key)
    assert caught.value.code == "invalid_field"
