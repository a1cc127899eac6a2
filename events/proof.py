"""Seals and proofs as JSON, for whoever has no database: bundles, certificates and the API.

    told = tell(seal); seal == heard(told)
    problem = check_event(event, path, seal)          # None: it is in the seal
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from msgspec import Struct

from .. import sql
from . import canonical, merkle, seals, signing
from .canonical import SealedEvent
from .digests import digests
from .pool import Connection
from .retained import retained
from .seals import Seal
from .signing import KnownKey


class SealText(Struct, frozen=True, kw_only=True):
    """A seal; bytes in hexadecimal, the public key as `--public-key` takes it, `sealed_at` in
    microseconds."""

    position: int
    first: int
    epoch: int
    format: int
    sealed_at: int
    root: str
    previous: str
    names: str
    public_key: str
    signature: str


class KeyText(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public key and the word of the one before it."""

    number: int
    public_key: str
    endorsed_by: int | None = None
    endorsement: str | None = None


class Proof(Struct, frozen=True, kw_only=True):
    """That an event is in the log: the event, its seal, the way up the tree from one to the other, and the
    keys."""

    event: SealedEvent
    path: list[list[str]]
    seal: SealText
    keys: list[KeyText]


def tell(seal: Seal) -> SealText:
    return SealText(
        position=seal.position, first=seal.first, epoch=seal.epoch, format=seal.format,
        sealed_at=seal.sealed_at, root=seal.root.hex(), previous=seal.previous.hex(), names=seal.names,
        public_key=signing.to_text(seal.public), signature=seal.signature.hex(),
    )  # fmt: skip


def heard(text: SealText) -> Seal:
    """Raises ValueError."""
    return Seal(
        position=text.position, first=text.first, epoch=text.epoch, format=text.format,
        sealed_at=text.sealed_at, root=bytes.fromhex(text.root), previous=bytes.fromhex(text.previous),
        names=text.names, public=signing.from_text(text.public_key), signature=bytes.fromhex(text.signature),
    )  # fmt: skip


def tell_key(key: KnownKey) -> KeyText:
    return KeyText(
        number=key.number, public_key=signing.to_text(key.public), endorsed_by=key.endorsed_by,
        endorsement=None if key.endorsement is None else key.endorsement.hex(),
    )  # fmt: skip


def heard_keys(keys: Sequence[KeyText]) -> list[KnownKey]:
    """Raises ValueError."""
    return [
        KnownKey(
            key.number, signing.from_text(key.public_key), key.endorsed_by,
            None if key.endorsement is None else bytes.fromhex(key.endorsement),
        )
        for key in keys
    ]  # fmt: skip


def check_seal(seal: Seal, believed: frozenset[bytes]) -> str | None:
    """What is wrong with it; None: nothing."""
    if seal.public not in believed:
        key = signing.fingerprint(seal.public)
        return f"the seal at {seal.position} is of key {key}, which nobody trusted endorses"
    if seal.format not in canonical.FORMATS:
        return f"the seal at {seal.position} has format {seal.format}, which this version does not know"
    if not seal.is_signed():
        return f"the seal at {seal.position} is not what was signed"
    return None


def check_event(event: SealedEvent, path: Sequence[Sequence[str]], seal: Seal) -> str | None:
    """What is wrong; None: the event is in the seal, at its position."""
    if not seal.first <= event.position <= seal.position:
        return f"event {event.position} is not one of the seal {seal.first} to {seal.position}"
    try:
        way = [[bytes.fromhex(one) for one in group] for group in path]
        digest = canonical.digest(event, seal.format)
        root = merkle.climb(digest, event.position - seal.first, seal.count, way)
    except (ValueError, struct.error) as error:
        return f"event {event.position}: {error}"
    return None if root == seal.root else f"event {event.position} is not what was sealed"


class Archived(ValueError):
    """The events that the proof needs were taken by retention."""


async def prove(connection: Connection, position: int) -> Proof | None:
    """Of the event at a position; None when it has no seal yet, or there is none. Reads at most one seal's
    events."""
    known = await signing.known_keys(connection)
    found = await seals.page(connection, position, 1, known)
    if not found or not found[0].first <= position:
        return None
    (proof,) = await prove_in(connection, found[0], [position], known)
    return proof


async def prove_in(
    connection: Connection, seal: Seal, positions: Sequence[int], known: Sequence[KnownKey]
) -> list[Proof]:
    """The same of several events of one seal. Raises Archived; ValueError when they are not what
    was sealed."""
    events = {event.position: event for event in await events_of(connection, min(positions), max(positions))}
    found = await digests(connection, seal.first, seal.position, seal.format)
    if found.count != seal.count and (await retained(connection)).edge >= seal.position:
        said = f"retention took events {seal.first} to {seal.position}"
        raise Archived(f"{said}: only the archive has them all")
    if found.count != seal.count or merkle.root(found.joined) != seal.root:
        said = f"the events {seal.first} to {seal.position} are not what was sealed"
        raise ValueError(f"{said}; verify the log")
    keys = [tell_key(key) for key in known]
    told = tell(seal)
    return [
        Proof(event=events[at], path=_hexed(merkle.proof(found.joined, at - seal.first)), seal=told,
        keys=keys) for at in positions
    ]


def _hexed(path: list[list[bytes]]) -> list[list[str]]:
    return [[one.hex() for one in group] for group in path]


async def events_of(connection: Connection, first: int, last: int) -> list[SealedEvent]:
    """As they are sealed."""
    cursor = await connection.execute(sql.load("seal_events"), {"first": first, "last": last})
    return [canonical.from_row(row) for row in await cursor.fetchall()]
