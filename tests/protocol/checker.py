"""Holds the simulated system against the model of queue_model.py, at every batch that the log takes.

What it says is a `Violation`: the invariant of DESIGN.md section 9 that broke, and how.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, cast

from hivelog.broker import keys
from hivelog.events import ids
from hivelog.events.batch import Appended, End, Part, Started
from hivelog.events.job import BrokenStream, JobState, evolve
from hivelog.events.read import Event

from ..queue_model import Impossible, Job, QueueModel, Seen
from .process import DEAD_AFTER
from .tables import Tables

if TYPE_CHECKING:
    from .network import SimLog
    from .process import Process
    from .world import World

_LIVE = {"pending": "pending", "queued": "ready", "processing": "leases"}


class Violation(AssertionError):
    """An invariant is broken; `rule` names it."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.world: World | None = None  # for its trace

    @property
    def steps(self) -> int:
        return self.world.loop.steps if self.world is not None else 0


class LiveModel(QueueModel):
    """The model, quick for long histories: few of its jobs are live."""

    def __init__(self) -> None:
        super().__init__(DEAD_AFTER * 1000)
        self.live: dict[bytes, Job] = {}
        self.ended: deque[bytes] = deque(maxlen=5)  # lately

    def of(self, *statuses: str) -> list[Job]:
        return [job for job in self.live.values() if job.status in statuses]

    def take(self, event: Event) -> None:
        data: dict[str, Any] = dict(event.data or {})
        if event.type == "failed":
            data.setdefault("cause", "error")
        self.observe(
            Seen(event.position, event.recorded_at, event.stream, event.version, event.type, event.actor,
                 event.queue, event.attempt, data)
        )  # fmt: skip
        if (job := self.jobs.get(event.stream)) is not None:
            if job.status in _LIVE:
                self.live[job.id] = job
            elif self.live.pop(job.id, None) is not None:
                self.ended.append(job.id)


class Checker:
    """Watches the log, the handlers and the producers. Found something: `violation` says what, first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violation: Violation | None = None
        self.batches = self.handled = self.restored = 0
        self.model = LiveModel()
        self._states: dict[bytes, JobState] = {}
        self._owner: dict[int, Process] = {}
        self._key_of: dict[bytes, bytes] = {}  # idempotency key -> the job that it made
        self._began: set[tuple[int, bytes, int]] = set()
        self.acknowledged: dict[bytes, None] = {}  # in order, unlike a set

    def fail(self, rule: str, text: str) -> None:
        if self.violation is None:
            self.violation = Violation(rule, text)

    def bury(self) -> None:
        """Let go of the processes."""
        self._owner.clear()

    # -- the log -----------------------------------------------------------------------------------------

    def appended(self, appended: Appended, tables: Tables, sender: Process | None) -> None:
        """Every batch, in the moment in which it is written."""
        if self.violation is not None:
            return
        self.batches += 1
        try:
            self._epoch(appended, tables, sender)
            self._ends(appended, sender)
            self._keys(appended)
            self._events(tables.events[appended.first - 1 : appended.head], tables, sender)
            self._tables(tables, {mark.queue for mark in appended.marks})
        except Violation as found:
            self.violation = found
        except Impossible as found:
            self.violation = Violation("the log", str(found))
        except BrokenStream as found:
            self.violation = Violation("the fold", str(found))

    def _epoch(self, appended: Appended, tables: Tables, sender: Process | None) -> None:
        known: tuple[int, int] = (0, 0) if sender is None else cast("SimLog", sender.log).known
        if known[0] == tables.epoch and known[1] >= appended.first:
            raise Violation("who knows more of the log does not append to it", f"{known}, {appended.first}")
        if not self.restored and tables.epoch > 1:
            raise Violation("an epoch ends only when its log lost something", f"epoch {tables.epoch}")

    def _ends(self, appended: Appended, sender: Process | None) -> None:
        for part, outcome in zip(appended.parts, appended.outcomes, strict=True):
            for n, end in enumerate(part.ends):
                if ("e", n) not in outcome.refused:
                    self._end(end, part, sender)

    def _end(self, end: End, part: Part, sender: Process | None) -> None:
        job = self.model.jobs.get(end.job)
        if job is None or job.token != end.token:
            raise Violation("one end a token", f"{end} of {job}")
        assert job.session is not None
        owner = self._owner.get(job.session)
        if end.actor is None and owner is not None and owner is not sender:
            raise Violation("an end by its own session", f"{end} of {job}, by another process")
        if end.event == "lost" and owner is not None and self._trusted(owner):
            raise Violation("a living session is never lost", f"{end} of {job}")

    def _trusted(self, process: Process) -> bool:
        """It lived, was never frozen, and its heartbeats left on time: only the database kept them out."""
        if process.line.dead or process.line.ever_frozen or process.late:
            return False
        return process.started < self._world.loop.now - 2 * DEAD_AFTER

    def _keys(self, appended: Appended) -> None:
        for part, outcome in zip(appended.parts, appended.outcomes, strict=True):
            for key in part.keys:
                for n in range(key.first, key.last + 1):
                    made = part.enqueues[n].job
                    if ("n", n) not in outcome.refused and self._key_of.setdefault(key.key, made) != made:
                        raise Violation("one job a key", f"{ids.to_text(made)} is another one")

    def _events(self, events: list[Event], tables: Tables, sender: Process | None) -> None:
        for event in events:
            if event.type == "worker_started" and sender is not None:
                self._owner[event.actor] = sender
            self._observe(event, tables)
            if event.stream in self.model.jobs:
                self._placed(event.stream, tables)

    def _observe(self, event: Event, tables: Tables) -> None:
        for number in self.model.beats:
            if (row := tables.sessions.get(number)) is not None:
                self.model.beats[number] = row.last_heartbeat
        self.model.take(event)
        if event.stream in self.model.jobs:
            self._states[event.stream] = evolve(self._states.get(event.stream), event)

    def _placed(self, job: bytes, tables: Tables) -> None:
        """The model and the fold of the real rules say the same."""
        state, known = self._states[job], self.model.jobs[job]
        seen = (state.status, state.retry, state.attempt, state.token, state.due_at, state.cancelling)
        told = (known.status, known.retry, known.attempt, known.token, known.due, known.cancelling)
        if seen != told:
            raise Violation("fold and model", f"{seen} is not {told}")

    def _tables(self, tables: Tables, queues: Collection[int]) -> None:
        """Live tables and marks, as the fold has them after the whole batch."""
        for name in ("pending", "ready", "leases"):
            for job, row in getattr(tables, name).items():
                state = self._states[job]
                if _LIVE.get(state.status) != name or row.version != state.version:
                    raise Violation("fold and tables", f"{name} has {row}, the log {state}")
        if len(tables.pending) + len(tables.ready) + len(tables.leases) != len(self.model.live):
            raise Violation("a live job is in one table", "one is missing")
        for queue in queues:
            found = tuple(
                sum(row.queue == queue for row in table.values())
                for table in (tables.pending, tables.ready, tables.leases)
            )
            mark = tables.marks[queue]
            if found != (mark.pending, mark.ready, mark.running):
                raise Violation("marks", f"queue {queue} holds {found}, its mark says {mark}")

    # -- a backup is restored ----------------------------------------------------------------------------

    def restart(self, tables: Tables) -> None:
        """The log lost its tail: what was known of it counts no more."""
        self.restored += 1
        self.model, self._states = LiveModel(), {}
        for event in tables.events:
            self._observe_again(event)
        for number, row in tables.sessions.items():
            self.model.beats[number] = row.last_heartbeat
        self.acknowledged = {job: None for job in self.acknowledged if job in self.model.jobs}
        self._key_of = {key: job for key, job in self._key_of.items() if job in self.model.jobs}
        self._began.clear()

    def _observe_again(self, event: Event) -> None:
        # Judged before; the beats of then are not known any more.
        for number in self.model.beats:
            self.model.beats[number] = event.recorded_at - (DEAD_AFTER * 1000 if "lost" in event.type else 0)
        self.model.take(event)
        if event.stream in self.model.jobs:
            self._states[event.stream] = evolve(self._states.get(event.stream), event)

    # -- handlers and producers --------------------------------------------------------------------------

    def handler_began(self, process: Process, job: Started) -> None:
        self.handled += 1
        attempt = (process.log.epoch, job.job, job.token)
        if attempt in self._began:
            self.fail("an attempt runs once", f"{ids.to_text(job.job)} {job.token} by {process.name}")
        self._began.add(attempt)
        for other in self._world.processes:
            beside = [known for known in other.running if known[0] == job.job]
            if beside and not self.restored and self._trusted(other) and other.started < process.started:
                self.fail("nothing runs beside itself", f"{ids.to_text(job.job)}: {other.name}, {process.name}")

    def answered(self, job: bytes, asked: int) -> None:
        """A producer was told that its job is there. `asked`: what `restored` was when it asked."""
        if asked != self.restored:
            return  # it may have been told of the tail that was lost
        if job not in self.model.jobs:
            self.fail("no acknowledged job is lost", ids.to_text(job))
        self.acknowledged[job] = None

    # -- Redis -------------------------------------------------------------------------------------------

    def popped(self, before: dict[tuple[int, int], list[tuple[int, bytes]]], answer: list[Any],
               asked: dict[int, Collection[int]]) -> None:  # fmt: skip
        """A claim took the first of its queues, by priority and age."""
        for n in range(2, len(answer), 4):
            queue, _, _, blob = answer[n : n + 4]
            taken = [blob[at : at + 16] for at in range(0, len(blob), 16)]
            held = sorted(
                ((-priority, job) for kind in asked[queue] for priority, job in before.get((queue, kind), []))
            )
            if taken != [job for _, job in held[: len(taken)]]:
                self.fail("order", f"queue {queue}: not the first ones")

    def redis_is_the_log(self, *, exact: bool) -> None:
        """Where the checkpoint is the head, every ready id is there or claimed; `exact`: and no other."""
        tables, redis = self._world.database.tables, self._world.redis
        at = redis.space.keys.get(keys.AT)
        if at is None or (int(at[b"epoch"]), int(at[b"position"])) != (tables.epoch, tables.head):
            return
        if any(self._contradicted(process) for process in self._world.processes):
            return  # it has yet to tell that these positions were given out before
        waiting = {(q, t, p, job) for (q, t), rows in redis.ready().items() for p, job in rows}
        ready = {(r.queue, r.type, r.priority, r.job) for r in tables.ready.values()}
        # One that is past its expiry was dropped by whoever met it, and is about to be ended.
        late = {r.job for r in tables.ready.values() if r.expires is not None and r.expires <= self._world.loop.ms}
        missing = {row[3] for row in ready - waiting} - _ids(redis.claimed()) - late
        if missing:
            self.fail("Redis is the log", f"at {tables.head} it lacks {[ids.to_text(x) for x in missing]}")
        if exact and waiting - ready:
            self.fail("Redis is the log", f"at {tables.head} it holds {len(waiting - ready)} too many")

    def _contradicted(self, process: Process) -> bool:
        """It has seen another log than there is, and has not said so yet."""
        tables, memory = self._world.database.tables, process.log.memory
        ends = {row.position: row.id for row in tables.batches[-50:]}
        another = memory.at[0] == tables.epoch and ends.get(memory.at[1], memory.batch) != memory.batch
        return another or memory.seen > (tables.epoch, tables.head)

    def finished(self) -> None:
        """Faults have stopped long ago."""
        if left := self.model.of("queued", "pending", "processing"):
            self.fail("every job ends", f"{len(left)} do not, such as {left[0]}")
        for job in self.acknowledged:
            if job not in self.model.jobs:
                self.fail("no acknowledged job is lost", ids.to_text(job))
        self._nobody_knows_more()
        self.redis_is_the_log(exact=False)

    def _nobody_knows_more(self) -> None:
        end = self._world.database.tables.epoch, self._world.database.tables.head
        seen = [process.log.memory.seen for process in self._world.processes]
        if (at := self._world.redis.space.keys.get(keys.AT)) is not None:
            seen.append((int(at[b"epoch"]), int(at[b"position"])))
        if max(seen) > end:
            self.fail("nobody knows more than the log", f"{max(seen)}, which ends at {end}")


def _ids(blobs: Iterable[bytes]) -> set[bytes]:
    return {blob[at : at + 16] for blob in blobs for at in range(0, len(blob), 16)}
