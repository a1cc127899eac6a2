"""The log of one test in memory, and a job in it: its events and what they carry, by the real rules."""

from __future__ import annotations

from typing import Any

import msgspec

from ..broker.attempt import Ending
from ..broker.context import JobInfo, Progress
from ..broker.endings import end_of
from ..client.job import Event as EventAnswer
from ..client.job import Job
from ..events import ids, times, vault
from ..events.batch import Started
from ..events.job import Command, Decision, JobState, Refusal, decide, evolve
from ..events.read import Event
from ..events.types import encode
from ..events.vault import Vault
from ..web.bodies import Bodies, Body
from ..web.messages import message

ACTOR = "inline"
_ACTOR = 1
_SEALER = Vault(None)


class Timeline:
    """The time of one test, and its log: every event, in order. Queues are numbered as they come."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.log: list[Event] = []
        self._queues: list[str] = []

    @property
    def position(self) -> int:
        """Of the last event."""
        return len(self.log)

    def number_of(self, queue: str) -> int:
        if queue not in self._queues:
            self._queues.append(queue)
        return self._queues.index(queue) + 1

    def queue_of(self, event: Event) -> str:
        assert event.queue is not None
        return self._queues[event.queue - 1]

    def record(
        self,
        stream: bytes,
        version: int,
        event: str,
        queue: str,
        data: bytes | None = None,
        *,
        attempt: int | None = None,
        size: int | None = None,
        correlation: str | None = None,
    ) -> Event:
        """Append an event now."""
        plain = None if data is None else msgspec.json.decode(data)
        written = Event(
            self.position + 1, self.now, stream, version, event, _ACTOR, self.number_of(queue), attempt, size,
            correlation, plain,
        )  # fmt: skip
        self.log.append(written)
        return written

    def shown(self, event: Event) -> EventAnswer:
        """As the API answers it."""
        data = dict(event.data or {})
        if event.body_size is not None:
            data["body_size"] = event.body_size
        if event.correlation is not None:
            data["correlation_id"] = event.correlation
        return EventAnswer(
            position=event.position, job=ids.to_text(event.stream), version=event.version, type=event.type,
            queue=self.queue_of(event), recorded_at=times.to_text(event.recorded_at),
            actor=ACTOR, data=data, attempt=event.attempt,
        )  # fmt: skip


class Life:
    """`write` and `decide` append events; `state` is what they come to."""

    def __init__(
        self, line: Timeline, queue: str, spec: bytes, payload: bytes, correlation: str | None
    ) -> None:
        self.id, self.queue = ids.mint(), queue
        self._line = line
        self._sealed = _SEALER.seal_new(self.id, payload)
        self.key = _SEALER.key_of(self.id, self._sealed.salt or b"", None, None)
        self.bodies = {(vault.PAYLOAD, 0): payload}
        self.events: list[Event] = []
        self._state: JobState | None = None
        self.write("enqueued", spec, size=len(payload), correlation=correlation)

    @property
    def text_id(self) -> str:
        return ids.to_text(self.id)

    @property
    def state(self) -> JobState:
        assert self._state is not None
        return self._state

    def write(self, event: str, data: bytes | None = None, **more: Any) -> int:
        """Append; answers the position. `more` as Timeline.record takes it."""
        written = self._line.record(self.id, len(self.events) + 1, event, self.queue, data, **more)
        self.events.append(written)
        self._state = evolve(self._state, written)
        return written.position

    def decide(self, command: Command, body: tuple[int, bytes] | None = None) -> Decision | Refusal | None:
        """As the real command would; None: it was so already."""
        answer = decide(self.state, command, self._line.now)
        if isinstance(answer, Refusal):
            return answer
        if not isinstance(answer, Decision):
            return None
        position = self.write(answer.event, answer.encoded, size=None if body is None else len(body[1]))
        if body is not None:
            slot, text = body
            self.bodies[slot, 0 if slot == vault.PAYLOAD else position] = text
        return answer

    # -- attempts ----------------------------------------------------------------------------------------

    def start(self) -> tuple[int, int]:
        """(token, attempt)."""
        attempt = self.state.attempt + 1
        return self.write("started", attempt=attempt), attempt

    def progressed(self, told: Progress) -> None:
        text = None if told.message is None else told.message.encode()
        data = msgspec.json.encode({"percent": told.percent})
        position = self.write("progressed", data, size=None if text is None else len(text))
        if text is not None:
            self.bodies[vault.PROGRESS, position] = text

    def end(self, ending: Ending) -> None:
        """By what the attempt came to: completed, another try, failed, ..."""
        state = self.state
        assert state.token is not None
        end = end_of(self._started(), self.key, ending, cancelling=state.cancelling, now=self._line.now)
        self.write(end.event, end.data, attempt=state.attempt, size=end.size)
        if end.slot is not None and end.body is not None:
            self.bodies[end.slot, end.token] = end.body

    def _started(self) -> Started:
        state = self.state
        return Started(
            0, self.id, state.token or 0, state.queue, 1, state.attempt, state.retry, state.priority,
            encode(state.spec) or b"{}", self._sealed.salt, None, None, self.bodies[vault.PAYLOAD, 0],
        )  # fmt: skip

    # -- answers -----------------------------------------------------------------------------------------

    def info(self) -> JobInfo:
        state = self.state
        spec = state.spec
        return JobInfo(
            id=self.text_id, queue=self.queue, type=spec.type, priority=state.priority,
            max_retries=spec.max_retries, current_retry=state.retry, timeout=spec.timeout,
            source=spec.source, correlation_id=state.correlation, parent_id=spec.parent_id,
            tags=tuple(spec.tags),
        )  # fmt: skip

    def job(self) -> Job:
        rows = [Body(slot, token, body) for (slot, token), body in self.bodies.items()]
        worker = ACTOR if any(event.type == "started" for event in self.events) else None
        made = message(self.state, self.events, Bodies(self.key, rows), queue=self.queue, worker=worker)
        return msgspec.json.decode(msgspec.json.encode(made), type=Job)

    def story(self) -> list[EventAnswer]:
        return [self._line.shown(event) for event in self.events]
