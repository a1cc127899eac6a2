"""Rotation: data keys wrapped by a former key-encryption key are wrapped anew by the first of the ring.

Bodies are not touched, so a rotation costs one small row a job, whatever the jobs carry. It may be
stopped and run again, also beside running workers: a row changes only if nobody changed it since.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from .batch import Part, Record
from .keyring import NONCE, Keyring
from .pool import Connection

CHUNK = 1000
_FIRST = "00000000-0000-0000-0000-000000000000"


class Rotation(Struct):
    """Jobs done so far: rewrapped, and those whose key is not in the ring (left as they are)."""

    rewrapped: int = 0
    unknown: int = 0


async def rotate(
    conn: Connection,
    ring: Keyring,
    submit: Callable[[Part], Awaitable[object]],
    *,
    stream: str,
    actor: int,
    progress: Callable[[Rotation], None] = lambda _: None,
) -> Rotation:
    """Rewrap everything, then record `keys_rotated` on `stream` (the system's).

    `ring` is numbered; `conn` is in autocommit mode. `progress` is called after each chunk. Raises
    Tampered when a data key does not open with the key that its row names.
    """
    done = Rotation()
    await ring.number(conn)
    after = _FIRST
    while True:
        cursor = await conn.execute(
            sql.load("vault_other_keks"), {"kek": ring.first.number, "after": after, "limit": CHUNK}
        )
        rows = await cursor.fetchall()
        if not rows:
            break
        after = str(rows[-1][0])
        await _rewrap(conn, ring, rows, done)
        progress(done)
    await submit(Part(records=[_record(ring, done, stream, actor)]))
    return done


async def _rewrap(
    conn: Connection, ring: Keyring, rows: list[tuple[UUID, int, bytes]], done: Rotation
) -> None:
    known = {kek.number: kek for kek in ring.keks}
    mine = [row for row in rows if row[1] in known]
    done.unknown += len(rows) - len(mine)
    news = [
        ring.first.wrap(job.bytes, known[kek].unwrap(job.bytes, old), os.urandom(NONCE))
        for job, kek, old in mine
    ]
    olds = [old for _, _, old in mine]
    cursor = await conn.execute(
        "select hivelog.rewrap(%s::uuid[], %s::bytea[], %s::smallint, %s::bytea[])",
        ([job for job, _, _ in mine], olds, ring.first.number, news),
    )
    row = await cursor.fetchone()
    assert row is not None
    done.rewrapped += row[0]


def _record(ring: Keyring, done: Rotation, stream: str, actor: int) -> Record:
    data = {
        "to": ring.first.fingerprint,
        "from": [kek.fingerprint for kek in ring.keks[1:]],
        "rewrapped": done.rewrapped,
        "unknown": done.unknown,
    }
    encoded = msgspec.Raw(msgspec.json.encode(data))
    return Record(stream=stream, event="keys_rotated", actor=actor, data=encoded)
