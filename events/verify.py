"""Is the log what was sealed? Reads it again, event by event, and says where it is not.

    report = await Verifier(pool, trusted, anchors).verify()          # everything
    report = await verifier.verify(first=1, most=200_000)             # a window; report.next goes on

`trusted` are public keys that the caller knows from outside the database. Nothing in the database is
believed but what they signed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from msgspec import Struct

from .. import sql
from . import seals, signing, verify_anchors, verify_kept
from .anchors import Anchor
from .chain import Chain
from .findings import Report
from .pool import Connection, Pool
from .seals import Seal
from .signing import KnownKey
from .verify_events import EventCheck, Progress

_PAGE: Final = 100  # seals read together: with their prints they may be 13 MB



class _Ends(Struct, frozen=True):
    head: int
    epoch: int
    first_event: int
    last_event: int
    before: int
    beyond: int
    first_beyond: int | None
    sealed: int


class Verifier:
    """Reads only, `lanes` statements at a time."""

    def __init__(
        self, pool: Pool, trusted: Collection[bytes], anchors: Sequence[Anchor] = (), *, lanes: int = 2,
        progress: Progress = lambda done, total: None,
    ) -> None:  # fmt: skip
        self._pool, self._pinned, self._anchors = pool, trusted, anchors
        self._report = Report(first=0, last=0, head=0, sealed_to=0, unsealed=0)
        self._events = EventCheck(pool, self._report, lanes=lanes, progress=progress)

    async def verify(self, first: int = 1, last: int | None = None, most: int | None = None) -> Report:
        """The whole seals that cover first..last (None: the end), at most `most` events and one seal more."""
        async with self._pool.connection() as connection:
            ends = await _ends(connection)
            known = await signing.known_keys(connection)
            before = await _before(connection, first, known)
            edge, kept = await verify_kept.claimed(connection)
        low = 1 if before is None else before.position + 1
        until = ends.sealed if last is None else min(last, ends.sealed)
        report = self._report = Report(
            first=low,
            last=until,
            head=ends.head,
            sealed_to=ends.sealed,
            unsealed=max(0, ends.head - ends.sealed),
            keys=[signing.to_text(key) for key in sorted(self._pinned)],
        )
        self._events.report, self._events.edge = report, edge
        if low <= edge:
            await verify_kept.check(self._pool, edge, kept, report)
        whole = low == 1 and last is None and most is None
        chain = Chain(report, signing.trusted_keys(self._pinned, known), before, low)
        await self._seals(chain, known, low, until, most)
        if report.next is None:
            await self._link_after(chain, known, until, ends)
            await self._ends(ends, whole)
        chain.close()
        async with self._pool.connection() as connection:
            await verify_anchors.check(connection, self._anchors, report, known)
        report.findings.sort(key=lambda found: (found.first, found.last))
        return report

    async def _seals(
        self, chain: Chain, known: Sequence[KnownKey], low: int, until: int, most: int | None
    ) -> None:
        """Chain and events of the seals from `low` on. Stops after `most` events, and says where it did."""
        here = max(0, until - max(low, self._events.edge + 1) + 1)
        total = here if most is None else min(most, here)
        at, done = low, 0
        while at <= until:
            async with self._pool.connection() as connection:
                page = await seals.page(connection, at, _PAGE, known, prints=True)
            page = [seal for seal in page if seal.first <= until]
            if not page:
                break
            for number, seal in enumerate(page):
                chain.add(seal)
                done += seal.count
                if most is not None and done >= most and seal.position < until:
                    page = page[: number + 1]
                    self._report.next, self._report.last = seal.position + 1, seal.position
                    break
            await self._events.check(page, total)
            if self._report.next is not None:
                return
            at = page[-1].position + 1

    async def _link_after(
        self, chain: Chain, known: Sequence[KnownKey], until: int, ends: _Ends
    ) -> None:
        """The seal after a window knows the last one in it."""
        if until >= ends.sealed:
            return
        async with self._pool.connection() as connection:
            after = await seals.page(connection, until + 1, 1, known)
        if after and after[0].first > until:
            self._report.seals -= 1
            chain.add(after[0])

    async def _ends(self, ends: _Ends, whole: bool) -> None:
        report = self._report
        if ends.before:
            report.add("inserted", 0, 0, f"{ends.before} events lie before position 1")
        if ends.beyond:
            first = ends.first_beyond or ends.head + 1
            said = f"{ends.beyond} events lie beyond the head, {ends.head}"
            report.add("inserted", first, ends.last_event, said)
        if ends.head < ends.sealed:
            said = f"the log's head is {ends.head}, and seals reach to {ends.sealed}"
            report.add("missing", ends.head + 1, ends.sealed, said)
        if whole and ends.head > ends.sealed:
            await self._unsealed(ends)

    async def _unsealed(self, ends: _Ends) -> None:
        """Of what has no seal yet, only holes can be seen."""
        async with self._pool.connection() as connection:
            values = {"first": ends.sealed + 1, "last": ends.head}
            rows = await (await connection.execute(sql.load("verify_positions"), values)).fetchall()
        for (position,) in rows:
            self._report.add("missing", position, position, f"position {position} holds no event")

async def _ends(connection: Connection) -> _Ends:
    row = await (await connection.execute(sql.load("verify_ends"))).fetchone()
    assert row is not None
    return _Ends(*row)


async def _before(connection: Connection, first: int, known: Sequence[KnownKey]) -> Seal | None:
    """The last seal that ends before `first`."""
    row = await (await connection.execute(sql.load("seal_before"), {"first": first})).fetchone()
    if row is None:
        return None
    found = await seals.at(connection, [row[0]], known)
    return found[row[0]]
