"""Seals the log behind its head: a duty of one process at a time, off the way of every append.

    sealer = Sealer(pool, ring)
    await sealer.run()

It reads the head first: up to a head that one has seen, positions are all there and stay what they are. So no
snapshot is held while events are read, which would keep the server from clearing away what appends left
behind. Two that seal at once make one chain, since a seal must begin where the last one ended. It never goes
on from a seal that it has no reason to trust: that would vouch for what somebody else made of the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog
from msgspec import Struct

from .. import sql
from . import canonical, merkle, seals, signing
from .digests import Digests, digests, numbers
from .pool import Connection, Pool
from .seals import Draft, Seal
from .signing import KnownKey, SigningError, SigningRing

_log = structlog.get_logger(__name__)

EVERY: Final = 0.7  # seconds: with the work, nothing stays unsealed for longer than one


class _Range(Struct, frozen=True):
    """What to seal next."""

    at: seals.Standing
    end: int
    epoch: int
    names: seals.NamesByNumber
    joined: bytes  # the digests of its events


class Sealer:
    """Any number may run. `sealed` are told of each seal that this one made, in format `layout`."""

    def __init__(
        self, pool: Pool, ring: SigningRing, *, largest: int = seals.LARGEST, layout: int = canonical.FORMAT
    ) -> None:
        self._pool = pool
        self._ring = ring
        self._largest, self._layout = largest, layout
        self._own: Seal | None = None  # the last that this process made or checked
        self._keys: list[KnownKey] = []
        self._names: seals.NamesByNumber = {}  # that it has
        self.sealed: list[Callable[[Seal], None]] = []

    async def run(self) -> None:
        """Raises SigningError when the seals are not what they should be: then nobody may go on."""
        while True:
            # Not until nothing is left: while jobs run there always is, and a round would have few events.
            if await self.step() < self._largest:
                await asyncio.sleep(EVERY)

    async def catch_up(self) -> int:
        """Seal up to the head; answers the events sealed."""
        total = 0
        while count := await self.step():
            total += count
        return total

    async def step(self) -> int:
        """The next range; answers how many events it has, 0 when there is none."""
        async with self._pool.connection() as connection:
            next_range = await self._next(connection, await self._standing(connection))
            if next_range is None:
                return 0
            # The tree of a full range takes some ten milliseconds: not in the loop of a server.
            seal = await asyncio.to_thread(self._make, next_range)
            row = await (
                await connection.execute(sql.load("seal_write"), seals.row_of(seal))
            ).fetchone()
        if row is None or not row[0]:
            return 0  # another process was first; looked at anew the next time
        self._own, self._names = seal, next_range.names
        for listener in self.sealed:
            listener(seal)
        return seal.count

    async def _standing(self, connection: Connection) -> seals.Standing:
        """As it is now. Behind our own seal nothing else need be read: a statement costs as much as a few
        hundred events, and where little happens a round has no more."""
        if self._own is not None:
            at = await seals.standing(connection, self._keys)
            if at.last is not None and at.last.hash == self._own.hash:
                return at
        self._keys, self._names = await self._known_keys(connection), {}
        at = await seals.standing(connection, self._keys)
        await self._check(connection, at)
        return at

    async def _known_keys(self, connection: Connection) -> list[KnownKey]:
        """Those that the database names, ours among them: endorsed by the one before it."""
        keys = await signing.known_keys(connection)
        first = self._ring.first.public
        if any(key.public == first for key in keys):
            return keys
        endorser = self._ring.endorser(keys)
        if keys and endorser is None:
            raise SigningError(
                "the signing key of this process is new here, and nobody endorses it: put the former key, "
                f"{signing.fingerprint(keys[-1].public)}, after it"
            )
        number, endorsement = endorser or (None, None)
        await connection.execute(
            "select hivelog.add_seal_key(%s, %s, %s)", (first, number, endorsement)
        )
        _log.info("signing_key_added", public_key=signing.to_text(first), endorsed_by=number)
        return await signing.known_keys(connection)

    async def _next(self, connection: Connection, at: seals.Standing) -> _Range | None:
        first = 1 if at.last is None else at.last.position + 1
        end = min(at.head, first + self._largest - 1)
        if end < first:
            return None
        found = await self._read(connection, first, end)
        if found.epoch_at is not None and found.epoch_at > first:
            end = found.epoch_at - 1  # a seal is of one epoch
            found = await self._read(connection, first, end)
        epoch = await _epoch(connection, first, found, at.last)
        names = await self._names_of(connection, *await numbers(connection, first, end, found))
        return _Range(at, end, epoch, names, found.joined)

    async def _names_of(
        self, connection: Connection, actors: Collection[int], queues: Collection[int]
    ) -> seals.NamesByNumber:
        """Those in our own last seal are known: names do not change, and are there before a seal has them."""
        kept: seals.NamesByNumber = {}
        missing: list[list[int]] = []
        for kind, wanted in ("actor", actors), ("queue", queues):
            names = self._names.get(kind, {})
            kept[kind] = {str(one): names[str(one)] for one in wanted if str(one) in names}
            missing.append([one for one in wanted if str(one) not in names])
        found = await seals.names_of(connection, *missing) if any(missing) else {}
        return {kind: names | found.get(kind, {}) for kind, names in kept.items()}

    async def _read(self, connection: Connection, first: int, end: int) -> Digests:
        found = await digests(connection, first, end, self._layout)
        if found.count != end - first + 1:
            raise SigningError(f"positions are missing between {first} and {end}: the log was altered")
        return found

    async def _check(self, connection: Connection, at: seals.Standing) -> None:
        """Whether this is the chain that we know, by keys that we trust."""
        own, last = self._own, at.last
        if own is not None and not await _has(connection, own, self._keys):
            # A log that lost its tail is in a new epoch, and the event that began it tells.
            if at.epoch == own.epoch:
                raise SigningError(f"the seal at position {own.position} is gone: the seals were altered")
            _log.error("seals_lost_with_the_tail_of_the_log", position=own.position, epoch=at.epoch)
        if last is not None and not self._trusts(last):
            raise SigningError(
                f"the seal at position {last.position} was made by a key that is not here, "
                f"{signing.fingerprint(last.public)}"
            )
        self._own = last

    def _trusts(self, seal: Seal) -> bool:
        return seal.public in signing.trusted_keys(self._ring.public, self._keys) and seal.is_signed()

    def _make(self, found: _Range) -> Seal:
        last = found.at.last
        number = next(key.number for key in self._keys if key.public == self._ring.first.public)
        draft = Draft(
            first=1 if last is None else last.position + 1, position=found.end, epoch=found.epoch,
            format=self._layout, sealed_at=found.at.now, root=merkle.root(found.joined),
            names=seals.names_text(found.names), previous=seals.GENESIS if last is None else last.hash,
        )  # fmt: skip
        return seals.signed(draft, self._ring.first, number, seals.prints_of(found.joined))


async def _has(connection: Connection, seal: Seal, keys: list[KnownKey]) -> bool:
    found = await seals.page(connection, seal.position, 1, keys)
    return bool(found) and found[0].hash == seal.hash


async def _epoch(connection: Connection, first: int, found: Digests, last: Seal | None) -> int:
    """That of a range: what the event that began it says, else that of the seal before."""
    if found.epoch_at == first:
        cursor = await connection.execute(sql.load("seal_events"), {"first": first, "last": first})
        row = await cursor.fetchone()
        assert row is not None
        return canonical.epoch_of(canonical.from_row(row))
    return 1 if last is None else last.epoch
