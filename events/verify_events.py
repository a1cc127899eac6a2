"""The events under each seal, digested anew and compared; where they differ, which ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from .. import sql
from . import canonical, merkle, seals
from .digests import digests
from .findings import Report
from .pool import Pool
from .seals import Seal

_GROUP: Final = 16_384  # events whose digests come in one answer, unless a seal has more
_TOLD: Final = 20  # altered events told one by one, of each seal

Progress = Callable[[int, int], None]


class EventCheck:
    """`lanes` statements at a time; of seals that end at or before `edge`, events were archived."""

    def __init__(self, pool: Pool, report: Report, *, lanes: int, progress: Progress) -> None:
        self.report = report
        self.edge = 0
        self._pool, self._lanes, self._progress = pool, lanes, progress
        self._names: dict[str, dict[str, str]] = {"actor": {}, "queue": {}}

    async def check(self, page: Sequence[Seal], total: int) -> None:
        """What these seals cover, in groups, `lanes` at a time."""
        groups = list(_grouped([seal for seal in page if seal.position > self.edge]))
        await self._learn(page)
        waiting = iter(groups)

        async def lane() -> None:
            for group in waiting:
                await self._group(group)
                self.report.events += sum(seal.count for seal in group)
                self._progress(self.report.events, total)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self._lanes, len(groups))):
                tasks.create_task(lane())

    async def _group(self, group: Sequence[Seal]) -> None:
        first, last = group[0].first, group[-1].position
        async with self._pool.connection() as connection:
            found = await digests(connection, first, last, group[0].format)
        if found.count != last - first + 1:
            wrong = list(group)
        else:
            wrong = await asyncio.to_thread(_mismatched, group, found.joined, first)
        for seal in wrong:
            await self._locate(seal)
        for seal in group:
            self._renamed(seal)

    async def _locate(self, seal: Seal) -> None:
        """Which events of a seal are not what was sealed."""
        rows = await self._rows(seal, seal.format)
        # Where the signature does not hold, the format may be what was changed.
        others = [one for one in canonical.FORMATS if one != seal.format and not seal.is_signed()]
        for tried in (rows, *[await self._rows(seal, other) for other in others]):
            joined = b"".join(digest for _, digest in tried)
            if len(tried) == seal.count and merkle.root(joined) == seal.root:
                if seal.prints != seals.prints_of(joined):
                    said = f"the seal at {seal.position} has other prints than its events"
                    self.report.add("seal_altered", seal.first, seal.position, said)
                return
        # A seal that was changed itself is the chain's to tell.
        if not self._tell(seal, rows) and seal.is_signed():
            said = f"somewhere in positions {seal.first} to {seal.position} an event is not what was sealed"
            self.report.add("altered", seal.first, seal.position, said)

    async def _rows(self, seal: Seal, layout: int) -> list[tuple[int, bytes]]:
        """The position and digest of each event that is there now."""
        async with self._pool.connection() as connection:
            values = {"first": seal.first, "last": seal.position, "format": layout}
            cursor = await connection.execute(sql.load("verify_locate"), values, binary=True)
            return [(row[0], bytes(row[1])) for row in await cursor.fetchall()]

    def _tell(self, seal: Seal, rows: Sequence[tuple[int, bytes]]) -> int:
        """One finding an event, or a run of missing ones; answers how many there are."""
        found: dict[int, set[bytes]] = {}
        for position, digest in rows:
            if position in found:
                said = f"position {position} holds more than one event"
                self.report.add("inserted", position, position, said)
            found.setdefault(position, set()).add(digest[:2])
        missing = list(_runs(at for at in range(seal.first, seal.position + 1) if at not in found))
        for first, last in missing:
            self.report.add("missing", first, last, _hole(first, last))
        altered = _altered(seal, found)
        for position in altered[:_TOLD]:
            said = f"the event at {position} is not what was sealed"
            self.report.add("altered", position, position, said)
        self.report.found += len(altered[_TOLD:])
        return len(altered) + len(missing) + (len(rows) - len(found))

    # -- names -------------------------------------------------------------------------------------------

    async def _learn(self, page: Sequence[Seal]) -> None:
        """The names that these seals know, as the database has them now."""
        wanted: dict[str, set[int]] = {"actor": set(), "queue": set()}
        for seal in page:
            for kind, names in _names(seal).items():
                wanted[kind] |= {int(number) for number in names if number not in self._names[kind]}
        if not wanted["actor"] and not wanted["queue"]:
            return
        async with self._pool.connection() as connection:
            found = await seals.names_of(connection, sorted(wanted["actor"]), sorted(wanted["queue"]))
        for kind, names in found.items():
            self._names[kind] |= names

    def _renamed(self, seal: Seal) -> None:
        for kind, names in _names(seal).items():
            for number, name in names.items():
                now = self._names[kind].get(number)
                if now == name:
                    continue
                said = f"{kind} {number} was {name!r} when it was sealed, and is {now!r}"
                if not any(found.detail == said for found in self.report.findings):
                    self.report.add("renamed", seal.first, seal.position, said)


def _altered(seal: Seal, found: dict[int, set[bytes]]) -> list[int]:
    """The positions none of whose events has the print that was kept."""
    prints = seal.prints
    if prints is None or len(prints) != 2 * seal.count:
        return []
    return [
        position for position, seen in found.items()
        if prints[2 * (position - seal.first) : 2 * (position - seal.first) + 2] not in seen
    ]  # fmt: skip


def _runs(positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Neighbours as (first, last)."""
    run: tuple[int, int] | None = None
    for position in positions:
        if run is not None and position == run[1] + 1:
            run = (run[0], position)
            continue
        if run is not None:
            yield run
        run = (position, position)
    if run is not None:
        yield run


def _hole(first: int, last: int) -> str:
    if first == last:
        return f"position {first} holds no event"
    return f"positions {first} to {last} hold no event"


def _grouped(page: Sequence[Seal]) -> Iterator[list[Seal]]:
    """Neighbours of one format without a gap, so many that their digests make one answer."""
    group: list[Seal] = []
    size = 0
    for seal in page:
        last = group[-1] if group else seal
        apart = (seal.first, seal.format) != (last.position + 1, last.format)
        if group and (apart or size + seal.count > _GROUP):
            yield group
            group, size = [], 0
        group.append(seal)
        size += seal.count
    if group:
        yield group


def _mismatched(group: Sequence[Seal], joined: bytes, first: int) -> list[Seal]:
    """The seals whose root or prints are not those of their events."""
    wrong = []
    for seal in group:
        part = joined[(seal.first - first) * merkle.SIZE : (seal.position + 1 - first) * merkle.SIZE]
        if merkle.root(part) != seal.root or seal.prints != seals.prints_of(part):
            wrong.append(seal)
    return wrong


def _names(seal: Seal) -> dict[str, dict[str, str]]:
    """Of a seal that was altered they may be anything; then the chain tells."""
    try:
        return msgspec.json.decode(seal.names, type=dict[str, dict[str, str]])
    except msgspec.DecodeError:
        return {}
