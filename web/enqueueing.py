"""New jobs over HTTP: one (the hot path) or up to 10,000."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from ..broker.enqueue import MAX_BYTES, Accepted, Item
from ..events import ids, spec
from ..events.job import fold
from ..events.queue import QueueConfig
from . import job_reads
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, invalid, unknown_queue
from .messages import Message, message, metadata
from .requests import ENVELOPE, Call, decode
from .services import Services

# Keyword arguments of the enqueuer that are not the caller's to set.
_RESERVED: Final = frozenset(
    {"self", "queue", "type", "payload", "actor", "idempotency_key", "scope", "path"}
)
_REPLAYED: Final = ((b"idempotent-replayed", b"true"),)


class NewJob(Struct, forbid_unknown_fields=True, gc=False):
    """What `POST /queue/{queue}/jobs` takes. Metadata: the message's, as far as callers may set it."""

    type: str
    payload: msgspec.Raw
    metadata: dict[str, Any] | None = None


class BulkJob(Struct, forbid_unknown_fields=True, gc=False):
    """An item of `POST /jobs`."""

    queue: str
    type: str
    payload: msgspec.Raw
    metadata: dict[str, Any] | None = None
    idempotency_key: str | None = None


class Created(Struct):
    """A new job and the position of its first event."""

    job: Message
    position: int


class CreatedMany(Struct):
    ids: list[str]
    count: int
    position: int


_one: Final = msgspec.json.Decoder(NewJob)
_many: Final = msgspec.json.Decoder(list[BulkJob])
_line: Final = msgspec.json.Decoder(BulkJob)


async def enqueue(call: Call) -> Answer:
    services = call.services
    refuse_when_disabled(services)
    limit = (await services.engine.configuration.current()).max_message_size
    new = decode(_one, await call.body(limit + ENVELOPE))
    options = new.metadata or {}
    if _RESERVED & options.keys():
        raise invalid(f"metadata.{min(_RESERVED & options.keys())}", "is not a known field")
    queue = call.queue
    key, actor = call.header(b"idempotency-key"), call.caller.actor
    await services.schemas.check(queue, new.type, new.payload, caller=actor, key=key)
    accepted = await services.engine.enqueuer.enqueue(
        queue, new.type, new.payload, actor=actor, idempotency_key=key, **options
    )
    if accepted.replayed:
        return await _first_answer(services, accepted)
    made = Created(await _message(services, queue, new, options, accepted), accepted.position)
    return json(made, 201)


def refuse_when_disabled(services: Services) -> None:
    if not services.settings.queue_enabled:
        raise Problem("disabled", "MESSAGING_QUEUE_ENABLED is false: this server only reads")


async def _message(
    services: Services, queue: str, new: NewJob, options: dict[str, Any], accepted: Accepted
) -> Message:
    found = await services.names.queue(queue)
    assert found is not None
    prepared = spec.prepare(new.type, _config(found.id, found.position, found.config), options)
    at = accepted.recorded_at
    waits = prepared.due_at is not None and prepared.due_at > at
    return Message(
        id=ids.to_text(accepted.job), queue=queue, type=new.type, payload=new.payload,
        metadata=metadata(
            prepared.spec, at, priority=prepared.spec.priority, retry=0, correlation=prepared.correlation,
            due_at=prepared.due_at if waits else None,
        ),
        status="pending" if waits else "queued", version=1, position=accepted.position,
    )  # fmt: skip


_configs: Final[dict[int, tuple[int, QueueConfig]]] = {}


def _config(queue: int, position: int, config: dict[str, Any]) -> QueueConfig:
    """Converted once a change: the same value keeps the cache of prepared specs warm."""
    known = _configs.get(queue)
    if known is None or known[0] != position:
        known = _configs[queue] = (position, msgspec.convert(config, QueueConfig))
    return known[1]


async def _first_answer(services: Services, accepted: Accepted) -> Answer:
    """The job as it was when it was new, whatever has become of it."""
    job = await job_reads.load(services, accepted.job)
    if job is None:
        raise Problem("not_found", "the job of this idempotency key is past retention")
    first = job.events[:1]
    queue = await services.names.queue_name(job.state.queue)
    made = message(fold(first), first, job.bodies, queue=queue, worker=None)
    return json(Created(made, first[0].position), 200, _REPLAYED)


async def enqueue_many(call: Call) -> Answer:
    services = call.services
    refuse_when_disabled(services)
    body = await call.body(MAX_BYTES)
    jobs = _lines(body) if _is_ndjson(call, body) else decode(_many, body)
    for job in jobs:
        if not call.caller.sees(job.queue):
            raise unknown_queue(job.queue)
    items = [Item(j.queue, j.type, j.payload, j.metadata, j.idempotency_key) for j in jobs]
    key, actor = call.header(b"idempotency-key"), call.caller.actor
    await services.schemas.check_many(items, caller=actor, key=key)
    accepted = await services.engine.enqueuer.enqueue_many(items, actor=actor, idempotency_key=key)
    made = CreatedMany(ids.to_texts(accepted.jobs), len(accepted.jobs), accepted.position)
    return json(made, 200, _REPLAYED) if accepted.replayed else json(made, 201)


def _is_ndjson(call: Call, body: bytes) -> bool:
    kind = call.headers.get(b"content-type", b"")
    return b"ndjson" in kind or b"jsonl" in kind or body.lstrip()[:1] == b"{"


def _lines(body: bytes) -> list[BulkJob]:
    jobs = []
    for number, line in enumerate(body.splitlines(), start=1):
        if line.strip():
            try:
                jobs.append(decode(_line, line))
            except Problem as problem:
                problem.detail = {**problem.detail, "line": number}
                raise
    return jobs


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/queue/{queue}/jobs", run=enqueue, scope="produce", tag="jobs", status=201,
        summary="Enqueue a job. Idempotency-Key makes a repeated call answer what the first one did.",
        body=NewJob, answer=Created,
    ),
    Endpoint(
        method="POST", path="/jobs", run=enqueue_many, scope="produce", tag="jobs", status=201,
        summary="Enqueue up to 10,000 jobs (JSON array or NDJSON, 16 MiB), all or none.",
        body=list[BulkJob], answer=CreatedMany,
    ),
)  # fmt: skip
