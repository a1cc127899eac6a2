"""Random but legal histories: every step is decided by the product's own rules and written to a real log."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from hivelog.events import ids, job
from hivelog.events.batch import Move, Part
from hivelog.events.fingerprint import Failure
from hivelog.events.log import milliseconds
from hivelog.events.read import Event

from .log_writer import LogWriter, end, text
from .simulated_clock import Clock

QUEUES = ("alpha", "beta")
TYPES = ("mail", "report")
_EVENTS = """
    select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size,
        correlation, data
    from hivelog.events order by position
"""
_FAILURES = (
    Failure("ValueError", "f00d", "bad value <n>"),
    Failure("OSError", "cafe", "disk <s>"),
)


@dataclass
class History:
    """Plays steps; a step is four small numbers, which choose what happens to whom."""

    log: LogWriter
    clock: Clock
    jobs: list[bytes] = field(default_factory=list)
    names: Any = field(default_factory=lambda: itertools.count(1))

    def play(self, steps: list[tuple[int, int, int, int]]) -> None:
        for name in QUEUES:
            self.log.queue(name, max_workers=None)
        for worker in ("one", "two"):
            self.log.session(worker, list(QUEUES))
        actions = (
            self.enqueue, self.enqueue, self.start, self.start, self.finish, self.finish, self.complete_all,
            self.due, self.command, self.command, self.wait, self.session,
        )  # fmt: skip
        for kind, who, how, much in steps:
            actions[kind % len(actions)](who, how, much)

    def events(self) -> list[Event]:
        return [
            Event(row[0], milliseconds(row[1]), row[2].bytes, *row[3:])
            for row in self.log.conn.execute(_EVENTS).fetchall()
        ]

    def state(self, wanted: bytes) -> job.JobState:
        return job.fold(event for event in self.events() if event.stream == wanted)

    def enqueue(self, who: int, how: int, much: int) -> None:
        now = self.log.now()
        options: dict[str, Any] = {"max_retries": how % 3, "retry_delay": 5}
        if how % 5 == 1:
            options["due"] = now + 1000 * (much % 20)
        if how % 7 == 1:
            options["expires_at"] = text(now + 30_000)
        if how % 4 == 1:
            options |= {"tags": ["a", "b"], "source": "app", "correlation": f"c{who % 3}"}
        made = [
            self.log.enqueue(QUEUES[who % 2], TYPES[(who + n) % 2], priority=100 + 50 * (how % 2), **options)
            for n in range(1 + much % 4)
        ]
        for item in made:
            expires = options.get("expires_at")
            item.expires = now + 30_000 if expires else None
        self.log.append(Part(enqueues=made))
        self.jobs += [item.job for item in made]

    def start(self, who: int, how: int, much: int) -> None:
        self.log.append(Part(starts=self._starts(who, how, 1 + much % 5)))

    def _starts(self, who: int, how: int, most: int) -> list[Any]:
        rows = self.log.conn.execute(
            "select r.job, q.name, t.name, r.priority from hivelog.ready r"
            " join hivelog.queues q on q.id = r.queue"
            " join hivelog.job_types t on t.id = r.type order by r.job limit %s", (most,),
        ).fetchall()  # fmt: skip
        session = self.log.sessions[("one", "two")[who % 2]]
        return [self.log.start(session, q, job_.bytes, t, p) for job_, q, t, p in rows]

    def complete_all(self, who: int, how: int, much: int) -> None:
        """What a worker's turn does: the finished of the last and the starts of the next, in one append."""
        leases = self.log.conn.execute("select job, token from hivelog.leases").fetchall()
        ends = [end(job_, token, "completed", b"{}") for job_, token in leases]
        self.log.append(Part(ends=ends, starts=self._starts(who, how, much % 6)))

    def finish(self, who: int, how: int, much: int) -> None:
        leases = self.log.conn.execute("select job from hivelog.leases order by token").fetchall()
        if not leases:
            return
        state = self.state(leases[who % len(leases)][0].bytes)
        assert state.token is not None
        outcomes = ("completed", "failed", "timeout", "lost", "released", "retry", "cancelled", "failed")
        outcome = outcomes[how % len(outcomes)]
        cause = "payload" if outcome == "failed" and much % 5 == 0 else None
        failure = _FAILURES[much % 2] if outcome in ("failed", "retry") and much % 3 else None
        command = job.EndAttempt(state.token, outcome, cause=cause, failure=failure)  # type: ignore[arg-type]
        decision = job.decide(state, command, self.log.now())
        if not isinstance(decision, job.Decision):
            return
        data = msgspec.json.decode(decision.encoded) if decision.encoded else {}
        body = b'"sealed text"' if decision.event in ("completed", "retry_scheduled", "failed") else None
        made = end(UUID(bytes=state.id), state.token, decision.event, body)
        made.due, made.retry = decision.due_at, decision.retry
        made.data = msgspec.json.encode(data) if data else None
        self.log.append(Part(ends=[made]))

    def due(self, who: int, how: int, much: int) -> None:
        """What the scheduler does."""
        for state in self._waiting():
            self._move(state, job.decide(state, job.DueNow(), self.log.now()))

    def _waiting(self) -> list[job.JobState]:
        rows = self.log.conn.execute("select job from hivelog.pending order by job").fetchall()
        return [self.state(row[0].bytes) for row in rows]

    def command(self, who: int, how: int, much: int) -> None:
        if not self.jobs:
            return
        state, now = self.state(self.jobs[who % len(self.jobs)]), self.log.now()
        commands: tuple[Any, ...] = (
            job.Cancel(), job.Retry(), job.Erase(), job.Expire(),
            job.Reschedule(priority=10 * (much % 3) + 5),
            job.Reschedule(scheduled_for=now + 1000 * (much % 9 - 3)),
            job.Progress(state.token or 0, float(much % 100)),
        )  # fmt: skip
        self._move(state, job.decide(state, commands[how % len(commands)], now))

    def _move(self, state: job.JobState, decision: job.Answer) -> None:
        if not isinstance(decision, job.Decision):
            return
        move = Move(
            job=ids.to_text(state.id), event=decision.event, source=decision.source,
            target=decision.target, version=state.version, actor=self.log.actor, queue=state.queue,
            type=self.log.type(state.spec.type), priority=state.priority, token=state.token,
            due_at=None if state.due_at is None else text(state.due_at),
            new_priority=decision.priority, retry=decision.retry,
            new_due_at=None if decision.due_at is None else text(decision.due_at),
            data=None if decision.encoded is None else msgspec.Raw(decision.encoded),
        )  # fmt: skip
        if decision.source == "ended":
            move.attempt, move.enqueued, move.size = state.attempt, state.enqueued, state.size
            move.expires_at = None if state.expires_at is None else text(state.expires_at)
            move.spec = msgspec.Raw(msgspec.json.encode(state.spec))
            move.retry = state.retry if decision.retry is None else decision.retry
        self.log.append(Part(moves=[move]))

    def wait(self, who: int, how: int, much: int) -> None:
        self.clock.advance((0.001, 0.25, 7, 61, 3700)[how % 5])

    def session(self, who: int, how: int, much: int) -> None:
        """A worker comes, or one that never works goes."""
        name = f"guest{next(self.names) // 2}"
        if name not in self.log.sessions:
            self.log.session(name, [QUEUES[who % 2]], slots=1 + much % 3)
        else:
            self.log.stop_session(name, reason="done" if how % 2 else None)
