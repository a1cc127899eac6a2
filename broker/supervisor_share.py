"""Which supervisor runs how many of the wanted processes. Pure.

Every supervisor computes this from the same rows (the wanted numbers, and who lives), so all come to the same
answer without asking each other, and together they run each wanted process once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct


class Wish(Struct, frozen=True):
    """What a queue should have. Pinned: somebody set it by hand."""

    queue: str
    workers: int
    pinned: bool = False
    priority: int = 0


class Member(Struct, frozen=True):
    """A living supervisor. `queues` None: all; `limit`: processes that its host takes, None: any number."""

    id: str
    queues: frozenset[str] | None = None
    limit: int | None = None

    def serves(self, queue: str) -> bool:
        return self.queues is None or queue in self.queues


def allot(wishes: Sequence[Wish], members: Sequence[Member]) -> dict[str, Counter[str]]:
    """Member's id -> queue -> processes. Never more of a queue than wished; fewer only where all are full.

    A process goes to the member that has the fewest of its queue; which of several is a matter of both names,
    so that the change of one queue moves nothing of another, and odd ones do not all fall to the same host.
    """
    given: dict[str, Counter[str]] = {member.id: Counter() for member in members}
    orders = {wish.queue: sorted(members, key=lambda m: _rank(wish.queue, m.id)) for wish in wishes}
    for queue in turns(wishes):
        if (taker := _taker(queue, orders[queue], given)) is not None:
            given[taker][queue] += 1
    return given


def turns(wishes: Sequence[Wish]) -> Iterator[str]:
    """The queues in the order in which they get a process, for hosts that are too small for all: each its
    first one, then what was set by hand, then the others by turns; higher priority first."""
    ordered = sorted(wishes, key=lambda wish: (-wish.priority, wish.queue))
    yield from (wish.queue for wish in ordered if wish.workers)
    for pinned in (True, False):
        group = [wish for wish in ordered if wish.pinned is pinned]
        for number in range(1, max((wish.workers for wish in group), default=0)):
            yield from (wish.queue for wish in group if number < wish.workers)


def _taker(queue: str, order: Sequence[Member], given: Mapping[str, Counter[str]]) -> str | None:
    free = [m for m in order if m.serves(queue) and (m.limit is None or given[m.id].total() < m.limit)]
    return min(free, key=lambda m: given[m.id][queue]).id if free else None


def _rank(queue: str, member: str) -> bytes:
    return blake2b(f"{queue}\0{member}".encode(), digest_size=8).digest()
