"""Workers in any language: register, claim, settle, heartbeat.

    POST /workers/register   once; answers the session and how often to beat
    POST /workers/claim      waits up to `wait` seconds for jobs; the same claim_id answers the same jobs
    POST /workers/settle     how attempts ended, by token
    POST /workers/heartbeat  the tokens held; answers those to cancel and those that are lost

Claim and settle are in `worker_claims`.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from ..broker import payload_schemas
from ..broker.sessions import Session
from ..events import fields, ids, queue, spec, types, vault
from ..events.batch import End, Move, Part
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, invalid, unknown_queue
from .leases import held, read_token, write_token
from .requests import Call
from .services import Services
from .worker_sessions import MOST_SLOTS, Known, living_session


class Register(Struct, forbid_unknown_fields=True):
    """`schemas`: JSON Schema of payloads by type, when the worker publishes any."""

    name: str
    queues: list[str]
    types: list[str]
    slots: int = 1
    host: str | None = None
    pid: int = 0
    schemas: dict[str, Any] | None = None


class Registered(Struct):
    session: str
    heartbeat_seconds: int
    dead_after_seconds: int


class Progress(Struct, forbid_unknown_fields=True):
    token: str
    percent: float
    message: str | None = None


class Beat(Struct, forbid_unknown_fields=True):
    session: str
    tokens: list[str] = []
    progress: list[Progress] = []
    memory_mib: int | None = None


class Beaten(Struct):
    """`alive` false: the session is over; register again."""

    cancel: list[str]
    lost: list[str]
    alive: bool


class Leave(Struct, forbid_unknown_fields=True):
    session: str


_register: Final = msgspec.json.Decoder(Register)
_beat: Final = msgspec.json.Decoder(Beat)
_leave: Final = msgspec.json.Decoder(Leave)


async def register(call: Call) -> Answer:
    asked = await call.read(_register, 1024 * 1024)
    fields.text("name", asked.name, 100)
    fields.whole("slots", asked.slots, 1, MOST_SLOTS)
    _bounded("queues", asked.queues)
    _bounded("types", asked.types)
    for name in asked.queues:
        queue.queue_name(name, "queues")
        if await call.services.names.queue(name) is None or not call.caller.sees(name):
            raise unknown_queue(name)
    for kind in asked.types:
        spec.type_name(kind, "types")
    _compilable(asked.schemas or {})
    host = fields.text("host", asked.host, 200) if asked.host else call.services.auth.client_address(
        call.scope, call.headers
    )
    made = await call.services.engine.sessions.open(
        asked.name, asked.queues, asked.types, asked.slots, host=host,
        pid=fields.whole("pid", asked.pid, 0, 2**31 - 1), schemas=asked.schemas,
    )  # fmt: skip
    session = str(UUID(bytes=made.session))
    return json(Registered(session, made.heartbeat, made.dead_after), 201)


def _bounded(field: str, names: list[str]) -> None:
    if not 1 <= len(names) <= 1000:
        raise invalid(field, "must name 1 to 1000")


def _compilable(schemas: dict[str, Any]) -> None:
    for kind, schema in schemas.items():
        try:
            payload_schemas.compiled(schema)
        except ValueError as error:
            why = f"is not a JSON Schema that can be checked: {payload_schemas.reason_of(error)}"
            raise invalid(f"schemas.{kind}"[:200], why) from None


async def heartbeat(call: Call) -> Answer:
    services = call.services
    asked = await call.read(_beat, 1024 * 1024)
    session, known = await _session_or_none(call, asked.session)
    epoch = services.appender.log.epoch
    tokens = [read_token(text, epoch) for text in asked.tokens]
    if known is None:
        return json(Beaten([], asked.tokens, alive=False))
    answer = await services.engine.sessions.heartbeat(
        session.bytes, tokens, busy=len(tokens), memory_mib=asked.memory_mib
    )
    if answer.gone:
        services.protocol.forget(known.id)
        return json(Beaten([], asked.tokens, alive=False))
    if answer.unlisted:
        data = types.encode(types.Released("unlisted"))
        ends = [End(job, token, "released", known.id, data=data) for job, token in answer.unlisted]
        await services.appender.submit(Part(ends=ends))
    await _report(services, known, asked.progress, epoch)
    lost = [text for text, token in zip(asked.tokens, tokens, strict=True) if token in answer.lost]
    return json(Beaten([write_token(epoch, token) for token in answer.cancel], lost, alive=True))


async def _session_or_none(call: Call, text: str) -> tuple[UUID, Known | None]:
    try:
        return await living_session(call, text)
    except Problem as problem:
        if problem.code != "not_found":
            raise
        return UUID(text), None


async def _report(services: Services, known: Known, progress: list[Progress], epoch: int) -> None:
    """Write how far jobs are. A refused one has ended meanwhile: nothing to say any more."""
    if not progress:
        return
    said = {read_token(item.token, epoch): item for item in progress}
    found = await held(services, known.id, list(said))
    moves = []
    for token, lease in found.items():
        item = said[token]
        if not 0 <= item.percent <= 100:
            raise invalid("progress.percent", "must be from 0 to 100")
        data = msgspec.Raw(types.encode(types.Progressed(item.percent)) or b"{}")
        job = ids.to_text(lease.job.job)
        move = Move(job, "progressed", "lease", "lease", 0, known.id, token=token, data=data)
        if item.message:
            key = services.vault.key_of(
                lease.job.job, lease.job.salt or b"", lease.job.kek, lease.job.wrapped
            )
            sealed = key.seal(vault.PROGRESS, item.message[:500].encode())
            move.slot, move.body = vault.PROGRESS, sealed.body
            move.digest, move.body_size = sealed.digest, sealed.size
        moves.append(move)
    if moves:
        await services.appender.submit(Part(moves=moves))


async def leave(call: Call) -> Answer:
    """A worker that stops: what it still holds is given back by the reaper's rules."""
    asked = await call.read(_leave)
    session, known = await living_session(call, asked.session)
    ended = Session(known.id, session.bytes, known.name, known.heartbeat, known.dead_after)
    await call.services.engine.sessions.leave(ended, "stopped")
    call.services.protocol.forget(known.id)
    return json({"message": "Session ended"})


def _endpoint(path: str, run: Any, summary: str, body: Any, answer: Any, status: int = 200) -> Endpoint:
    return Endpoint(
        method="POST", path=f"/workers/{path}", run=run, scope="work", tag="workers", summary=summary,
        body=body, answer=answer, status=status,
    )  # fmt: skip


ENDPOINTS: Final = (
    _endpoint("register", register, "Open a worker session.", Register, Registered, 201),
    _endpoint("heartbeat", heartbeat, "Say that the worker lives, and how far its jobs are.", Beat, Beaten),
    _endpoint("leave", leave, "Close a worker session.", Leave, None),
)
