"""Workers in any language: register, claim, settle, heartbeat.

    POST /workers/register   once; answers the session and how often to beat
    POST /workers/claim      waits up to `wait` seconds for jobs; the same claim_id answers the same jobs
    POST /workers/settle     how attempts ended, by token
    POST /workers/heartbeat  the tokens held; answers those to cancel and those that are lost

A claim whose answer never arrived leaves leases that the next heartbeats do not list: they are given back
and the attempts do not count.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from .. import sql
from ..broker.sessions import Session
from ..broker.source import Source
from ..events import fields, ids, queue, spec, types, vault
from ..events.batch import End, Move, Part
from ..events.vault import VaultError
from .answers import Answer, json
from .endpoint import Endpoint
from .enqueueing import refuse_when_disabled
from .errors import Problem, invalid, unknown_queue
from .leases import ClaimedJob, Item, ending, held, read_token, shown, write_token
from .requests import Call
from .services import Services

_log = structlog.get_logger(__name__)

MOST_SLOTS: Final = 1000
LONGEST_WAIT: Final = 30.0
_MOST_ITEMS: Final = 1000
_SETTLE_BYTES: Final = 16 * 1024 * 1024


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


class Claim(Struct, forbid_unknown_fields=True):
    """`wait` in seconds, at most 30. Types and queues narrow what the session registered."""

    session: str
    claim_id: str
    types: list[str] | None = None
    queues: list[str] | None = None
    limit: int = 1
    wait: float = 0.0


class Claimed(Struct):
    jobs: list[ClaimedJob]


class Settle(Struct, forbid_unknown_fields=True):
    session: str
    items: list[Item]


class Settled(Struct):
    token: str
    accepted: bool
    code: str | None = None


class AllSettled(Struct):
    items: list[Settled]


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


class Known(Struct):
    """A living session, as the database has it."""

    id: int
    name: str
    queues: list[str]
    types: list[str]
    slots: int
    heartbeat: int
    dead_after: int


_register: Final = msgspec.json.Decoder(Register)
_claim: Final = msgspec.json.Decoder(Claim)
_settle: Final = msgspec.json.Decoder(Settle)
_beat: Final = msgspec.json.Decoder(Beat)
_leave: Final = msgspec.json.Decoder(Leave)


class Protocol:
    """Claims under way in this process, and a source for each (session, queues, types)."""

    def __init__(self) -> None:
        self.sources: dict[tuple[int, tuple[str, ...], tuple[str, ...]], Source] = {}
        self.locks: dict[tuple[str, str], asyncio.Lock] = {}

    def forget(self, session: int) -> None:
        for key in [key for key in self.sources if key[0] == session]:
            del self.sources[key]


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


async def _session(call: Call, text: str) -> tuple[UUID, Known]:
    """The living session. Raises Problem."""
    try:
        session = UUID(text)
    except ValueError:
        raise invalid("session", "must be what /workers/register answered") from None
    async with call.services.pool.connection() as connection:
        cursor = await connection.execute(sql.load("session_find"), {"session": session})
        row = await cursor.fetchone()
    if row is None:
        raise Problem("not_found", "the session is over; register again")
    known = Known(*row)
    if not all(call.caller.sees(name) for name in known.queues):
        raise Problem("not_found", "the session is over; register again")
    return session, known


async def claim(call: Call) -> Answer:
    services = call.services
    refuse_when_disabled(services)
    asked = await call.read(_claim)
    fields.text("claim_id", asked.claim_id, 200)
    session, known = await _session(call, asked.session)
    limit = fields.whole("limit", asked.limit, 1, MOST_SLOTS)
    if not 0 <= asked.wait <= LONGEST_WAIT:
        raise invalid("wait", f"must be seconds from 0 to {LONGEST_WAIT:g}")
    key = (asked.session, asked.claim_id)
    lock = services.protocol.locks.setdefault(key, asyncio.Lock())
    try:
        async with lock:
            again = await _answered_before(services, session, known, asked.claim_id)
            jobs = again if again is not None else await _claimed(call, session, known, asked, limit)
    finally:
        if not lock.locked():
            services.protocol.locks.pop(key, None)
    return json(Claimed(jobs))


async def _answered_before(
    services: Services, session: UUID, known: Known, claim_id: str
) -> list[ClaimedJob] | None:
    async with services.pool.connection() as connection:
        parameters = {"session": session, "claim": claim_id}
        row = await (await connection.execute(sql.load("claim_find"), parameters)).fetchone()
    if row is None:
        return None
    epoch = services.appender.log.epoch
    found = await held(services, known.id, row[0])
    return [await shown(services, lease.job, lease.started_at, epoch) for lease in found.values()]


async def _source(services: Services, known: Known, asked: Claim) -> Source:
    queues = tuple(name for name in known.queues if asked.queues is None or name in asked.queues)
    kinds = tuple(name for name in known.types if asked.types is None or name in asked.types)
    key = (known.id, queues, kinds)
    if (source := services.protocol.sources.get(key)) is None:
        engine = services.engine
        source = Source(engine.claims, engine.feeder, engine.names)
        try:
            await source.serve(known.id, list(queues), list(kinds))
        except KeyError as error:
            raise Problem("unknown_queue", str(error.args[0])) from None
        services.protocol.sources[key] = source
    return source


async def _claimed(
    call: Call, session: UUID, known: Known, asked: Claim, limit: int
) -> list[ClaimedJob]:
    """Wait for jobs, but not for a client that has left."""
    work = asyncio.create_task(_take(call.services, session, known, asked, limit))
    gone = asyncio.create_task(_left(call))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else []
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _left(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


async def _take(
    services: Services, session: UUID, known: Known, asked: Claim, limit: int
) -> list[ClaimedJob]:
    source = await _source(services, known, asked)
    deadline = time.monotonic() + asked.wait
    while True:
        wanted = await source.take(limit)
        if wanted is not None:
            part = Part(starts=wanted.starts, picks=wanted.picks, claim=wanted.claim)
            # Once sent, it must be heard to its end: a start without an answer is a lease for nobody.
            jobs = await asyncio.shield(_start(services, session, asked.claim_id, source, part))
            if jobs:
                return jobs
        left = deadline - time.monotonic()
        if left <= 0 or services.stopping.is_set():
            return []
        try:
            async with asyncio.timeout(left):
                await source.wait()
        except TimeoutError:
            pass


async def _start(
    services: Services, session: UUID, claim_id: str, source: Source, part: Part
) -> list[ClaimedJob]:
    outcome = await services.appender.submit(part)
    source.answered(part, outcome)
    if not outcome.started:
        return []
    tokens = [job.token for job in outcome.started]
    async with services.pool.connection() as connection:
        parameters = {"session": session, "claim": claim_id, "tokens": tokens}
        await connection.execute(sql.load("claim_keep"), parameters)
    epoch, jobs, closed = services.appender.log.epoch, [], []
    for job in outcome.started:
        try:
            jobs.append(await shown(services, job, outcome.recorded_at, epoch))
        except VaultError as error:
            _log.error("payload_unreadable", job=ids.to_text(job.job), error=str(error))
            closed.append(End(job.job, job.token, "released", data=types.encode(types.Released("unreadable"))))
    if closed:
        await services.appender.submit(Part(ends=closed, patient=True))
    return jobs


async def settle(call: Call) -> Answer:
    services = call.services
    asked = await call.read(_settle, _SETTLE_BYTES)
    if len(asked.items) > _MOST_ITEMS:
        raise invalid("items", f"must be at most {_MOST_ITEMS}")
    _, known = await _session(call, asked.session)
    epoch = services.appender.log.epoch
    limit = (await services.engine.configuration.current()).max_message_size
    tokens = [read_token(item.token, epoch) for item in asked.items]
    found = await held(services, known.id, tokens)
    codes: dict[int, str | None] = {}
    ends: list[tuple[int, End]] = []
    for n, (item, token) in enumerate(zip(asked.items, tokens, strict=True)):
        lease = found.pop(token, None)
        if lease is None:
            codes[n] = "stale_token"
        elif isinstance(item.result, msgspec.Raw) and len(bytes(item.result)) > limit:
            codes[n] = "result_too_large"
        else:
            ends.append((n, ending(services, lease, item, cancelling=lease.cancelling)))
    await _submit(services, ends, codes)
    rows = [Settled(item.token, codes.get(n) is None, codes.get(n)) for n, item in enumerate(asked.items)]
    return json(AllSettled(rows))


async def _submit(services: Services, ends: list[tuple[int, End]], codes: dict[int, str | None]) -> None:
    if not ends:
        return
    outcome = await services.appender.submit(Part(ends=[end for _, end in ends]))
    for (_, at), refused in outcome.refused.items():
        n, end = ends[at]
        if refused.code != "cancelling":
            codes[n] = refused.code
            continue
        # Asked to stop in this very moment: then it has stopped.
        stopped = End(end.job, end.token, "cancelled", data=types.encode(types.Cancelled("error")))
        again = await services.appender.submit(Part(ends=[stopped]))
        codes[n] = "stale_token" if again.refused else None


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
        return await _session(call, text)
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
    session, known = await _session(call, asked.session)
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
    _endpoint("claim", claim, "Lease jobs; waits for some.", Claim, Claimed),
    _endpoint("settle", settle, "End leases by their tokens.", Settle, AllSettled),
    _endpoint("heartbeat", heartbeat, "Say that the worker lives, and how far its jobs are.", Beat, Beaten),
    _endpoint("leave", leave, "Close a worker session.", Leave, None),
)
