"""What every client of a test stands on instead of servers: enqueues and the API, on jobs in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from ..broker import idempotency, payload
from ..broker.configuration import SystemConfig
from ..broker.errors import Rejected
from ..client.backend import BulkItem
from ..client.errors import NotFound, WaitTimeout, error_of
from ..client.job import Job
from ..client.transaction import Call, Connection
from ..events import fields, ids, spec, times, types, vault
from ..events.fields import InvalidField
from ..events.job import Cancel, Refusal, Reschedule, Retry
from ..web.stats_api import Stats
from .figures import figures
from .life import ACTOR, Life

if TYPE_CHECKING:
    from .inline import Inline

LARGEST: Final = 1_048_576


class InlineBackend:
    """What every client of the test stands on."""

    def __init__(self, inline: Inline) -> None:
        self._inline = inline
        self._keys: dict[str, tuple[bytes, str]] = {}

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def add(
        self, queue: str, type_: str, body: object, options: Mapping[str, Any], key: str | None
    ) -> Life:
        """Checked as the real one does. Raises HivelogError."""
        config = self._inline.queues.config(queue)
        try:
            encoded = payload.encode(body, LARGEST)
            prepared = spec.prepare(type_, config, options, idempotency=key is not None)
            known = None if key is None else self._known(queue, key, [type_, encoded, options])
        except (Rejected, InvalidField) as error:
            raise _ours(error) from error
        if known is not None:
            return self._inline.lives[known]
        line = self._inline.line
        line.now = max(line.now, round(time.time() * 1000))
        life = Life(line, queue, prepared.encoded, encoded, prepared.correlation)
        self._inline.lives[life.text_id] = life
        if key is not None:
            mark = idempotency.fingerprint([type_, encoded, options])
            self._keys[f"{queue}\0{key}"] = (mark, life.text_id)
        return life

    def _known(self, queue: str, key: str, asked: Any) -> str | None:
        mark, job = self._keys.get(f"{queue}\0{key}", (b"", ""))
        if mark and mark != idempotency.fingerprint(asked):
            raise idempotency.mismatch()
        return job or None

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        return self.add(queue, type_, payload, options, key).job()

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]:
        inline = self._inline
        lives, keys, end = dict(inline.lives), dict(self._keys), inline.line.position
        try:
            return [
                self.add(i.queue, i.type, i.payload, i.metadata or {}, i.idempotency_key).text_id
                for i in items
            ]
        except Exception:
            inline.lives, self._keys = lives, keys  # all or none
            del inline.line.log[end:]
            raise

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        return self.add(call.queue, call.type, call.payload, call.options, call.key).job()

    async def wait(self, job: str) -> None:
        """Nothing happens by itself here, so what is ready is run."""
        life = self.life(job)
        if not life.job().ended:
            await self._inline.drain_async()
        if not life.job().ended:
            said = f"job {job} waits for its time: call drain(with_scheduled=True) or advance(seconds)"
            raise WaitTimeout(said, {"id": job, "status": life.state.status})

    def life(self, job: str) -> Life:
        if (found := self._inline.lives.get(job)) is None:
            raise NotFound("Job not found")
        return found

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        parts = tuple(unquote(part) for part in path.strip("/").split("/"))
        try:
            answer = self._answer(method, parts, query or {}, body or {})
        except (Rejected, InvalidField) as error:
            raise _ours(error) from error
        return msgspec.json.encode(answer)

    def _answer(
        self, method: str, parts: tuple[str, ...], query: Mapping[str, Any], body: Mapping[str, Any]
    ) -> Any:
        inline = self._inline
        match method, *parts:
            case _, "job", job, *rest:
                return self._of_job(method, self.life(job), rest, body)
            case "GET", "jobs":
                return {"jobs": [job for job in reversed(inline.jobs) if _fits(job, query)], "next": None}
            case "GET", "events":
                return self._events(query)
            case "GET", "workers", "status":
                return {"workers": [], "active": 0, "total": 0, "scaling": [], "supervisors": []}
            case "GET", "config":
                return SystemConfig()
            case _, ("queue" | "queues"), *rest:
                return self._of_queues(method, rest, body)
        raise _needs_a_server(method, parts)

    def _of_job(self, method: str, life: Life, parts: list[str], body: Mapping[str, Any]) -> Any:
        match method, *parts:
            case ("GET",):
                return {"job": life.job()}
            case "GET", "history":
                return {"job": life.job(), "events": life.story()}
            case ("PATCH",):
                return self._command(life, "reschedule", body)
            case "POST", ("cancel" | "retry") as what:
                return self._command(life, what, body)
        raise _needs_a_server(method, ("job", life.text_id, *parts))

    def _of_queues(self, method: str, parts: list[str], body: Mapping[str, Any]) -> Any:
        queues = self._inline.queues
        match method, *parts:
            case ("GET",):
                return {"queues": [queues.shown(name) for name in sorted(queues.configs)]}
            case "GET", queue:
                return queues.shown(queue)
            case "PUT", queue:
                return queues.configure(queue, body)
            case "GET", queue, "stats":
                return self._stats(queue)
            case "POST", queue, "pause":
                return queues.switch(queue, "paused", body.get("reason"))
            case "POST", queue, "resume":
                return queues.switch(queue, "resumed", body.get("reason"))
            case "POST", queue, "drain":
                return queues.drain(queue, self._inline.lives.values(), body)
        raise _needs_a_server(method, ("queue", *parts))

    def _stats(self, queue: str) -> Stats:
        inline, line = self._inline, self._inline.line
        inline.queues.config(queue)
        lives = [life for life in inline.lives.values() if life.queue == queue]
        found = figures(lives, line.now, paused=queue in inline.paused)
        return Stats(queue, found, times.to_text(line.now), line.position, line.position)

    def _events(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """One page of the log, as the API filters it."""
        line, limit = self._inline.line, int(query.get("limit", 100))
        wanted = _wanted_types(query.get("type"))
        if (queue := query.get("queue")) is not None:
            self._inline.queues.config(queue)
        found = [
            line.shown(event)
            for event in line.log[int(query.get("after") or 0) :]
            if (wanted is None or event.type in wanted)
            and query.get("queue") in (None, line.queue_of(event))
            and query.get("job") in (None, ids.to_text(event.stream))
            and query.get("actor") in (None, ACTOR)
        ]
        return {"events": found[:limit], "next": found[limit - 1].position if len(found) > limit else None}

    def _command(self, life: Life, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        carried = None
        match what:
            case "cancel":
                command: Any = Cancel()
                carried = (vault.REASON, body["reason"].encode()) if body.get("reason") else None
            case "retry":
                command = Retry(ACTOR)
                if "payload" in body:
                    carried = (vault.PAYLOAD, payload.encode(body["payload"], LARGEST))
            case _:
                at = body.get("scheduled_for")
                when = None if at is None else fields.instant("scheduled_for", at)
                command = Reschedule(body.get("priority"), when)
        answer = life.decide(command, carried)
        if isinstance(answer, Refusal):
            raise error_of(answer.code, answer.reason)
        state = life.state
        said = "cancelling" if state.cancelling else state.status
        return {
            "message": "done", "id": life.text_id, "status": said, "position": state.position,
            "version": state.version,
        }  # fmt: skip


def _needs_a_server(method: str, parts: Sequence[str]) -> Exception:
    return NotImplementedError(f"{method} {'/'.join(parts)} needs a server: use hivelog_server")


def _wanted_types(text: str | None) -> list[str] | None:
    if text is None:
        return None
    wanted = [part.strip() for part in text.split(",")]
    if not types.REGISTRY.keys() >= set(wanted):
        raise InvalidField("type", "must name event types, separated by commas")
    return wanted


def _fits(job: Job, query: Mapping[str, Any]) -> bool:
    wanted = query.get("status")
    return (
        (query.get("queue") in (None, job.queue))
        and (query.get("type") in (None, job.type))
        and (wanted in (None, "all") or job.status in str(wanted).split(","))
    )


def _ours(error: Rejected | InvalidField) -> Exception:
    if isinstance(error, InvalidField):
        return error_of("invalid_field", str(error), {"field": error.field, "reason": error.reason})
    return error_of(error.code, error.message, error.detail)


