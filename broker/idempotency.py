"""Idempotency keys: a call that is repeated with its key answers what it answered first.

The database keeps hashes only: a key is often a secret of the caller's (an order number, a session).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from .. import sql
from ..events import fields
from ..events.pool import Connection
from .errors import Rejected, checked

KEPT: Final = 24 * 3600 * 1000  # milliseconds; longer while one of its jobs lives
_LONGEST: Final = 255

_canonical = msgspec.json.Encoder(order="deterministic").encode


def hashed_key(scope: str, path: str, key: object) -> bytes:
    """The 32 bytes under which a key is kept: the same key of another caller or path is another.

    Raises Rejected unless the key is a text of 1 to 255 characters.
    """
    with checked():
        text = fields.text("idempotency_key", key, _LONGEST)
    return sha256("\0".join((scope, path, text)).encode()).digest()


def fingerprint(body: Any) -> bytes:
    """Of what was asked for, whatever the order of its keys and the spaces between them."""
    # Once through JSON: JSON text from outside (msgspec.Raw) is written as it came.
    return sha256(_canonical(msgspec.json.decode(_canonical(body)))).digest()


def mismatch(**detail: Any) -> Rejected:
    message = "this idempotency key was used before with another body"
    return Rejected("idempotency_mismatch", message, detail)


async def lookup(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, tuple[bytes, list[bytes]]]:
    """Of the keys that are known: fingerprint and job ids."""
    cursor = await connection.execute(sql.load("idempotency_lookup"), {"keys": list(keys)})
    return {bytes(r[0]): (bytes(r[1]), [job.bytes for job in r[2]]) for r in await cursor.fetchall()}


async def position_of(connection: Connection, jobs: Sequence[bytes]) -> int:
    """The last position at which one of these jobs was enqueued."""
    ids = [UUID(bytes=job) for job in jobs]
    cursor = await connection.execute(sql.load("enqueued_position"), {"jobs": ids})
    row = await cursor.fetchone()
    return int(row[0]) if row is not None and row[0] is not None else 0
