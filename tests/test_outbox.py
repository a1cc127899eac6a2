"""Jobs enqueued by SQL: in the caller's transaction or not at all, and each in the log once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hivelog.events import ids, outbox, pool
from hivelog.events.appender import Appender
from hivelog.events.batch import Part, Record
from hivelog.events.keyring import Keyring
from hivelog.events.log import Log
from hivelog.events.names import Names
from hivelog.events.outbox import Relay
from hivelog.events.pool import Connection
from hivelog.events.queue import QueueConfig
from hivelog.events.spec import prepare
from hivelog.events.vault import Vault

ENQUEUE = "select hivelog.enqueue(%s, %s, %s::jsonb, %s::jsonb)"


@dataclass
class System:
    """A log with the queue `reports`, and what a relay needs."""

    url: str
    conn: Connection
    names: Names
    appender: Appender

    def relay(self, vault: Vault | None = None) -> Relay:
        return Relay(self.url, self.names, vault or Vault(None), self.appender.submit)

    async def value(self, query: str, *parameters: object) -> Any:
        cursor = await self.conn.execute(query, parameters)
        row = await cursor.fetchone()
        return row[0] if row and len(row) == 1 else row

    async def enqueue(
        self, payload: Any = None, options: str = "{}", queue: str = "reports", type_: str = "render"
    ) -> UUID:
        text = msgspec.json.encode({} if payload is None else payload).decode()
        found: UUID = await self.value(ENQUEUE, queue, type_, text, options)
        return found

    async def record(self, stream: bytes, event: str, data: object, queue: int | None = None) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(data))
        actor = await self.names.actor_id("test")
        record = Record(str(UUID(bytes=stream)), event, actor, queue=queue, data=encoded)
        outcome = await self.appender.submit(Part(records=[record]))
        assert outcome.refused == {}

    async def configure(self, name: str, config: QueueConfig) -> None:
        number, stream = await self.names.new_queue(name)
        await self.record(stream, "queue_configured", config, number)
        self.names.forget_queues()

    async def jobs(self) -> list[UUID]:
        query = "select stream from hivelog.events where type = 'enqueued' order by position"
        return [row[0] for row in await (await self.conn.execute(query)).fetchall()]


@pytest.fixture
async def system(database: str) -> AsyncIterator[System]:
    reads = pool.make_pool(database)
    await reads.open()
    conn = await pool.connect(database, "test")
    appender = Appender(Log(database))
    await appender.start()
    made = System(database, conn, Names(reads), appender)
    await made.configure("reports", QueueConfig(priority=200, max_retries=2, timeout=1800))
    yield made
    await appender.stop()
    await conn.close()
    await reads.close()


async def test_a_job_from_sql_becomes_an_event(system: System) -> None:
    options = '{"priority": 300, "tags": ["a", "b"], "correlation_id": "r-1", "timeout": null}'
    job = await system.enqueue({"user": "u1", "amount": 12345678901234567890}, options)
    assert ids.to_text(job.bytes) == str(job)
    assert await system.relay().relay(system.conn) == 1
    spec, correlation, actor, version = await system.value(
        "select e.data, e.correlation, a.name, e.version from hivelog.events e "
        "join hivelog.actors a on a.id = e.actor where e.stream = %s",
        job,
    )
    assert (spec["priority"], spec["max_retries"], spec["tags"]) == (300, 2, ["a", "b"])
    assert "timeout" not in spec or spec["timeout"] is None
    assert (correlation, version) == ("r-1", 1)
    assert actor == f"sql:{system.conn.info.user}"
    body = await system.value("select body from hivelog.vault where job = %s", job)
    assert bytes(body) == b'{"user":"u1","amount":12345678901234567890}'
    assert await system.value("select job from hivelog.ready") == job
    assert await system.value("select count(*) from hivelog.outbox") == 0


async def test_a_rolled_back_transaction_enqueues_nothing(system: System) -> None:
    async with system.conn.transaction(force_rollback=True):
        await system.enqueue()
        assert await system.value("select count(*) from hivelog.outbox") == 1
    assert await system.relay().relay(system.conn) == 0
    assert await system.jobs() == []


async def test_jobs_of_one_transaction_keep_their_order(system: System) -> None:
    async with system.conn.transaction():
        made = [await system.enqueue(number) for number in range(300)]
    assert made == sorted(made)
    assert await system.relay().relay(system.conn) == 300
    assert await system.jobs() == made


async def test_two_relays_at_once_append_each_job_once(system: System) -> None:
    other = await pool.connect(system.url, "test 2")
    appender = Appender(Log(system.url))
    await appender.start()
    twin = Relay(system.url, system.names, Vault(None), appender.submit)
    made = [await system.enqueue(number) for number in range(700)]
    await asyncio.gather(system.relay().relay(system.conn), twin.relay(other), return_exceptions=False)
    await system.relay().relay(system.conn)
    assert sorted(await system.jobs()) == made
    assert await system.value("select count(*) from hivelog.outbox") == 0
    assert await system.value("select count(*) from hivelog.outbox_refused") == 0
    marks = "select ready from hivelog.queue_marks order by position desc limit 1"
    assert await system.value(marks) == 700
    # Whoever won: the body that is kept is the one whose digest the event has.
    bad = (
        "select count(*) from hivelog.events e join hivelog.vault v on v.job = e.stream "
        "where e.type = 'enqueued' and e.body_digest <> sha256(v.salt || v.body)"
    )
    assert await system.value(bad) == 0
    await appender.stop()
    await other.close()


async def test_the_running_relay_wakes_up_and_takes_over(system: System) -> None:
    first, second = (asyncio.create_task(system.relay().run()) for _ in range(2))
    made = [await system.enqueue()]
    try:
        await until(system, 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        made.append(await system.enqueue())
        await until(system, 2)
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert await system.jobs() == made


async def until(system: System, count: int) -> None:
    async with asyncio.timeout(15):
        while len(await system.jobs()) < count:
            await asyncio.sleep(0.02)


async def test_refused_jobs_are_kept_where_people_see_them(system: System) -> None:
    await system.configure("short", QueueConfig())
    good, lost = await system.enqueue(), await system.enqueue({"a": 1}, queue="short")
    await system.configure("short", QueueConfig(deleted=True))
    assert await system.relay().relay(system.conn) == 2
    assert await system.jobs() == [good]
    row = await system.value("select id, code, payload, queue from hivelog.outbox_refused")
    assert row == (lost, "unknown_queue", {"a": 1}, "short")
    now = await outbox.status(system.conn)
    assert (now.waiting, now.oldest_seconds, now.refused) == (0, None, 1)


async def test_a_queue_deleted_under_the_relay_refuses_in_the_append(system: System) -> None:
    await system.configure("short", QueueConfig())
    lost = await system.enqueue({"a": 1}, queue="short")
    assert await system.names.queue("short") is not None  # cached from here on
    await system.conn.execute("select 1")
    number = (await system.names.queue("short")).id  # type: ignore[union-attr]
    stream = (await system.names.queue("short")).stream  # type: ignore[union-attr]
    await system.record(stream, "queue_configured", QueueConfig(deleted=True), number)
    assert await system.relay().relay(system.conn) == 1
    assert await system.value("select id, code from hivelog.outbox_refused") == (lost, "unknown_queue")
    assert await system.value("select count(*) from hivelog.vault") == 0


async def test_the_same_key_is_the_same_job(system: System) -> None:
    key = '{"idempotency_key": "order-7"}'
    first = await system.enqueue({"a": 1}, key)
    assert await system.enqueue({"a": 1}, key) == first  # still in the outbox
    assert await system.relay().relay(system.conn) == 1
    assert await system.enqueue({"a": 1}, key) == first  # in the log
    assert await system.value("select count(*) from hivelog.outbox") == 0
    with pytest.raises(psycopg.Error, match="idempotency_mismatch") as caught:
        await system.enqueue({"a": 2}, key)
    assert caught.value.sqlstate == "HL014"
    assert await system.jobs() == [first]


async def test_the_same_key_at_the_same_time_is_the_same_job(system: System) -> None:
    other = await pool.connect(system.url, "test 2")
    await system.conn.set_autocommit(False)
    first = await system.enqueue({}, '{"idempotency_key": "k"}')
    second = asyncio.create_task(
        other.execute(ENQUEUE, ("reports", "render", "{}", '{"idempotency_key": "k"}'))
    )
    async with asyncio.timeout(10):  # it waits for the first transaction
        while not await blocked(system.url):
            await asyncio.sleep(0.02)
    await system.conn.commit()
    assert await (await second).fetchone() == (first,)
    await other.close()


async def blocked(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as conn:
        cursor = await conn.execute(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return await cursor.fetchone() is not None


BAD = [
    ("{}", "nowhere", "render", "HL010"),
    ("{}", "reports", "no spaces", "HL011"),
    ("{}", "reports", "", "HL011"),
    ("[]", "reports", "render", "HL011"),
    ('{"x": 1}', "reports", "render", "HL011"),
    ('{"created_at": "2030-01-01T00:00:00Z"}', "reports", "render", "HL011"),
]
OPTIONS: list[tuple[str, object]] = [
    ("priority", 1001), ("priority", -1), ("priority", 1.5), ("priority", "1"), ("priority", True),
    ("priority", 10**12), ("priority", 0), ("priority", 1000), ("priority", None),
    ("max_retries", 1001), ("max_retries", 1000), ("retry_delay", 2592001), ("retry_delay", 0),
    ("retry_backoff", "linear"), ("retry_backoff", "exponential"), ("timeout", 0), ("timeout", 604800),
    ("timeout", None), ("scheduled_for", "tomorrow"), ("scheduled_for", "2030-13-01T00:00:00Z"),
    ("scheduled_for", "2030-01-31T09:00:00"), ("scheduled_for", "2030-01-31T09:00:00.5+02:00"),
    ("scheduled_for", 5), ("scheduled_for", "1969-12-31T23:59:59Z"), ("expires_at", "2030-02-30T00:00:00Z"),
    ("expires_at", "2031-01-01T00:00:00Z"), ("source", ""), ("source", "x" * 200), ("source", "x" * 201),
    ("correlation_id", "é" * 200), ("correlation_id", 7), ("tags", "a"), ("tags", ["a"] * 20),
    ("tags", ["a"] * 21), ("tags", [""]), ("tags", ["x" * 64]), ("tags", ["x" * 65]), ("tags", [1]),
    ("tags", []),
    ("parent_id", "0190163d-8694-739b-aea5-966c26f8ad91"), ("parent_id", str(uuid4())), ("parent_id", "p"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "queue", "type_", "code"), BAD)
async def test_what_cannot_be_is_refused_there_and_then(
    system: System, options: str, queue: str, type_: str, code: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        await system.enqueue({}, options, queue, type_)
    assert caught.value.sqlstate == code
    assert caught.value.diag.message_hint
    assert await system.value("select count(*) from hivelog.outbox") == 0


async def test_sql_and_python_agree_on_every_option(system: System) -> None:
    for name, value in OPTIONS:
        try:
            prepare("render", QueueConfig(), {name: value})
            python = True
        except ValueError:
            python = False
        wrong = await system.value(
            "select hivelog.check_option(%s, %s::jsonb)", name, msgspec.json.encode(value).decode()
        )
        assert (wrong is None) == python, (name, value, wrong)


async def test_expires_at_must_follow_scheduled_for(system: System) -> None:
    times = '{"scheduled_for": "2030-01-02T00:00:00+02:00", "expires_at": "2030-01-01T22:00:00Z"}'
    with pytest.raises(psycopg.Error, match="expires_at must be later"):
        await system.enqueue({}, times)


async def test_a_scheduled_job_waits_in_pending(system: System) -> None:
    job = await system.enqueue({}, '{"scheduled_for": "2999-01-02T03:04:05.678+01:00"}')
    await system.relay().relay(system.conn)
    row = await system.value("select job, due_at = '2999-01-02T02:04:05.678Z' from hivelog.pending")
    assert row == (job, True)


async def test_the_size_limit_is_the_systems(system: System) -> None:
    with pytest.raises(psycopg.Error, match="too_large") as caught:
        await system.enqueue("x" * 1_048_576)
    assert caught.value.sqlstate == "HL012"
    await system.record(uuid4().bytes, "config_changed", {"max_message_size": 2048})
    with pytest.raises(psycopg.Error, match="at most 2048"):
        await system.enqueue("x" * 2048)
    await system.enqueue("x" * 2046)


async def test_large_payloads_are_relayed_in_pieces(system: System) -> None:
    made = [await system.enqueue("x" * 900_000) for _ in range(7)]
    assert await system.relay().relay(system.conn) == 7
    assert await system.jobs() == made


async def test_with_encryption_on_the_outbox_is_closed_unless_opened(system: System) -> None:
    await system.record(uuid4().bytes, "config_changed", {"encryption": True})
    with pytest.raises(psycopg.Error, match="plain text") as caught:
        await system.enqueue({"secret": 1})
    assert caught.value.sqlstate == "HL013"
    await system.record(uuid4().bytes, "config_changed", {"encryption": True, "allow_plaintext_outbox": True})
    job = await system.enqueue({"secret": 1})
    keys = Keyring([b"k" * 32])
    await keys.number(system.conn)
    vault = Vault(keys)
    assert await system.relay(vault).relay(system.conn) == 1
    salt, kek, wrapped, body = await system.value("select salt, kek, wrapped, body from hivelog.vault")
    assert b"secret" not in body
    assert vault.key_of(job.bytes, salt, kek, wrapped).open(0, body) == b'{"secret":1}'


async def test_notify_is_throttled(system: System) -> None:
    listener = await pool.connect(system.url, "test listener")
    await listener.execute("listen hivelog_outbox")
    for number in range(40):
        await system.enqueue(number)
    heard = [note async for note in listener.notifies(timeout=0.5)]
    await listener.close()
    assert 1 <= len(heard) < 20
