"""A job's life for tests of the pure core: commands in, events folded, the database left out."""

from __future__ import annotations

from typing import Any

from hivelog.events import ids, job, types
from hivelog.events.fingerprint import Failure
from hivelog.events.job import (
    Decision,
    DueNow,
    EndAttempt,
    JobState,
)
from hivelog.events.read import Event

NOW = 1_700_000_000_000
JOB = ids.Minter(lambda: NOW).mint()
FAILURE = Failure("ValueError", "0123456789abcdef", "no route to <text>")


class Life:
    """One job's stream, written as the log writes it."""

    def __init__(self, **spec: Any) -> None:
        self.now = NOW
        self.events: list[Event] = []
        defaults = {"type": "report", "priority": 100, "max_retries": 2, "retry_delay": 60}
        self.write("enqueued", types.JobSpec(**(defaults | spec)), size=100)

    @property
    def state(self) -> JobState:
        return job.fold(self.events)

    def write(
        self, event: str, data: Any = None, attempt: int | None = None, size: int | None = None
    ) -> None:
        text = None if data is None else types.encode(data)
        plain = None if text is None else types.msgspec.json.decode(text)
        count = len(self.events)
        self.events.append(
            Event(10 + 3 * count, self.now, JOB, count + 1, event, 7, 1, attempt, size, None, plain)
        )

    def start(self) -> int:
        self.write("started", attempt=self.state.attempt + 1)
        return self.events[-1].position

    def do(self, command: job.Command) -> job.Answer:
        answer = job.decide(self.state, command, self.now)
        if isinstance(answer, Decision):
            self.write(answer.event, answer.data)
        return answer

    def end(self, outcome: Any, **more: Any) -> job.Answer:
        token = self.state.token
        assert token is not None
        return self.do(EndAttempt(token, outcome, **more))

    def wait(self) -> None:
        due_at = self.state.due_at
        assert due_at is not None
        self.now = due_at
        self.do(DueNow())


def ended(**spec: Any) -> Life:
    life = Life(max_retries=0, **spec)
    life.start()
    life.end("failed")
    return life
