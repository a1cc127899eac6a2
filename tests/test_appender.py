"""The appender: batches, lost answers, outages, poisoned parts. Against a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from hivelog.events import log as log_module
from hivelog.events.appender import Appender
from hivelog.events.batch import Outcome, Part, Record
from hivelog.events.errors import DatabaseUnavailable, EpochChanged, Overloaded
from hivelog.events.log import Log

from .batches import Desk, complete, part
from .intact import assert_intact, rows
from .proxy import proxied


async def test_callers_that_wait_and_those_that_come_again_are_two_halves(database: str, appender: Appender) -> None:
    desk = Desk(database)
    sent = [appender.post(part(desk.enqueue())) for _ in range(3)]
    while not appender.log.connected or appender.idle or len(appender._waiting):
        await asyncio.sleep(0)
    sent += [appender.post(part(desk.enqueue())) for _ in range(47)]
    await asyncio.gather(*sent)
    assert _sizes(database) == [22, 25, 3]


async def test_callers_that_were_one_batch_become_two(database: str, appender: Appender) -> None:
    """All answered at once they come again at once, and the database would wait for them and they for it."""
    desk = Desk(database)
    await asyncio.gather(*[appender.post(part(desk.enqueue())) for _ in range(40)])
    await asyncio.gather(*[appender.post(part(desk.enqueue())) for _ in range(40)])
    assert _sizes(database) == [20, 20, 20, 20]


async def test_few_callers_are_one_batch(database: str, appender: Appender) -> None:
    desk = Desk(database)
    for _ in range(2):
        await asyncio.gather(*[appender.post(part(desk.enqueue())) for _ in range(10)])
    assert _sizes(database) == [10, 10]


def _sizes(database: str) -> list[int]:
    """Of the batches, the last first."""
    found = rows(database, "select position - first + 1 from hivelog.batches where position > 0 order by position desc")
    return [size for (size,) in found]


async def test_a_full_batch_is_encoded_beside_the_one_under_way_and_keeps_its_place(
    database: str, tmp_path: Path
) -> None:
    """Whether that one's answer comes, is lost, or the database goes away with it."""
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        sent = await _two_batches(appender, desk)
        assert [outcome.positions["n"][0] for outcome in await asyncio.gather(*sent)] == list(range(1, 21))
        proxy.lose_next_answer()
        sent = await _two_batches(appender, desk)
        assert [outcome.positions["n"][0] for outcome in await asyncio.gather(*sent)] == list(range(21, 41))
        proxy.cut(refuse=True)
        sent = await _two_batches(appender, desk)
        told = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in told), told
        assert (appender._rows, appender._bytes) == (0, 0)
        proxy.restore()
        while not appender.available:
            await asyncio.sleep(0.01)
        proxy.cut(refuse=True)
        sent = [appender.post(part(desk.enqueue()))]
        while appender.log.connected:
            await asyncio.sleep(0)
        assert appender.available, "it still tries"
        sent += [appender.post(part(desk.enqueue())) for _ in range(3)]  # not taken: they are told of the outage
        async with asyncio.timeout(10):
            told = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in told), told
        proxy.restore()
        await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(40,)]
    assert_intact(database)


async def _two_batches(appender: Appender, desk: Desk) -> list[asyncio.Future[Outcome]]:
    """One under way, and ten that are the next already, and nine."""
    sent = [appender.post(part(desk.enqueue()))]
    while appender.idle or appender._waiting:
        await asyncio.sleep(0)
    sent += [appender.post(part(desk.enqueue())) for _ in range(19)]
    await asyncio.sleep(0)
    assert [len(appender._flying), len(appender._following), len(appender._waiting)] == [1, 10, 9]
    return sent


async def test_an_answer_that_cannot_be_read_fails_its_own_batch(
    database: str, appender: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the one that was sent before it was read, whose callers would be told of another's fate."""
    desk, read = Desk(database), appender.log.read

    def once(*_: object) -> None:
        monkeypatch.setattr(appender.log, "read", read)
        raise ValueError("not an answer")

    monkeypatch.setattr(appender.log, "read", once)
    sent = await _two_batches(appender, desk)
    told = await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), 10)
    failed = [each for each in told if isinstance(each, ValueError)]
    assert failed == told[: len(failed)]
    assert 0 < len(failed) < len(told)
    assert all(isinstance(each, Outcome) for each in told[len(failed) :])
    assert_intact(database)


async def test_a_lost_answer_is_found_in_the_log(database: str, tmp_path: Path) -> None:
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        jobs = [desk.enqueue() for _ in range(5)]
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*jobs))
        assert proxy.swallowed.is_set()
        assert outcome.positions["n"] == [1, 2, 3, 4, 5]
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*map(desk.start, jobs)))
        assert [(job.index, job.token) for job in outcome.started] == [(i, i + 6) for i in range(5)]
        assert outcome.started[0].body == b"{}"
        proxy.lose_next_answer()
        outcome = await appender.submit(part(*map(complete, outcome.started), desk.start(jobs[0])))
        assert set(outcome.refused) == {("s", 0)}
        await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(15,)]
    assert_intact(database)


async def test_an_append_that_is_heard_after_the_log_said_no_does_nothing(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands were sent again meanwhile. Records and starts have no key that would tell."""
    monkeypatch.setattr(log_module, "_SILENCE", 0.5)
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        jobs = [desk.enqueue(), desk.enqueue()]
        await appender.submit(part(*jobs))
        for commands in (part(desk.enqueue()), part(desk.start(jobs[0])), Part(records=[_scaled()])):
            connection, slow = appender.log._connection, proxy.links[-1]
            assert connection is not None
            pid = connection.info.backend_pid
            slow.stall()
            outcome = await appender.submit(commands)
            assert not outcome.refused
            slow.go_on()
            while rows(database, f"select from pg_stat_activity where pid = {pid}"):
                await asyncio.sleep(0.02)
            assert rows(database, "select max(position) from hivelog.events") == [(outcome.head,)]
        await appender.stop()
    types = "select array_agg(type::text order by position) from hivelog.events"
    assert rows(database, types) == [(["enqueued"] * 3 + ["started", "scaled"],)]
    assert rows(database, "select count(*) from hivelog.void_batches") == [(3,)]
    assert_intact(database)


async def test_what_was_decided_in_another_epoch_is_turned_away(database: str) -> None:
    desk, appender = Desk(database), Appender(Log(database))
    await appender.start()
    old = part(desk.enqueue())
    old.epoch = appender.log.epoch + 1
    with pytest.raises(EpochChanged):
        await appender.submit(old)
    assert not (await appender.submit(part(desk.enqueue()))).refused
    await appender.stop()
    assert rows(database, "select max(position) from hivelog.events") == [(1,)]


def _scaled() -> Record:
    return Record("00000000-0000-0000-0000-000000000001", "scaled", 1)


async def test_an_outage_fails_the_impatient_and_keeps_the_patient(database: str, tmp_path: Path) -> None:
    desk = Desk(database)
    async with proxied(database, tmp_path) as proxy:
        appender = Appender(Log(proxy.url))
        await appender.start()
        job = desk.enqueue()
        await appender.submit(part(job))
        started = (await appender.submit(part(desk.start(job)))).started[0]
        proxy.cut(refuse=True)
        held = asyncio.ensure_future(appender.submit(part(complete(started), patient=True)))
        with pytest.raises(DatabaseUnavailable):
            await appender.submit(part(desk.enqueue()))
        assert not held.done()
        proxy.restore()
        assert not (await held).refused
        await appender.submit(part(desk.enqueue()))
        await appender.stop()
    assert_intact(database)


async def test_a_full_queue_of_commands_refuses_more(database: str) -> None:
    desk = Desk(database)
    appender = Appender(Log(database), max_waiting=10)
    await appender.start()
    waiting = [appender.post(part(desk.enqueue())) for _ in range(10)]
    with pytest.raises(Overloaded):
        appender.post(part(desk.enqueue()))
    await asyncio.gather(*waiting)
    await appender.submit(part(desk.enqueue()))
    await appender.stop()


async def test_the_next_batch_counts_until_it_leaves(database: str) -> None:
    """Taken ahead it takes as much memory as before."""
    desk = Desk(database)
    appender = Appender(Log(database), max_waiting=19)
    await appender.start()
    sent = await _two_batches(appender, desk)
    with pytest.raises(Overloaded):
        appender.post(part(desk.enqueue()))
    await asyncio.gather(*sent)
    assert (appender._rows, appender._bytes) == (0, 0)
    await appender.submit(part(*(desk.enqueue() for _ in range(19))))
    await appender.stop()


async def test_a_poisoned_part_fails_alone(database: str, appender: Appender) -> None:
    desk = Desk(database)
    good, bad = desk.enqueue(), desk.enqueue()
    bad.spec = b"{not json"
    outcomes = await asyncio.gather(
        *(appender.submit(part(job)) for job in (good, bad, desk.enqueue())), return_exceptions=True
    )
    assert [isinstance(outcome, psycopg.Error) for outcome in outcomes] == [False, True, False]
    assert_intact(database)
