"""How many worker processes a queue has: start, stop, scale. Supervisors on every host obey, by the log."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct

from ..broker.scale_commands import Scaling
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid, unknown_queue
from .requests import Call


class Start(Struct, forbid_unknown_fields=True):
    queue: str


class Stop(Struct, forbid_unknown_fields=True):
    """One of the two. The worker of a session must be a supervisor's."""

    queue: str | None = None
    session: str | None = None


class Scale(Struct, forbid_unknown_fields=True):
    """`workers`: 0 to 1,000 processes on all hosts together, or "auto": the number scales by itself again."""

    queue: str
    workers: int | Literal["auto"]


class Scaled(Struct):
    """`desired`: processes wanted from now on; `running`: those that supervisors keep at this moment."""

    message: str
    desired: int
    running: int
    position: int


_start: Final = msgspec.json.Decoder(Start)
_stop: Final = msgspec.json.Decoder(Stop)
_scale: Final = msgspec.json.Decoder(Scale)


async def start(call: Call) -> Answer:
    asked = await call.read(_start)
    queue = _visible(call, asked.queue)
    done = await call.services.engine.scales.start(queue, actor=call.caller.actor)
    return _answer(done, f"Worker started for queue {queue}")


async def stop(call: Call) -> Answer:
    asked, scales, actor = await call.read(_stop), call.services.engine.scales, call.caller.actor
    if asked.session is not None and asked.queue is None:
        done = await scales.stop_session(asked.session, actor=actor, queues=call.caller.queues)
        return _answer(done, f"Worker stopped: {asked.session}")
    if asked.queue is None or asked.session is not None:
        raise invalid("queue", "or session must be given, one of them")
    queue = _visible(call, asked.queue)
    return _answer(await scales.stop(queue, actor=actor), f"Worker stopped for queue {queue}")


async def scale(call: Call) -> Answer:
    asked = await call.read(_scale)
    queue = _visible(call, asked.queue)
    number = None if asked.workers == "auto" else asked.workers
    done = await call.services.engine.scales.scale(queue, number, actor=call.caller.actor)
    if done.pinned:
        return _answer(done, f"Queue {queue} scaled to {done.desired} workers")
    return _answer(done, f"Queue {queue} scales by itself again, from {done.desired} workers")


def _visible(call: Call, queue: str) -> str:
    """A queue that the caller may not see is not there for them."""
    if not call.caller.sees(queue):
        raise unknown_queue(queue)
    return queue


def _answer(done: Scaling, message: str) -> Answer:
    if done.raised is not None:
        message += f"; max_workers raised to {done.raised}"
    if not done.supervised:
        message += "; no supervisor runs for it: start `hivelog supervise`"
    return json(Scaled(message, done.desired, done.running, done.position))


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/workers/start", run=start, scope="operate", tag="workers", body=Start,
        answer=Scaled, summary="One more worker process for a queue.",
    ),
    Endpoint(
        method="POST", path="/workers/stop", run=stop, scope="operate", tag="workers", body=Stop,
        answer=Scaled, summary="One worker process fewer for a queue, or this one; it finishes what it runs.",
    ),
    Endpoint(
        method="POST", path="/workers/scale", run=scale, scope="operate", tag="workers", body=Scale,
        answer=Scaled, summary="How many worker processes a queue has; raises max_workers where it is below.",
    ),
)  # fmt: skip
