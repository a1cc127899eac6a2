"""Seals: signed digests of ranges of the log, each bound to the one before it.

A seal covers positions first..position of one epoch. It signs the root of a tree over the digests of these
events, the names that they use by number, and the hash of the seal before it. So a seal that one trusts
vouches for everything up to its position.

    seal = signed(Draft(...), ring.first)
    seal.hash == after.previous
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from struct import pack
from typing import Any, Final

import msgspec
from msgspec import Struct
from psycopg.rows import TupleRow

from .. import sql
from . import canonical, merkle, signing
from .pool import Connection
from .signing import KnownKey, SigningKey

LARGEST: Final = 65_536  # events under one seal
GENESIS: Final = bytes(32)  # `previous` of the first seal
_MAGIC: Final = b"hivelog seal\x00"

NamesByNumber = dict[str, dict[str, str]]  # {"actor": {number: name}, "queue": {number: name}}

_names = msgspec.json.Encoder(order="deterministic").encode
_SINCE: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Draft(Struct, frozen=True, kw_only=True):
    """What a seal says. `sealed_at` in microseconds since 1970, `names` the JSON text of
    NamesByNumber."""

    first: int
    position: int
    epoch: int
    format: int = canonical.FORMAT
    sealed_at: int
    root: bytes
    previous: bytes
    names: str

    def message(self, public: bytes) -> bytes:
        """The bytes that the owner of this public key signs."""
        numbers = pack(">hqqiq", self.format, self.first, self.position, self.epoch, self.sealed_at)
        names = sha256(self.names.encode()).digest()
        return _MAGIC + numbers + self.root + self.previous + names + public


class Seal(Draft, frozen=True, kw_only=True, dict=True):
    """A draft with its signature. `prints`: two bytes of each digest; a hint, not signed."""

    public: bytes
    signature: bytes
    prints: bytes | None = None
    key: int = 0  # the database's number of the public key

    @cached_property
    def signed_message(self) -> bytes:
        return self.message(self.public)

    @cached_property
    def hash(self) -> bytes:
        """What the next seal names as `previous`."""
        return sha256(self.signed_message + self.signature).digest()

    @property
    def count(self) -> int:
        return self.position - self.first + 1

    def is_signed(self) -> bool:
        """Whether the owner of the public key that it names made it; not whether he may."""
        return signing.verify(self.public, self.signature, self.signed_message)


class Standing(Struct, frozen=True):
    """The log's head and epoch, the database's time (microseconds since 1970), and the last seal."""

    head: int
    epoch: int
    now: int
    last: Seal | None


def signed(draft: Draft, key: SigningKey, number: int, prints: bytes) -> Seal:
    signature = key.sign(draft.message(key.public))
    return Seal(
        **msgspec.structs.asdict(draft), public=key.public, signature=signature, prints=prints, key=number
    )


def prints_of(digests: bytes) -> bytes:
    """The first two bytes of each digest: enough to say which event was altered."""
    joined = bytearray(len(digests) // merkle.SIZE * 2)
    joined[0::2] = digests[0 :: merkle.SIZE]
    joined[1::2] = digests[1 :: merkle.SIZE]
    return bytes(joined)


async def names_of(connection: Connection, actors: Iterable[int], queues: Iterable[int]) -> NamesByNumber:
    cursor = await connection.execute(
        sql.load("seal_names"), {"actors": list(actors), "queues": list(queues)}
    )
    names: NamesByNumber = {"actor": {}, "queue": {}}
    for kind, number, name in await cursor.fetchall():
        names[kind][str(number)] = name
    return names


def names_text(names: NamesByNumber) -> str:
    """As a seal has them."""
    return _names(names).decode()


async def page(
    connection: Connection, low: int, limit: int, keys: Sequence[KnownKey], *, prints: bool = False
) -> list[Seal]:
    """Seals that cover `low` or what follows it, in order. A key that is not known counts as empty."""
    values = {"low": low, "limit": limit, "prints": prints}
    cursor = await connection.execute(sql.load("seal_page"), values, binary=True)
    by_number = {key.number: key.public for key in keys}
    return [_seal(row, by_number) for row in await cursor.fetchall()]


def _seal(row: TupleRow, keys: dict[int, bytes]) -> Seal:
    position, epoch, first, layout, key, sealed_at, root, previous, names, signature, prints = row
    return Seal(
        first=first, position=position, epoch=epoch, format=layout,
        sealed_at=canonical.microseconds(sealed_at), root=bytes(root), previous=bytes(previous), names=names,
        public=keys.get(key, b""), signature=bytes(signature), key=key,
        prints=None if prints is None else bytes(prints),
    )  # fmt: skip


async def at(connection: Connection, positions: Sequence[int], keys: Sequence[KnownKey]) -> dict[int, Seal]:
    """The seals that end at these positions."""
    values = {"positions": list(positions)}
    cursor = await connection.execute(sql.load("verify_seals_at"), values, binary=True)
    by_number = {key.number: key.public for key in keys}
    return {row[0]: _seal(row, by_number) for row in await cursor.fetchall()}


async def epoch_after(connection: Connection, epoch: int) -> int | None:
    """The first sealed position of the first epoch after this one."""
    cursor = await connection.execute(sql.load("seal_epoch_after"), {"epoch": epoch})
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def standing(connection: Connection, keys: Sequence[KnownKey]) -> Standing:
    row = await (await connection.execute(sql.load("seal_head"), binary=True)).fetchone()
    assert row is not None
    last = None if row[3] is None else _seal((*row[3:], None), {key.number: key.public for key in keys})
    return Standing(row[0], row[1], canonical.microseconds(row[2]), last)


def row_of(seal: Seal) -> dict[str, Any]:
    """As `hivelog.seal` takes it."""
    moment = _SINCE + timedelta(microseconds=seal.sealed_at)
    return {**msgspec.structs.asdict(seal), "sealed_at": moment}
