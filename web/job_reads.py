"""One job from the log itself: what was just written is there at once, whatever projections lag.

Stream and vault are read in one statement each on one connection; an outbox row stands in for a job
that SQL enqueued and the relay has not appended yet.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from ..events import ids, times
from ..events.job import JobState, fold
from ..events.pool import Connection
from ..events.read import Event
from ..events.vault import Vault
from .bodies import Bodies, bodies_of
from .messages import Message, Metadata, message, worker_label
from .services import Services


class Job(Struct):
    """A job with its story, and its sealed bodies."""

    state: JobState
    events: list[Event]
    bodies: Bodies


async def load(services: Services, job: bytes) -> Job | None:
    """The job, or None when there is none of this id in the log."""
    async with services.pool.connection() as connection:
        events = await services.beginnings.story(connection, job)
        if not events or events[0].type != "enqueued":
            return None
        bodies = await read_bodies(connection, services.vault, job)
    return Job(fold(events), events, bodies)


def at(job: Job, position: int) -> Job | None:
    """The job as it was at a position; None before its first event."""
    story = [event for event in job.events if event.position <= position]
    if not story:
        return None
    state = fold(story)
    return Job(state, story, job.bodies.at(position, state.token))


async def read_bodies(connection: Connection, sealer: Vault, job: bytes) -> Bodies:
    cursor = await connection.execute(sql.load("vault_bodies"), {"job": UUID(bytes=job)}, binary=True)
    rows = await cursor.fetchall()
    return bodies_of(sealer, job, rows)


async def to_message(services: Services, job: Job, *, placed: bool = False) -> Message:
    names = services.names
    session = next((e.actor for e in reversed(job.events) if e.type == "started"), None)
    actor = None if session is None else await names.actor_name(session)
    return message(
        job.state, job.events, job.bodies,
        queue=await names.queue_name(job.state.queue), worker=worker_label(actor),
        placed=placed,
    )  # fmt: skip


async def in_outbox(services: Services, job: bytes) -> Message | None:
    """A job enqueued from SQL that the relay has not appended yet: pending, without a position."""
    async with services.pool.connection() as connection:
        cursor = await connection.execute(
            "select queue, type, payload, options, created_at from hivelog.outbox where id = %s",
            (UUID(bytes=job),),
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    queue, kind, payload, options, created_at = row
    found = await services.names.queue(queue)
    config = found.config if found else {}
    return Message(
        id=ids.to_text(job), queue=queue, type=kind, payload=msgspec.Raw(msgspec.json.encode(payload)),
        metadata=_outbox_metadata({**config, **options}, times.from_datetime(created_at)), status="pending",
    )  # fmt: skip


def _outbox_metadata(options: dict[str, Any], created_at: int) -> Metadata:
    return Metadata(
        created_at=times.to_text(created_at), current_retry=0, tags=options.get("tags") or (),
        priority=options.get("priority", 100), max_retries=options.get("max_retries", 3),
        retry_delay=options.get("retry_delay", 60), retry_backoff=options.get("retry_backoff", "fixed"),
        **{
            name: options.get(name)
            for name in ("scheduled_for", "timeout", "expires_at", "source", "correlation_id", "parent_id")
        },
    )  # fmt: skip
