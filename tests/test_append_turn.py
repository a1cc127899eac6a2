"""A worker's turn has statements of its own in the append: what they refuse, and what goes on beside."""

from __future__ import annotations

import pytest
from hivelog.events.appender import Appender
from hivelog.events.batch import End, Enqueue, Outcome

from .batches import Desk, complete, part
from .intact import assert_intact, rows

# Of one payload of this size a worker may claim five.
BIG = 3_000_000


def codes(outcome: Outcome) -> dict[tuple[str, int], str]:
    return {place: why.code for place, why in outcome.refused.items()}


async def test_what_is_refused_of_a_turn_leaves_no_gap(database: str, appender: Appender) -> None:
    desk = Desk(database)
    jobs = [desk.enqueue() for _ in range(6)]
    await appender.submit(part(*jobs))
    running = (await appender.submit(part(*map(desk.start, jobs[:3])))).started
    stale = End(running[1].job, running[1].token + 100, "completed")
    turn = part(
        complete(running[0]), stale, complete(running[2]),
        desk.start(jobs[3]), desk.start(desk.enqueue()), desk.start(jobs[4]), desk.start(jobs[5]),
    )  # fmt: skip
    outcome = await appender.submit(turn)
    assert codes(outcome) == {("e", 1): "stale_token", ("s", 1): "not_ready"}
    wanted = [(0, jobs[3].job), (2, jobs[4].job), (3, jobs[5].job)]
    assert [(job.index, job.job) for job in outcome.started] == wanted
    assert [job.token for job in outcome.started] == [outcome.head - 2, outcome.head - 1, outcome.head]
    ended = await appender.submit(part(*(complete(job) for job in [running[1], *outcome.started])))
    assert not ended.refused
    assert rows(database, "select count(*) from hivelog.leases") == [(0,)]
    assert_intact(database)


async def test_a_session_that_is_over_starts_nothing(database: str, appender: Appender) -> None:
    desk = Desk(database)
    ready, expired = desk.enqueue(), desk.enqueue()
    expired.expires = 1
    first = desk.enqueue()
    await appender.submit(part(first, ready, expired))
    running = (await appender.submit(part(desk.start(first)))).started[0]
    rows(database, "delete from hivelog.sessions returning id")
    starts = [desk.start(ready), desk.start(expired), desk.start(desk.enqueue())]
    outcome = await appender.submit(part(complete(running), *starts))
    assert codes(outcome) == {("s", 0): "session_lost", ("s", 1): "session_lost", ("s", 2): "not_ready"}
    last = "select type::text from hivelog.events order by position desc limit 1"
    assert rows(database, last) == [("completed",)]
    assert rows(database, "select count(*) from hivelog.ready") == [(2,)]
    assert_intact(database)


async def test_an_expired_job_does_not_start(database: str, appender: Appender) -> None:
    desk = Desk(database)
    jobs = [desk.enqueue() for _ in range(3)]
    jobs[1].expires = 1
    await appender.submit(part(*jobs))
    outcome = await appender.submit(part(*map(desk.start, jobs)))
    assert codes(outcome) == {("s", 1): "expired"}
    assert [job.index for job in outcome.started] == [0, 2]
    assert_intact(database)


@pytest.mark.parametrize("starts", [False, True])
async def test_a_turn_ends_jobs_of_several_queues(database: str, appender: Appender, starts: bool) -> None:
    desk, other = Desk(database), Desk(database, queue="other")
    jobs = [desk.enqueue(), other.enqueue(), other.enqueue()]
    await appender.submit(part(*jobs))
    starts_of_both = [desk.start(jobs[0]), other.start(jobs[1]), other.start(jobs[2])]
    running = (await appender.submit(part(*starts_of_both))).started
    assert len(running) == 3
    following: list[Enqueue] = [desk.enqueue(), desk.enqueue()] if starts else []
    if following:
        await appender.submit(part(*following))
    outcome = await appender.submit(part(*map(complete, running), *map(desk.start, following)))
    assert (outcome.refused, len(outcome.started)) == ({}, len(following))
    assert rows(database, "select queue, count(*) from hivelog.leases group by queue") == (
        [(desk.queue, 2)] if starts else []
    )
    assert_intact(database)


async def test_the_largest_payload_of_a_queue_is_remembered(database: str, appender: Appender) -> None:
    desk = Desk(database)
    small, large = [desk.enqueue() for _ in range(3)], [desk.enqueue(body=b"x" * BIG) for _ in range(7)]
    for jobs in (small[:1], small[1:2], large, small[2:]):
        await appender.submit(part(*jobs))
    outcome = await appender.submit(part(*map(desk.start, large)))
    assert (len(outcome.started), set(codes(outcome).values())) == (5, {"budget"})
    last = "select largest from hivelog.queue_marks order by position desc limit 1"
    assert rows(database, last) == [(BIG,)]
