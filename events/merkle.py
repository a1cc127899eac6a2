"""A hash tree over the digests of a range of events, eight branches a node.

    root(digests)                    # digests: 32 bytes each, joined
    path = proof(digests, index)     # O(log n): up to seven neighbours a level
    climb(digests[32 * index :][:32], index, count, path) == root(digests)

Eight instead of two branches: a seventh of the hashes for the price of a proof some three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

SIZE: Final = 32
BRANCHES: Final = 8
_NODE: Final = b"\x01"  # digests of events begin with 0: no node passes for an event
_WIDTH: Final = SIZE * BRANCHES


class BadProof(ValueError):
    """A path that does not fit the tree it is said to come from."""


def root(digests: bytes) -> bytes:
    """Of at least one digest. A single one is its own root."""
    if not digests or len(digests) % SIZE:
        raise ValueError("a tree needs whole digests, at least one")
    while len(digests) > SIZE:
        digests = _above(digests)
    return digests


def _above(level: bytes) -> bytes:
    """The next level; a node without neighbours goes up as it is."""
    whole = len(level) - (SIZE if len(level) % _WIDTH == SIZE else 0)
    nodes = [sha256(_NODE + level[at : at + _WIDTH]).digest() for at in range(0, whole, _WIDTH)]
    return b"".join(nodes) + level[whole:]


def proof(digests: bytes, index: int) -> list[list[bytes]]:
    """The neighbours of digest `index` at each level, in order, without the node itself."""
    path = []
    while len(digests) > SIZE:
        low = index // BRANCHES * _WIDTH
        group = [digests[at : at + SIZE] for at in range(low, min(low + _WIDTH, len(digests)), SIZE)]
        del group[index % BRANCHES]
        path.append(group)
        digests, index = _above(digests), index // BRANCHES
    return path


def climb(digest: bytes, index: int, count: int, path: Sequence[Sequence[bytes]]) -> bytes:
    """The root that follows from a digest and its path. Raises BadProof when the path has another shape."""
    if not 0 <= index < count:
        raise BadProof(f"there is no event {index} among {count}")
    levels = iter(path)
    while count > 1:
        group = list(next(levels, ()))
        low = index // BRANCHES * BRANCHES
        if len(group) != min(BRANCHES, count - low) - 1 or any(len(one) != SIZE for one in group):
            raise BadProof("the path does not fit the size of the tree")
        if group:
            group.insert(index % BRANCHES, digest)
            digest = sha256(_NODE + b"".join(group)).digest()
        index, count = index // BRANCHES, -(-count // BRANCHES)
    if next(levels, None) is not None:
        raise BadProof("the path goes on above the root")
    return digest
