"""What people and programs may do to jobs and queues, on the real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hivelog.broker.backend import Backend
from hivelog.broker.enqueue import Item
from hivelog.broker.errors import Rejected
from hivelog.broker.jobs import load
from hivelog.broker.sessions import Sessions
from hivelog.events.batch import End, Part, Start, Started
from hivelog.events.keyring import Keyring
from hivelog.events.queue import DEFAULT_QUEUES
from hivelog.events.vault import Vault

ACTOR = "user:test"


@pytest.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    async with Backend.open(database) as opened:
        await opened.queues.create_default_queues()
        yield opened


async def state(backend: Backend, job: bytes) -> Any:
    async with backend.pool.connection() as connection:
        return (await load(connection, [job])).jobs[job]


async def start(backend: Backend, url: str, job: bytes) -> Started:
    """A worker session that runs the job."""
    session = await Sessions(backend.appender, backend.names, url).open(
        "w", ["default"], ["mail"], 1, host="h", pid=1
    )
    found = await state(backend, job)
    kind = await backend.names.type_id(found.spec.type)
    part = Part(starts=[Start(session.id, found.queue, kind, found.priority, job)])
    return (await backend.appender.submit(part)).started[0]


async def rejected(awaitable: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await awaitable
    return caught.value


def rows(url: str, query: str, *parameters: object) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(query, parameters).fetchall()


# -- enqueue -------------------------------------------------------------------------------------------------


async def test_a_job_takes_its_queues_defaults_and_its_own_options(backend: Backend) -> None:
    accepted = await backend.enqueuer.enqueue(
        "reports", "monthly", {"a": 1}, actor=ACTOR, priority=7, tags=["x"], correlation_id="c-1"
    )
    found = await state(backend, accepted.job)
    assert found.status == "queued"
    assert (found.priority, found.spec.max_retries, found.spec.timeout) == (7, 2, 1800)
    assert (found.spec.tags, found.correlation) == (("x",), "c-1")
    assert found.position == accepted.position


async def test_a_scheduled_job_waits(backend: Backend) -> None:
    accepted = await backend.enqueuer.enqueue(
        "default", "mail", {}, actor=ACTOR, scheduled_for="2999-01-01T00:00:00Z"
    )
    assert (await state(backend, accepted.job)).status == "pending"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"x": "\0"}, "invalid_field"),
        ({"\0": 1}, "invalid_field"),
        ({"x": float("nan")}, "invalid_field"),
        ({"x": object()}, "invalid_field"),
        ({"x": "\ud800"}, "invalid_field"),
        ({"x": "y" * 2_000_000}, "too_large"),
        (msgspec.Raw(b"[" * 65 + b"]" * 65), "invalid_field"),
        (msgspec.Raw(b"[" * 100_000 + b"]" * 100_000), "invalid_field"),
        (msgspec.Raw(b'{"x": '), "invalid_json"),
    ],
)
async def test_what_cannot_be_a_payload_is_refused_and_leaves_nothing(
    backend: Backend, database: str, payload: object, code: str
) -> None:
    error = await rejected(backend.enqueuer.enqueue("default", "mail", payload, actor=ACTOR))
    assert error.code == code
    assert rows(database, "select count(*) from hivelog.vault") == [(0,)]


@pytest.mark.parametrize(
    "payload",
    [None, 0, "null", [], {"x": None}, {"x": "\\u0000"}, msgspec.Raw(b"[" * 64 + b"]" * 64)],
)
async def test_any_other_json_is_a_payload(backend: Backend, database: str, payload: object) -> None:
    accepted = await backend.enqueuer.enqueue("default", "mail", payload, actor=ACTOR)
    query = "select body from hivelog.vault where job = %s and slot = 0"
    (body,) = rows(database, query, UUID(bytes=accepted.job))[0]
    assert body == msgspec.json.encode(payload)


async def test_unknown_queues_and_bad_options_are_refused(backend: Backend) -> None:
    enqueue = backend.enqueuer.enqueue
    assert (await rejected(enqueue("nowhere", "mail", {}, actor=ACTOR))).code == "unknown_queue"
    error = await rejected(enqueue("default", "mail", {}, actor=ACTOR, priority="high"))
    assert (error.code, error.detail["field"]) == ("invalid_field", "priority")
    assert (await rejected(enqueue("default", "a b", {}, actor=ACTOR))).code == "invalid_field"


async def test_a_bulk_is_all_or_nothing(backend: Backend, database: str) -> None:
    items = [Item("default", "mail", {"n": n}) for n in range(100)]
    error = await rejected(
        backend.enqueuer.enqueue_many([*items, Item("nowhere", "mail", {})], actor=ACTOR)
    )
    assert (error.code, error.detail["index"]) == ("unknown_queue", 100)
    assert rows(database, "select count(*) from hivelog.ready") == [(0,)]
    accepted = await backend.enqueuer.enqueue_many(items, actor=ACTOR)
    assert accepted.jobs == sorted(accepted.jobs)
    assert rows(database, "select count(*), max(enqueued) from hivelog.ready") == [
        (100, accepted.position)
    ]


async def test_the_bounds_of_a_bulk(backend: Backend) -> None:
    many = backend.enqueuer.enqueue_many
    item = Item("default", "mail", {})
    assert (await rejected(many([item] * 10_001, actor=ACTOR))).code == "too_large"
    assert (await rejected(many([], actor=ACTOR))).code == "invalid_field"
    heavy = Item("default", "mail", "x" * 1_000_000)
    assert (await rejected(many([heavy] * 17, actor=ACTOR))).code == "too_large"
    assert len((await many([heavy] * 5, actor=ACTOR)).jobs) == 5


# -- jobs ----------------------------------------------------------------------------------------------------


async def test_cancelling_a_waiting_job_ends_it(backend: Backend) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    done = await backend.jobs.cancel(job, actor=ACTOR, reason="not needed")
    assert (done.status, done.event) == ("cancelled", "cancelled")
    assert (await rejected(backend.jobs.cancel(job, actor=ACTOR))).code == "already_finished"


async def test_cancelling_a_running_job_asks_it_to_stop_once(backend: Backend, database: str) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    await start(backend, database, job)
    first = await backend.jobs.cancel(job, actor=ACTOR)
    again = await backend.jobs.cancel(job, actor=ACTOR)
    assert (first.status, first.event) == ("cancelling", "cancel_requested")
    assert (again.status, again.event) == ("cancelling", None)
    assert again.position == first.position


async def test_a_cancelling_job_may_still_complete(backend: Backend, database: str) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    lease = await start(backend, database, job)
    await backend.jobs.cancel(job, actor=ACTOR)
    outcome = await backend.appender.submit(Part(ends=[End(job, lease.token, "completed")]))
    assert not outcome.refused
    assert (await state(backend, job)).status == "completed"


async def test_retry_runs_an_ended_job_again_with_another_payload(
    backend: Backend, database: str
) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {"n": 1}, actor=ACTOR)).job
    assert (await rejected(backend.jobs.retry(job, actor=ACTOR))).code == "not_finished"
    await backend.jobs.cancel(job, actor=ACTOR)
    done = await backend.jobs.retry(job, actor=ACTOR, payload={"n": 2})
    assert done.status == "queued"
    bodies = rows(
        database, "select slot, body from hivelog.vault where job = %s order by 1", UUID(bytes=job)
    )
    assert bodies == [(0, b'{"n":2}'), (5, b'{"n":1}')]
    lease = await start(backend, database, job)
    assert lease.body == b'{"n":2}'


async def test_retry_in_a_queue_that_another_process_has_just_deleted_says_so(
    backend: Backend, database: str
) -> None:
    await backend.queues.configure("letters", {}, actor=ACTOR)
    job = (await backend.enqueuer.enqueue("letters", "mail", {}, actor=ACTOR)).job
    await backend.jobs.cancel(job, actor=ACTOR)
    async with Backend.open(database) as other:
        await backend.names.refresh()  # remembered as it was
        await other.queues.delete("letters", actor=ACTOR)
        error = await rejected(backend.jobs.retry(job, actor=ACTOR))
    assert (error.code, error.detail.get("queue")) == ("conflict", "letters")
    assert "was deleted" in str(error)


async def test_reschedule_changes_priority_and_time_of_a_waiting_job(backend: Backend) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    assert (await backend.jobs.reschedule(job, actor=ACTOR, priority=9)).status == "queued"
    later = "2999-01-01T00:00:00Z"
    assert (await backend.jobs.reschedule(job, actor=ACTOR, scheduled_for=later)).status == "pending"
    found = await state(backend, job)
    assert (found.priority, found.status) == (9, "pending")
    same = await backend.jobs.reschedule(job, actor=ACTOR, scheduled_for=later)
    assert same.event is None
    error = await rejected(backend.jobs.reschedule(job, actor=ACTOR, priority=-1))
    assert error.code == "invalid_field"


async def test_commands_on_one_job_at_once_make_one_legal_history(backend: Backend) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    await asyncio.gather(
        *(backend.jobs.cancel(job, actor=ACTOR) for _ in range(4)),
        *(backend.jobs.reschedule(job, actor=ACTOR, priority=n) for n in range(4)),
        return_exceptions=True,
    )
    found = await state(backend, job)
    assert found.status in {"cancelled", "queued"}
    await asyncio.gather(
        *(backend.jobs.cancel(job, actor=ACTOR) for _ in range(4)), return_exceptions=True
    )
    assert (await state(backend, job)).status == "cancelled"


async def test_an_unknown_job_is_not_found(backend: Backend) -> None:
    assert (await rejected(backend.jobs.cancel(bytes(16), actor=ACTOR))).code == "not_found"


async def test_reasons_are_sealed_when_encryption_is_on(database: str) -> None:
    ring = Keyring([b"k" * 32])
    with psycopg.connect(database, autocommit=True) as conn:
        row = conn.execute("select hivelog.kek_id(%s)", (ring.first.fingerprint,)).fetchone()
        assert row is not None
        ring.set_number(ring.first, row[0])
    async with Backend.open(database, vault=Vault(ring)) as backend:
        await backend.queues.create_default_queues()
        job = (await backend.enqueuer.enqueue("default", "mail", {"secret": 1}, actor=ACTOR)).job
        await backend.jobs.cancel(job, actor=ACTOR, reason="a secret reason")
        await backend.queues.pause("default", actor=ACTOR, reason="a secret reason")
        bodies = rows(database, "select body from hivelog.vault")
        assert len(bodies) == 4  # payload and reason; the queue's key row and reason
        assert not any(b"secret" in body for (body,) in bodies)


# -- queues --------------------------------------------------------------------------------------------------


async def test_the_queues_out_of_the_box_are_made_once(database: str) -> None:
    async with Backend.open(database) as one, Backend.open(database) as two:
        made = await asyncio.gather(
            one.queues.create_default_queues(), two.queues.create_default_queues()
        )
        assert sorted(made[0] + made[1]) == sorted(DEFAULT_QUEUES)
        found = await one.queues.state("reports")
        assert found.config == DEFAULT_QUEUES["reports"]
        await one.queues.delete("background", actor=ACTOR)
        assert await two.queues.create_default_queues() == []
        assert (await rejected(two.queues.state("background"))).code == "unknown_queue"


async def test_configure_creates_and_changes_with_a_version(backend: Backend) -> None:
    made = await backend.queues.configure("mails", {"priority": 5}, actor=ACTOR, expected_version=0)
    assert (made.config.priority, made.config.retry_backoff, made.version) == (5, "exponential", 1)
    changed = await backend.queues.configure("mails", {"max_workers": 3}, actor=ACTOR)
    assert (changed.config.priority, changed.config.max_workers, changed.version) == (5, 3, 2)
    same = await backend.queues.configure("mails", {"max_workers": 3}, actor=ACTOR)
    assert same.version == 2
    stale = backend.queues.configure("mails", {"priority": 6}, actor=ACTOR, expected_version=1)
    assert (await rejected(stale)).code == "conflict"
    bad = backend.queues.configure("Mails!", {}, actor=ACTOR)
    assert (await rejected(bad)).code == "invalid_field"


async def test_concurrent_changes_of_different_fields_all_stay(backend: Backend) -> None:
    await asyncio.gather(
        backend.queues.configure("default", {"priority": 1}, actor=ACTOR),
        backend.queues.configure("default", {"max_retries": 9}, actor=ACTOR),
        backend.queues.configure("default", {"max_workers": None}, actor=ACTOR),
    )
    config = (await backend.queues.state("default")).config
    assert (config.priority, config.max_retries, config.max_workers) == (1, 9, None)


async def test_pause_and_resume_write_one_event_each(backend: Backend, database: str) -> None:
    first = await backend.queues.pause("default", actor=ACTOR)
    assert await backend.queues.pause("default", actor=ACTOR) == first
    assert (await backend.queues.state("default")).paused
    await backend.queues.resume("default", actor=ACTOR)
    assert rows(
        database, "select type::text from hivelog.events where type in ('paused', 'resumed')"
    ) == [("paused",), ("resumed",)]


async def test_only_an_empty_queue_goes(backend: Backend) -> None:
    job = (await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)).job
    assert (await rejected(backend.queues.delete("default", actor=ACTOR))).code == "conflict"
    await backend.jobs.cancel(job, actor=ACTOR)
    await backend.queues.delete("default", actor=ACTOR)
    enqueue = backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)
    assert (await rejected(enqueue)).code == "unknown_queue"
    again = await backend.queues.configure("default", {}, actor=ACTOR)
    assert again.config.max_retries == 3
    await backend.enqueuer.enqueue("default", "mail", {}, actor=ACTOR)


# -- configuration -------------------------------------------------------------------------------------------


async def test_configuration_is_checked_recorded_and_used(backend: Backend, database: str) -> None:
    changed = await backend.configuration.change(
        {"max_message_size": 2048, "queue_defaults": {"max_retries": 1}}, actor=ACTOR
    )
    assert changed.max_message_size == 2048
    async with Backend.open(database) as other:
        assert (await other.configuration.current()).max_message_size == 2048
        too_large = other.enqueuer.enqueue("default", "mail", "x" * 3000, actor=ACTOR)
        assert (await rejected(too_large)).code == "too_large"
        assert (await other.queues.configure("new", {}, actor=ACTOR)).config.max_retries == 1
    query = "select count(*) from hivelog.events where type = 'config_changed'"
    assert rows(database, query) == [(1,)]


async def test_persistence_cannot_be_switched_off(backend: Backend) -> None:
    both = {"job_persistence": True, "backup_to_db": True}
    assert (await backend.configuration.change(both, actor=ACTOR)).job_persistence
    error = await rejected(backend.configuration.change({"backup_to_db": False}, actor=ACTOR))
    assert error.code == "invalid_field"
    assert "cannot be switched off" in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"nonsense": 1},
        {"retention_days": 0},
        {"max_message_size": "big"},
        {"queue_defaults": {"priority": 5000}},
        {"scaling": {"min": 5, "max": 1}},
        {"notifications": {"enabled": "yes"}},
    ],
)
async def test_bad_configuration_is_refused(backend: Backend, changes: dict[str, object]) -> None:
    assert (await rejected(backend.configuration.change(changes, actor=ACTOR))).code == "invalid_field"
