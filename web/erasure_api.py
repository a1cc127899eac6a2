"""Erasure: what a job carried is destroyed, and a certificate says so."""

from __future__ import annotations

import asyncio
from typing import Final

from ..events import certificate, ids
from ..events.certificate import NotErased, NotSealed
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, job_not_found
from .job_reads import load
from .jobs import Done
from .requests import Call

_PATIENCE: Final = 5.0  # seconds that a certificate waits for its seal
_NDJSON: Final = b"application/x-ndjson"


async def erase(call: Call) -> Answer:
    done = await call.services.engine.jobs.erase(call.job, actor=call.caller.actor)
    return json(Done("Payload erased", ids.to_text(done.job), done.status, done.position, done.version))


async def certify(call: Call) -> Answer:
    """Waits for the seal: who asks right after the erasure should not have to ask twice."""
    call.allow()
    if await load(call.services, call.job) is None:
        raise job_not_found()
    if call.services.signing is None:
        raise Problem("conflict", "this process has no signing key, and cannot certify anything")
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return await _certificate(call)
                except NotSealed:
                    await asyncio.sleep(0.2)
    except NotErased as error:
        raise Problem("not_finished", str(error)) from None
    except ValueError as error:
        raise Problem("conflict", str(error)) from None
    except TimeoutError:
        raise Problem("projection_behind", "the erasure is not sealed yet; try again") from None


async def _certificate(call: Call) -> Answer:
    services = call.services
    assert services.signing is not None
    lines = [line async for line in certificate.write(services.pool, services.signing, call.job)]
    return Answer(200, b"".join(lines), content_type=_NDJSON)


ENDPOINTS: Final = (
    Endpoint(
        method="DELETE", path="/job/{job}/payload", run=erase, scope="admin", tag="jobs", answer=Done,
        summary="Erase what an ended job carried: payload, result, errors, progress texts, reasons.",
    ),
    Endpoint(
        method="GET", path="/job/{job}/erasure", run=certify, scope="admin", tag="jobs",
        summary="The certificate of an erasure: lines of JSON for `hivelog audit verify-bundle`.",
    ),
)  # fmt: skip
