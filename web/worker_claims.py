"""Claim and settle: leases for workers that speak HTTP, and their ends.

The same claim_id answers the same jobs, also from another process, as long as their leases live. A claim
whose answer never arrived leaves leases that the next heartbeats do not list: they are given back.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from .. import sql
from ..broker.source import Source
from ..events import fields, ids, types
from ..events.batch import End, Part
from ..events.vault import VaultError
from ..stopping import stop_tasks
from .answers import Answer, json
from .endpoint import Endpoint
from .enqueueing import refuse_when_disabled
from .errors import Problem, invalid
from .leases import ClaimedJob, Item, ending, held, read_token, shown
from .requests import Call
from .services import Services
from .worker_sessions import MOST_SLOTS, Known, living_session

_log = structlog.get_logger(__name__)

LONGEST_WAIT: Final = 30.0
_MOST_ITEMS: Final = 1000
_SETTLE_BYTES: Final = 16 * 1024 * 1024


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


_claim: Final = msgspec.json.Decoder(Claim)
_settle: Final = msgspec.json.Decoder(Settle)


async def claim(call: Call) -> Answer:
    services = call.services
    refuse_when_disabled(services)
    asked = await call.read(_claim)
    fields.text("claim_id", asked.claim_id, 200)
    session, known = await living_session(call, asked.session)
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
        await stop_tasks(work, gone)


async def _left(call: Call) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass


async def _take(
    services: Services, session: UUID, known: Known, asked: Claim, limit: int
) -> list[ClaimedJob]:
    source = await _source(services, known, asked)
    deadline = time.monotonic() + asked.wait
    while True:
        part = await source.take(limit)
        if part is not None:
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
            data = types.encode(types.Released("unreadable"))
            closed.append(End(job.job, job.token, "released", data=data))
    if closed:
        await services.appender.submit(Part(ends=closed, patient=True))
    return jobs


async def settle(call: Call) -> Answer:
    services = call.services
    asked = await call.read(_settle, _SETTLE_BYTES)
    if len(asked.items) > _MOST_ITEMS:
        raise invalid("items", f"must be at most {_MOST_ITEMS}")
    _, known = await living_session(call, asked.session)
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


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/workers/claim", run=claim, scope="work", tag="workers", body=Claim,
        answer=Claimed, summary="Lease jobs; waits for some.",
    ),
    Endpoint(
        method="POST", path="/workers/settle", run=settle, scope="work", tag="workers", body=Settle,
        answer=AllSettled, summary="End leases by their tokens.",
    ),
)  # fmt: skip
