"""Where the signing key comes from when none was given: a file under HIVELOG_DATA, written once.

As with the keys of payloads, the database says whether one may be made: where somebody sealed before, a
fresh key would only hide that the right one is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from . import keyfile, signing
from .pool import Connection
from .signing import SigningRing

_log = structlog.get_logger(__name__)

# Held while a first key is made, so that two hosts do not make one each.
_LOCK = 6_620_113_954_027_353


def key_path(data: Path) -> Path:
    """Of the file with the keys, one a line, the signing one first."""
    return data / "keys" / "signing.key"


async def open_ring(connection: Connection, keys: Sequence[str], *, data: Path) -> SigningRing | None:
    """The keys to seal with, or None: the database was sealed by a key that is not here.

    `keys` as in HIVELOG_SIGNING_KEY; without any, those of the file under `data`, which is made when nobody
    has sealed yet. `connection` must be in autocommit mode.
    """
    keys = keys or keyfile.read_keys(key_path(data))
    if not keys:
        keys = await _first_key(connection, key_path(data))
    return SigningRing.from_settings(keys) if keys else None


def ring_here(keys: Sequence[str], data: Path) -> SigningRing | None:
    """The keys of this machine, without a database; none is made."""
    keys = keys or keyfile.read_keys(key_path(data))
    return SigningRing.from_settings(keys) if keys else None


async def _first_key(connection: Connection, path: Path) -> list[str]:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        if keys := keyfile.read_keys(path):  # another process of this host was faster
            return keys
        if known := await signing.known_keys(connection):
            _log.warning(
                "this process does not seal the log: it was sealed by a key that is not here",
                public_key=signing.to_text(known[-1].public), missing=str(path),
            )  # fmt: skip
            return []
        key = keyfile.write_key(path, why=_WHY)
        ring = SigningRing.from_settings([key])
        await connection.execute(
            "select hivelog.add_seal_key(%s, null, null)", (ring.first.public,)
        )
        public = signing.to_text(ring.first.public)
        _log.warning("write down the public key of the log's seals", public_key=public)
        return [key]


_WHY = "signing key written: back this file up, and keep it from whoever administers the database"
