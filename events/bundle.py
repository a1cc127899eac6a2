"""A part of the log that proves itself: lines of JSON, checked with the public key alone.

    async for line in write_range(pool, 1, 5000): file.write(line)
    found = check(file, pinned)

First a head, then each seal with its events. Where a seal's events are all there, their order proves them;
else each comes with its path. A bundle proves that what it has was in the log. That a job has nothing more,
it cannot: only positions without a hole can, so a range is complete in itself.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from .. import sql
from . import canonical, merkle, proof, seals, signing
from .canonical import SealedEvent
from .erasure import Erasure
from .pool import Pool
from .proof import KeyText, SealText
from .seals import Seal
from .signing import KnownKey

VERSION: Final = 1
_PAGE: Final = 50
_MOST: Final = 100  # problems that are told
_line = msgspec.json.Encoder().encode


class Head(Struct, frozen=True, kw_only=True):
    """`what`: {"first": .., "last": ..} or {"job": ..}."""

    hivelog_bundle: int
    what: dict[str, Any]
    keys: list[KeyText]
    erasure: Erasure | None = None  # of a certificate


class Line(Struct, frozen=True, omit_defaults=True):
    """A seal, or an event: with its path, unless all events of the seal are there."""

    seal: SealText | None = None
    event: SealedEvent | None = None
    path: list[list[str]] | None = None


class Checked(Struct):
    """What a bundle was found to be. `first`..`last` are its events; `whole`: no position between is left
    out."""

    what: dict[str, Any]
    events: int = 0
    seals: int = 0
    first: int | None = None
    last: int | None = None
    whole: bool = True
    erased: str | None = None  # the job that a certificate says was erased
    sealed_by: set[str] = msgspec.field(default_factory=set)
    problems: list[str] = msgspec.field(default_factory=list)
    found: int = 0

    def add(self, problem: str | None) -> None:
        if problem is not None:
            self.found += 1
            if len(self.problems) < _MOST:
                self.problems.append(problem)


# -- writing ---------------------------------------------------------------------------------------------


async def write_range(pool: Pool, first: int, last: int) -> AsyncIterator[bytes]:
    """The sealed events of first..last. Raises ValueError when they are not what was sealed."""
    async with pool.connection() as connection:
        known = await signing.known_keys(connection)
    yield _head({"first": first, "last": last}, known)
    at = first
    while at <= last:
        async with pool.connection() as connection:
            page = await seals.page(connection, at, _PAGE, known)
        page = [seal for seal in page if seal.first <= last]
        if not page:
            return
        for seal in page:
            positions = range(max(first, seal.first), min(last, seal.position) + 1)
            async for line in _of_seal(pool, seal, positions, known):
                yield line
        at = page[-1].position + 1


async def write_job(pool: Pool, job: bytes, erasure: Erasure | None = None) -> AsyncIterator[bytes]:
    """All events of a job that are sealed."""
    stream = UUID(bytes=job)
    async with pool.connection() as connection:
        known = await signing.known_keys(connection)
        cursor = await connection.execute(sql.load("stream_positions"), {"stream": stream})
        left = [row[0] for row in await cursor.fetchall()]
    yield _head({"job": str(stream)}, known, erasure)
    while left:
        async with pool.connection() as connection:
            page = await seals.page(connection, left[0], 1, known)
        if not page:
            return
        (seal,) = page
        inside = [at for at in left if seal.first <= at <= seal.position]
        if not inside:
            raise ValueError(f"position {left[0]} has no seal, but later ones have; verify the log")
        async for line in _of_seal(pool, seal, inside, known):
            yield line
        left = left[len(inside) :]


async def _of_seal(
    pool: Pool, seal: Seal, positions: Sequence[int], known: Sequence[KnownKey]
) -> AsyncIterator[bytes]:
    yield _line(Line(seal=proof.tell(seal))) + b"\n"
    async with pool.connection() as connection:
        if len(positions) == seal.count:
            events = await proof.events_of(connection, seal.first, seal.position)
            lines = [Line(event=event) for event in events]
        else:
            proofs = await proof.prove_in(connection, seal, positions, known)
            lines = [Line(event=one.event, path=one.path) for one in proofs]
    for line in lines:
        yield _line(line) + b"\n"


def _head(what: dict[str, Any], known: Sequence[KnownKey], erasure: Erasure | None = None) -> bytes:
    keys = [proof.tell_key(key) for key in known]
    return _line(Head(hivelog_bundle=VERSION, what=what, keys=keys, erasure=erasure)) + b"\n"


# -- checking --------------------------------------------------------------------------------------------


class _Check:
    """Fed with lines."""

    def __init__(self, head: Head, pinned: frozenset[bytes]) -> None:
        self.checked = Checked(head.what)
        self._believed = signing.trusted_keys(pinned, proof.heard_keys(head.keys))
        self._seal: Seal | None = None
        self._before: Seal | None = None
        self._digests: list[bytes] = []  # of events that came without a path
        self._erasure = head.erasure
        if head.erasure is not None:
            self.checked.erased = head.erasure.statement.job
            self.checked.add(head.erasure.problem(self._believed))

    def line(self, line: Line) -> None:
        if line.seal is not None:
            self.close()
            self._begin(proof.heard(line.seal))
        elif line.event is None or self._seal is None:
            self.checked.add("an event stands before any seal")
        else:
            self._event(line.event, line.path, self._seal)

    def _begin(self, seal: Seal) -> None:
        self._seal, self._digests = seal, []
        self.checked.seals += 1
        self.checked.sealed_by.add(signing.to_text(seal.public))
        self.checked.add(proof.check_seal(seal, self._believed))
        before = self._before
        if before is not None and seal.first == before.position + 1 and seal.previous != before.hash:
            self.checked.add(f"the seal at {seal.position} does not follow the one at {before.position}")
        self._before = seal

    def _event(self, event: SealedEvent, path: list[list[str]] | None, seal: Seal) -> None:
        checked = self.checked
        if self._erasure is not None and self._erasure.is_about(event):
            self._erasure = None
        if checked.last is not None and event.position <= checked.last:
            checked.add(f"event {event.position} is out of order")
        checked.whole &= checked.last is None or event.position == checked.last + 1
        checked.events += 1
        checked.first = event.position if checked.first is None else checked.first
        checked.last = event.position
        if path is not None:
            checked.add(proof.check_event(event, path, seal))
            return
        if event.position != seal.first + len(self._digests):
            checked.add(f"event {event.position} is not the one that the seal has next")
        try:
            self._digests.append(canonical.digest(event, seal.format))
        except (ValueError, struct.error) as error:
            checked.add(f"event {event.position}: {error}")

    def close(self) -> None:
        """The end of a seal: all events without paths together must make its root."""
        seal, self._seal = self._seal, None
        if seal is None or not self._digests:
            return
        if len(self._digests) != seal.count or merkle.root(b"".join(self._digests)) != seal.root:
            self.checked.add(f"the events {seal.first} to {seal.position} are not what was sealed")

    def end(self) -> None:
        """A certificate needs the event that it speaks of."""
        if self._erasure is not None:
            self.checked.add("the certificate speaks of an erasure that is not in the bundle")


def check(lines: Iterable[bytes], pinned: frozenset[bytes]) -> Checked:
    """Raises ValueError for what is no bundle at all."""
    numbered = enumerate(lines, start=1)
    _, first = next(numbered, (1, b""))
    checking = _Check(_decoded(first, Head, 1), pinned)
    for number, line in numbered:
        if line.strip():
            checking.line(_decoded(line, Line, number))
    checking.close()
    checking.end()
    return checking.checked


def _decoded(line: bytes, kind: Any, number: int) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"line {number} is not of a bundle: {error}") from None
