"""Retention: old partitions go, whole; what lives stays, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import psycopg
import pytest
from hivelog.events import archive
from hivelog.events.batch import Move, Part
from hivelog.events.findings import Gap
from hivelog.events.pool import connect
from hivelog.events.retention import Busy
from hivelog.events.retention_plan import Limits, cut_after, plan
from hivelog.events.retention_plan import Part as Old
from hivelog.projections.definitions import PROJECTIONS
from hivelog.projections.rebuild import rebuild

from .log_writer import end
from .retention_world import DAY, World, failing, world
from .sealed_log import superuser


@pytest.fixture
def log(database: str) -> Iterator[World]:
    with world(database) as made:
        yield made


async def aged(log: World, *, live: int = 3) -> tuple[list[UUID], list[UUID]]:
    """A partition of ended and live jobs, 40 days old, and one of today; all sealed and folded."""
    ended, alive = log.work(5), log.work(live, ended=False)
    await log.cut()
    log.clock.advance(40 * DAY)
    log.work(2)
    await log.settle()
    return ended, alive


async def test_what_ended_goes_and_what_lives_stays_unchanged(log: World) -> None:
    ended, alive = await aged(log)
    before = log.events(alive)
    edge = log.rows("select min(high) - 1 from hivelog.events_partitions()")[0][0]
    done = await log.run()
    assert (done.edge, done.dropped, done.jobs) == (edge, edge, 5)
    assert log.events(ended) == []
    assert log.events(alive) == before
    for table, column in (("jobs", "id"), ("vault", "job"), ("search", "job"), ("rounds", "job")):
        found = {row[0] for row in log.rows(f"select {column} from hivelog.{table}")}
        assert not found & set(ended), table
        assert set(alive) <= found, table
    assert log.tables() == ["events_kept"]
    told = log.rows(
        "select type::text, data ->> 'action', data -> 'changed' from hivelog.events where type::text like 'action%%'"
        " order by position"
    )
    assert told == [("action_started", "retention", None), ("action_finished", None, edge)]
    await log.settle()
    assert await log.differences() == []
    assert (await log.run()).dropped == 0


async def test_statistics_stay_and_depths_can_still_be_told(log: World) -> None:
    await aged(log)
    minutes = log.rows("select * from hivelog.queue_minutes order by 1, 2")
    marks = log.rows("select queue, max(position) from hivelog.queue_marks group by 1")
    done = await log.run()
    assert log.rows("select * from hivelog.queue_minutes order by 1, 2") == minutes
    assert log.rows("select queue, max(position) from hivelog.queue_marks group by 1") == marks
    assert log.rows("select count(*) from hivelog.queue_marks where position <= %s", done.edge) == [(1,)]


async def test_rebuilt_over_the_gap_is_what_was_live(log: World) -> None:
    """Also where the edge lies within a minute, an hour, a seal and a worker's life."""
    log.work(6)
    log.work(2, ended=False)
    assert log.cut_anywhere()
    log.work(3)
    log.clock.advance(40 * DAY)
    log.work(2)
    await log.settle()
    assert (await log.run()).jobs > 0
    await log.settle()
    for projection in PROJECTIONS:
        made = await rebuild(log.url, projection.name)
        assert made.differences == dict.fromkeys(projection.tables, 0)
    assert await log.differences() == []


async def test_a_thousand_jobs_due_next_year_pin_nothing(log: World) -> None:
    due = log.log.now() + round(365 * DAY * 1000)
    jobs = [log.log.enqueue("q", due=due) for _ in range(1000)]
    log.log.append(Part(enqueues=jobs))
    for _ in range(3):
        log.work(20)
        await log.cut()
        log.clock.advance(40 * DAY)
        log.work(1)
        await log.settle()
        await log.run()
    query = "select count(*) from hivelog.events_kept where type = 'enqueued' and stream = any(%s)"
    stays = log.rows(query, [UUID(bytes=job.job) for job in jobs])
    assert stays == [(1000,)]
    # Beside them the queue, the session, and the last removal's beginning.
    assert log.rows("select count(*) < 1010 from hivelog.events_kept") == [(True,)]
    assert log.rows("select count(*) from hivelog.jobs where status = 'completed'") == [(1,)]
    await log.settle()
    assert await log.differences() == []


async def test_a_job_carried_once_goes_when_its_end_is_old(log: World) -> None:
    _, alive = await aged(log)
    await log.run()
    session = log.log.session("w", ["q"])
    for job in alive:
        started = log.log.append(Part(starts=[log.log.start(session, "q", job.bytes)])).started
        log.log.append(Part(ends=[end(started[0][0], started[0][1], "completed", b"1")]))
    await log.cut()
    log.clock.advance(10 * DAY)
    log.work(1)
    await log.settle()
    await log.run()
    assert len(log.events(alive)) == 3 * len(alive)  # whole, as long as its end is young
    log.clock.advance(30 * DAY)
    log.work(1)
    await log.settle()
    done = await log.run()
    assert done.dropped > 0
    assert log.events(alive) == []
    assert log.rows("select count(*) from hivelog.jobs where id = any(%s)", alive) == [(0,)]


@pytest.mark.parametrize("step", ["retention_stage", "retention_swap", "retention_sweep", "retention_drop"])
async def test_a_death_at_any_step_is_made_good(log: World, tmp_path: Path, step: str) -> None:
    ended, alive = await aged(log)
    before = log.events(alive)
    with failing(log.url, step), pytest.raises(psycopg.Error):
        await log.run(archive=tmp_path)
    assert log.events(alive) == before
    log.work(2)
    await log.settle()
    await log.run(archive=tmp_path)
    assert log.events(ended) == []
    assert log.events(alive) == before
    assert log.rows("select count(*) from hivelog.jobs where id = any(%s)", ended) == [(0,)]
    assert log.tables() == ["events_kept"]
    told = log.rows("select count(*) from hivelog.events where type::text like 'action%%'")
    assert told == [(2,)]
    await log.settle()
    assert await log.differences() == []


async def test_a_job_that_comes_back_to_life_meanwhile_is_carried(log: World) -> None:
    ended, _ = await aged(log)
    edge = log.rows("select min(high) - 1 from hivelog.events_partitions()")[0][0]
    looked, carried = log.rows("select * from hivelog.retention_stage(%s)", edge)[0]
    before = log.events(ended[:1])
    (size, version) = log.rows("select size, version from hivelog.jobs where id = %s", ended[0])[0]
    again = Move(
        job=str(ended[0]), event="requeued", source="ended", target="ready", version=version, actor=log.log.actor,
        queue=log.log.queue("q"), type=log.log.type("t"), priority=100, retry=0, attempt=1, enqueued=before and 3,
        size=size, spec=log_spec(log, ended[0]),
    )  # fmt: skip
    assert log.log.append(Part(moves=[again])).refused == []
    await log.announce(edge)
    log.rows("select hivelog.retention_swap(%s, hivelog.now() - interval '30 days', %s, null)", edge, looked)
    assert log.events(ended[:1])[: len(before)] == before
    assert log.rows("select carried > %s from hivelog.retention", carried) == [(True,)]


def log_spec(log: World, job: UUID) -> msgspec.Raw:
    text = log.rows("select data::text from hivelog.events where stream = %s and version = 1", job)[0][0]
    return msgspec.Raw(text.encode())


async def test_nothing_goes_that_is_young_unsealed_or_not_folded(log: World) -> None:
    log.work(3)
    assert log.cut_anywhere()
    log.clock.advance(40 * DAY)
    log.work(1)
    done = await log.run()
    assert done.plan is not None
    assert done.plan.parts == []
    assert "has read the log only to 0" in (done.plan.reason or "")
    edge = log.rows("select min(high) - 1 from hivelog.events_partitions()")[0][0]
    log.rows("select hivelog.retention_stage(%s)", edge)
    for cutoff, said in (("30 days", "not sealed"), ("0 days", "less than a day"), ("50 days", "not old enough")):
        with pytest.raises(psycopg.Error, match=said):
            log.rows(f"select hivelog.retention_swap(%s, hivelog.now() - interval '{cutoff}', 0, null)", edge)
    await log.settle()
    with pytest.raises(psycopg.Error, match="no partition ends there"):
        log.rows("select hivelog.retention_swap(%s, hivelog.now() - interval '30 days', 0, null)", edge - 1)
    with pytest.raises(psycopg.Error, match="no sealed event announces it"):
        log.rows("select hivelog.retention_swap(%s, hivelog.now() - interval '30 days', 0, null)", edge)
    assert (await log.run(days=60)).dropped == 0
    assert (await log.run()).dropped == edge


async def test_the_kept_events_are_append_only_too(log: World) -> None:
    await aged(log)
    await log.run()
    for statement in ("delete from {}", "update {} set attempt = 1", "truncate {}"):
        with pytest.raises(psycopg.Error, match="append-only"):
            log.rows(statement.format("hivelog.events_kept"))
    with pytest.raises(psycopg.Error, match="append-only"):
        log.rows("delete from hivelog.retention")


async def test_seals_verify_across_the_gap(log: World) -> None:
    log.work(8)
    assert log.cut_anywhere()
    log.clock.advance(40 * DAY)
    log.work(2)
    await log.settle()
    done = await log.run()
    assert done.carried > 3  # what the seal across the edge covers
    await log.settle()
    assert await log.differences() == []
    report = await log.verified()
    assert report.findings == []
    assert report.verdict == "intact"
    assert report.gap == Gap(done.edge, done.carried, vouched=True)


async def test_what_was_carried_cannot_be_changed_unseen(log: World, servers: Any) -> None:
    _, alive = await aged(log)
    await log.run()
    await log.settle()
    assert (await log.verified()).findings == []
    (victim,) = log.rows("select position from hivelog.events where stream = %s", alive[0])[0]
    with superuser(servers, urlsplit(log.url).path) as connection:
        connection.execute("drop trigger append_only on hivelog.retention")
        connection.execute("update hivelog.events_kept set correlation = 'x' where position = %s", (victim,))
        (found,) = (await log.verified()).findings
        assert (found.kind, found.first) == ("altered", victim)
        connection.execute("delete from hivelog.events_kept where position = %s", (victim,))
        (found,) = (await log.verified()).findings
        assert found.kind == "missing"
        # Who takes more away, and says that retention did, is not believed: the log does not say so.
        edge = "(select max(position) from hivelog.seals)"
        connection.execute(f"delete from hivelog.events where position <= {edge}")
        connection.execute(f"update hivelog.retention set edge = {edge}")
        assert {found.kind for found in (await log.verified()).findings} == {"missing"}



async def test_the_archive_has_every_event_and_proves_itself(log: World, tmp_path: Path) -> None:
    await aged(log)
    query = "select position, stream::text, type::text from hivelog.events where position <= %s order by position"
    edge = log.rows("select min(high) - 1 from hivelog.events_partitions()")[0][0]
    before = log.rows(query, edge)
    done = await log.run(archive=tmp_path)
    assert [(e["position"], e["job"], e["type"]) for e in archive.events(tmp_path)] == before
    (manifest,) = archive.manifests(tmp_path)
    assert (manifest.first, manifest.last, manifest.count) == (1, edge, edge)
    assert manifest.seal is not None
    assert done.archived == [manifest]
    file = tmp_path / manifest.file
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(archive.ArchiveError, match="SHA-256"):
        list(archive.events(tmp_path))


async def test_without_room_for_the_archive_nothing_goes(log: World, tmp_path: Path) -> None:
    await aged(log)
    (tmp_path / "file").write_text("")
    with pytest.raises(archive.ArchiveError, match="cannot be written"):
        await log.run(archive=tmp_path / "file" / "archive")
    assert log.tables() == []


async def test_one_at_a_time(log: World) -> None:
    connection = await connect(log.url, "another")
    await connection.execute("select pg_advisory_lock(hivelog.partition_lock() + 1)")
    with pytest.raises(Busy):
        await log.run()
    await connection.close()


async def test_a_partition_is_cut_when_it_is_old_enough(log: World) -> None:
    log.work(2)
    assert not await log.retention().cut(30)
    log.clock.advance(2 * DAY)
    assert await log.retention().cut(30)
    assert not await log.retention().cut(30)
    log.work(2)
    sizes = log.rows(
        "select p.name, count(e) from hivelog.events_partitions() p left join hivelog.events e"
        " on e.position >= p.low and e.position < p.high group by 1 having count(e) > 0 order by 1"
    )
    assert [count > 0 for _, count in sizes] == [True, True]
    assert log.rows("select count(*), max(position) from hivelog.events") == [(log.head, log.head)]


def test_plans() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    parts = [Old(f"p{n}", 100 * n + 1, 100 * n + 100, now - timedelta(days=60 - 10 * n)) for n in range(6)]
    found = plan(Limits(now, 600, 0, 600, {"jobs": 600}), parts, 30)
    assert [part.name for part in found.parts] == ["p0", "p1", "p2"]
    assert (found.edge, found.count, found.reason) == (300, 300, None)
    found = plan(Limits(now, 600, 0, 600, {"jobs": 600, "failures": 250}), parts, 30)
    assert [part.name for part in found.waiting] == ["p2"]
    assert found.reason == "failures has read the log only to 250, and p2 reaches to 300"
    found = plan(Limits(now, 600, 0, 99, {"jobs": 600}), parts, 30)
    assert found.parts == []
    assert found.reason == "the log is sealed only to 99, and p0 reaches to 100"
    assert cut_after(7) == timedelta(days=1)
    assert cut_after(365) * 30 == timedelta(days=365)
