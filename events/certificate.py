"""A certificate of erasure: a bundle of all events of a job, and a signed word that nothing else is left of
it.

    async for line in certificate.write(pool, ring, job): file.write(line)

The log proves that the erasure was recorded; that the content is gone, only whoever runs the database can
say, and signs for it here, after having looked. Copies outside (backups, logs, replicas) are not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from .. import sql
from . import bundle, canonical, ids, proof, seals, signing, times
from .erasure import Erasure, Statement
from .pool import Pool
from .signing import SigningRing

_PLACES: Final = ("vault", "search", "outbox", "outbox_refused")


class NotErased(Exception):
    """The job was not erased, or something of it is left."""


class NotSealed(Exception):
    """The erasure is not sealed yet; it will be within a second or so."""


async def write(pool: Pool, ring: SigningRing, job: bytes) -> AsyncIterator[bytes]:
    """Raises NotErased, NotSealed, and ValueError when the log is not what was sealed."""
    erasure = await _erasure(pool, ring, job)
    async for line in bundle.write_job(pool, job, erasure):
        yield line


async def _erasure(pool: Pool, ring: SigningRing, job: bytes) -> Erasure:
    stream = UUID(bytes=job)
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.load("erased_position"), {"job": stream})
        row = await cursor.fetchone()
        if row is None:
            raise NotErased("the job was not erased")
        position = row[0]
        await connection.execute("select hivelog.forget(%s)", ([stream],))
        left = await (await connection.execute(sql.load("erasure_left"), {"job": stream})).fetchone()
        if left is None or any(left):
            raise NotErased("something of the job is still there; try again")
        known = await signing.known_keys(connection)
        standing = await seals.standing(connection, known)
        if standing.last is None or standing.last.position < position:
            raise NotSealed("the erasure is not sealed yet; try again in a second")
        (event,) = await proof.events_of(connection, position, position)
        names = await seals.names_of(connection, [event.actor], [])
    actor = names["actor"].get(str(event.actor), "")
    return _signed(ring, ids.to_text(job), event, actor, standing.now)


def _signed(
    ring: SigningRing, job: str, event: canonical.SealedEvent, actor: str, now: int
) -> Erasure:
    statement = Statement(
        job=job, position=event.position, erased_at=times.to_text(event.recorded_at // 1000), erased_by=actor,
        looked=_PLACES, issued_at=times.to_text(now // 1000), public_key=signing.to_text(ring.first.public),
    )  # fmt: skip
    return Erasure(statement, ring.first.sign(statement.message()).hex())
