"""The job list: every filter against a plain loop, pages without gaps or doubles, places in the queue."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hivelog.projections import checkpoint, jobs
from hivelog.projections.runner import Runner
from hypothesis import given
from hypothesis import strategies as st

from .histories import History
from .log_writer import LogWriter, Part, end
from .model import Model, model
from .simulated_clock import Clock


async def all_pages(connection: Any, chosen: jobs.Filter, limit: int) -> list[bytes]:
    found: list[bytes] = []
    after = None
    while True:
        page = await jobs.page(connection, chosen, limit=limit, after=after)
        assert len(page.rows) <= limit
        found += [row.id for row in page.rows]
        after = page.next
        if after is None:
            return found


def wanted(found: Model, log: LogWriter, chosen: jobs.Filter, starts: dict[bytes, Any]) -> list[bytes]:
    names = {number: name for name, number in log.types.items()}
    sessions = {number: name for name, number in log.sessions.items()}
    return sorted(
        (
            job.id
            for job in found.jobs.values()
            if job.queue in chosen.queues
            and job.status in chosen.statuses
            and (chosen.type is None or job.spec.type == names[chosen.type])
            and (chosen.since is None or job.created_at >= chosen.since)
            and (chosen.until is None or job.created_at < chosen.until)
            and (chosen.tag is None or chosen.tag in job.spec.tags)
            and (chosen.source is None or job.spec.source == chosen.source)
            and (chosen.correlation is None or job.correlation == chosen.correlation)
            and (chosen.worker is None or sessions.get(starts[job.id].actor if job.id in starts else 0) == chosen.worker)
            and (chosen.fingerprint is None or job.fingerprint == chosen.fingerprint)
            and (chosen.started is None or (job.id in starts and starts[job.id].recorded_at >= chosen.started))
        ),
        reverse=True,
    )


async def test_filters_and_pages(database: str, clock: Clock) -> None:
    chance = random.Random(7)
    log = LogWriter(database)
    history = History(log, clock)
    history.play([tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(160)])  # type: ignore[misc]
    await Runner(database).catch_up()
    events = history.events()
    found = model(events)
    starts = {e.stream: e for e in events if e.type == "started"}
    created = sorted(job.created_at for job in found.jobs.values())
    fingerprints = {job.fingerprint for job in found.jobs.values() if job.fingerprint}
    assert fingerprints
    connection = await checkpoint.connect(database)
    queues = list(log.queues.values())
    for _ in range(60):
        chosen = jobs.Filter(
            queues=chance.choice(([queues[0]], queues)),
            statuses=chance.choice((jobs.STATUSES, ("completed",), ("queued", "pending"), ("failed",))),
            type=chance.choice((None, None, log.types["mail"])),
            since=chance.choice((None, None, chance.choice(created))),
            until=chance.choice((None, None, chance.choice(created))),
            tag=chance.choice((None, None, None, "a", "nope")),
            source=chance.choice((None, None, "app")),
            correlation=chance.choice((None, None, None, "c1")),
            worker=chance.choice((None, None, "one")),
            fingerprint=chance.choice((None, None, None, *fingerprints)),
            started=chance.choice((None, None, chance.choice(created))),
        )
        got = await all_pages(connection, chosen, chance.choice((1, 3, 50)))
        assert got == wanted(found, log, chosen, starts), chosen
    await connection.close()
    log.close()


async def test_a_rare_match_is_found_past_the_scan_bound(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filtering gives up for this call, never for good: a short page has a next."""
    monkeypatch.setattr(jobs, "_FEW", 10)
    monkeypatch.setattr(jobs, "_SCAN", 10)
    monkeypatch.setattr(jobs, "_ROUNDS", 2)
    log = LogWriter(database)
    items = [log.enqueue("q", source="rare" if n in (1, 40) else "app") for n in range(60)]
    log.append(Part(enqueues=items))
    await Runner(database).catch_up()
    connection = await checkpoint.connect(database)
    chosen = jobs.Filter(queues=[log.queues["q"]], source="rare")
    first = await jobs.page(connection, chosen, limit=5)
    assert [row.id for row in first.rows] == [items[40].job]
    assert first.next is not None
    assert await all_pages(connection, chosen, 5) == [items[40].job, items[1].job]
    await connection.close()
    log.close()


async def test_a_row_says_all(database: str) -> None:
    log = LogWriter(database)
    session = log.session("one", ["q"])
    item = log.enqueue("q", tags=["a"], source="app", correlation="c", timeout=9)
    log.append(Part(enqueues=[item]))
    ((job, token, _, _),) = log.append(Part(starts=[log.start(session, "q", item.job)])).started
    done = log.append(
        Part(ends=[end(job, token, "failed", b"boom", error_type="E", fingerprint="f", template="t")])
    )
    await Runner(database).catch_up()
    connection = await checkpoint.connect(database)
    page = await jobs.page(connection, jobs.Filter(queues=[log.queues["q"]]))
    (row,) = page.rows
    assert (row.status, row.attempt, row.version, row.position) == ("failed", 1, 3, done.head)
    assert (row.token, row.error_token, row.session) == (token, token, session)
    assert (row.cause, row.error_type, row.fingerprint, row.template) == ("error", "E", "f", "t")
    assert (row.spec["timeout"], row.spec["tags"], row.correlation) == (9, ["a"], "c")
    assert row.ended_at == done.at
    assert page.position == done.head
    await connection.close()
    log.close()


@given(text=st.text(max_size=30))
def test_a_cursor_is_ours_or_refused(text: str) -> None:
    try:
        job = jobs.read_cursor(text)
    except ValueError:
        return
    assert jobs.read_cursor(jobs.write_cursor(job)) == job


def test_a_cursor_comes_back() -> None:
    job = bytes(range(16))
    assert jobs.read_cursor(jobs.write_cursor(job)) == job


async def test_place_in_the_queue(database: str) -> None:
    """By priority, then age, over all types of the queue; exact up to 1,000."""
    log = LogWriter(database)
    made = [(log.enqueue("q", ("a", "b", "c")[n % 3], priority=n % 2), n % 2, n) for n in range(1300)]
    log.append(Part(enqueues=[item for item, _, _ in made]))
    order = [item for item, _, _ in sorted(made, key=lambda entry: (-entry[1], entry[2]))]
    connection = await checkpoint.connect(database)
    for index in (0, 1, 499, 700, 998, 999, 1000, 1299):
        item = order[index]
        place = await jobs.place(
            connection, job=item.job, queue=item.queue, type_id=item.type, priority=item.priority
        )
        assert place is not None
        exact = index < 1000
        assert (place.position, place.at_least) == ((index + 1, None) if exact else (None, 1001))
        assert place.estimated_completion is None  # nothing has run yet
    gone = await jobs.place(
        connection, job=order[0].job, queue=order[0].queue, type_id=order[0].type, priority=77
    )
    assert gone is None
    await connection.close()
    log.close()


async def test_estimate_from_what_ran(database: str, clock: Clock) -> None:
    log = LogWriter(database)
    session = log.session("one", ["q"], slots=2)
    ran = [log.enqueue("q") for _ in range(20)]
    log.append(Part(enqueues=ran))
    started = log.append(Part(starts=[log.start(session, "q", item.job) for item in ran])).started
    clock.advance(4)
    log.append(Part(ends=[end(job, token, "completed", b"{}") for job, token, _, _ in started]))
    waiting = [log.enqueue("q") for _ in range(5)]
    log.append(Part(enqueues=waiting))
    await Runner(database).catch_up()
    connection = await checkpoint.connect(database)
    last = waiting[-1]
    now = log.now()
    place = await jobs.place(
        connection, job=last.job, queue=last.queue, type_id=last.type, priority=last.priority
    )
    assert place is not None
    assert place.estimated_completion is not None
    # Four ahead, two at a time, four seconds each; then its own four.
    assert 12_000 <= place.estimated_completion - now < 13_500
    await connection.close()
    log.close()
