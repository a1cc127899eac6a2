"""What `decide` says, written with the real append: the fold of a stream is its live row."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hivelog.events import ids, job, spec, times, types
from hivelog.events.batch import End, Enqueue, Move, Outcome, Part, Record, Start
from hivelog.events.log import Log, milliseconds
from hivelog.events.queue import QueueConfig
from hivelog.events.read import Event

from .conftest import Clock

CONFIG = QueueConfig(max_retries=2, retry_delay=5)
EVERYTHING = {
    "enqueued", "queued", "started", "progressed", "completed", "retry_scheduled", "failed", "expired",
    "cancel_requested", "cancelled", "lost", "released", "requeued", "rescheduled", "payload_erased",
}  # fmt: skip
_EVENTS = """
select position, recorded_at, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events where stream = %s order by version
"""
_LIVE = """
select 'pending', version, attempt, retry, queue, priority, due_at, expires_at, enqueued, null::bigint,
    null::integer, null::boolean from hivelog.pending where job = %(job)s
union all
select 'ready', version, attempt, retry, queue, priority, null, expires_at, enqueued, null, null, null
    from hivelog.ready where job = %(job)s
union all
select 'lease', version, attempt, retry, queue, priority, null, expires_at, enqueued, token, session,
    cancelling is not null from hivelog.leases where job = %(job)s
"""


class Walk:
    """A few jobs, and one command after another."""

    def __init__(self, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.log = Log(url)
        self.conn: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self.jobs = ids.mint_many(4)
        self.seen: set[str] = set()

    async def prepare(self) -> None:
        await self.log.open()
        one = self.one
        self.queue = one("select hivelog.queue_id('walk', %s)", uuid4())
        stream = one("select stream from hivelog.queues where id = %s", self.queue)
        self.type = one("select id from hivelog.type_ids(array['t'])")
        self.session = one("select hivelog.actor_id('worker:walk')")
        worker = types.WorkerStarted("w", "h", 1, ("walk",), ("t",), 4, 5, 20)
        records = [
            self.record(stream, "queue_configured", CONFIG, self.queue),
            self.record(uuid4(), "worker_started", worker, None),
        ]
        await self.append(Part(records=records))
        await self.append(Part(enqueues=[self.enqueue(key) for key in self.jobs]))

    def one(self, query: str, *values: object) -> Any:
        row = self.conn.execute(query, values).fetchone()
        assert row is not None
        return row[0]

    def now(self) -> int:
        return milliseconds(self.one("select hivelog.now()"))

    def record(self, stream: UUID, event: str, data: msgspec.Struct, queue: int | None) -> Record:
        text = types.encode(data)
        assert text is not None
        return Record(str(stream), event, self.session, queue=queue, data=msgspec.Raw(text))

    def enqueue(self, key: bytes) -> Enqueue:
        now = self.now()
        options = self.random.choice(
            [{}, {"scheduled_for": now + 4000}, {"expires_at": now + 60_000}]
        )  # fmt: skip
        texts = {name: times.to_text(at) for name, at in options.items()}
        prepared = spec.prepare("t", CONFIG, texts)
        return Enqueue(
            key, self.queue, self.type, prepared.spec.priority, self.session, prepared.encoded,
            2, b"d" * 32, b"s" * 16, b"{}", prepared.due_at, prepared.expires_at,
        )  # fmt: skip

    async def append(self, part: Part) -> Outcome:
        appended = await self.log.append([part])
        outcome = appended.outcomes[0]
        assert outcome.refused == {}
        return outcome

    def state(self, key: bytes) -> job.JobState:
        rows = self.conn.execute(_EVENTS, [UUID(bytes=key)]).fetchall()
        events = [Event(row[0], milliseconds(row[1]), key, *row[2:]) for row in rows]
        self.seen |= {event.type for event in events}
        return job.fold(events)

    def command(self, state: job.JobState) -> job.Command:
        choose, now = self.random.choice, self.now()
        token = state.token or 1
        outcomes: list[Any] = [
            "completed", "failed", "timeout", "lost", "released", "retry", "cancelled",
        ]  # fmt: skip
        return choose(
            [
                job.EndAttempt(token, choose(outcomes), choose([None, "payload"])),
                job.EndAttempt(token, choose(outcomes[1:5])),
                job.EndAttempt(token, "failed", choose(["payload", "result"])),
                job.DueNow(),
                job.DueNow(),
                job.Expire(),
                choose([job.Cancel(), job.Retry("ada"), job.Erase()]),
                job.Retry(),
                job.Progress(token, 50),
                job.Reschedule(choose([None, 5, 700]), choose([None, now - 1, now + 5000])),
            ]
        )

    async def step(self, key: bytes) -> None:
        state = self.state(key)
        if state.status == "queued" and self.random.random() < 0.5:
            start = Start(self.session, self.queue, self.type, state.priority, key)
            if state.expires_at is None or state.expires_at > self.now():
                await self.append(Part(starts=[start]))
        elif isinstance(answer := job.decide(state, self.command(state), self.now()), job.Decision):
            await self.append(self.part(state, answer))
        after = self.state(key)
        self.compare(after)
        if after.status == "completed" or after.erased:
            # Nothing more can happen to it: another takes its place.
            self.jobs[self.jobs.index(key)] = fresh = ids.mint()
            await self.append(Part(enqueues=[self.enqueue(fresh)]))
            self.compare(self.state(fresh))

    def part(self, state: job.JobState, step: job.Decision) -> Part:
        if step.source == "lease" and step.target != "lease":
            assert state.token is not None
            end = End(
                state.id, state.token, step.event, None, step.due_at, step.retry, step.encoded
            )
            return Part(ends=[end])
        return Part(moves=[self.move(state, step)])

    def move(self, state: job.JobState, step: job.Decision) -> Move:
        move = Move(
            ids.to_text(state.id), step.event, step.source, step.target, state.version, self.session,
            queue=state.queue, type=self.type, priority=state.priority, token=state.token,
            due_at=_text(state.due_at), new_due_at=_text(step.due_at), new_priority=step.priority,
            retry=step.retry, attempt=state.attempt, enqueued=state.enqueued, size=state.size,
            data=None if step.encoded is None else msgspec.Raw(step.encoded),
            spec=msgspec.Raw(msgspec.json.encode(state.spec)),
        )  # fmt: skip
        unbound = isinstance(step.data, types.Requeued) and step.data.unbound
        move.expires_at = None if unbound else _text(state.expires_at)
        return move

    def compare(self, state: job.JobState) -> None:
        rows = self.conn.execute(_LIVE, {"job": UUID(bytes=state.id)}).fetchall()
        if state.status in job.ENDED:
            assert rows == []
            return
        [row] = rows
        due, expires = (None if at is None else milliseconds(at) for at in row[6:8])
        assert (*row[:6], due, expires, *row[8:11], bool(row[11])) == (
            state.table, state.version, state.attempt, state.retry, state.queue, state.priority,
            state.due_at, state.expires_at, state.enqueued, state.token, state.session,
            state.cancelling,
        )  # fmt: skip


def _text(instant: int | None) -> str | None:
    return None if instant is None else times.to_text(instant)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_fold_is_the_live_row_after_every_step(
    database: str, clock: Clock, seed: int
) -> None:
    walk = Walk(database, seed)
    try:
        await walk.prepare()
        steps = 0
        # Until everything has happened: a walk that goes nowhere proves nothing.
        while steps < 150 or (EVERYTHING - walk.seen and steps < 3000):
            steps += 1
            await walk.step(walk.random.choice(walk.jobs))
            if walk.random.random() < 0.2:
                clock.advance(walk.random.choice([0.5, 5, 20]))
        assert EVERYTHING - walk.seen == set()
    finally:
        walk.conn.close()
        await walk.log.close()
