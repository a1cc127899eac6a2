"""The anchors from outside, held against the chain of seals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from . import seals
from .anchors import Anchor
from .findings import Report, Rewind, Tail
from .pool import Connection
from .signing import KnownKey

_PAGE: Final = 500


async def check(
    connection: Connection, anchors: Sequence[Anchor], report: Report, known: Sequence[KnownKey]
) -> None:
    """Adds to the report what they show, and how far they prove the end of the log."""
    reached = 0
    for start in range(0, len(anchors), _PAGE):
        part = anchors[start : start + _PAGE]
        found = await seals.at(connection, [anchor.position for anchor in part], known)
        for anchor in part:
            seal = found.get(anchor.position)
            if seal is not None and seal.hash.hex() == anchor.seal:
                reached = max(reached, anchor.position)
            else:
                await _strange(connection, anchor, report)
    report.rewinds.sort(key=lambda rewind: rewind.epoch)
    report.tail = _tail(bool(anchors), reached, report.head)


async def _strange(connection: Connection, anchor: Anchor, report: Report) -> None:
    """An anchor of no seal here. A restore tells of itself by a new epoch; anything else is somebody's
    doing."""
    began = await seals.epoch_after(connection, anchor.epoch)
    if began is not None and anchor.position >= began:
        said = (
            f"epoch {anchor.epoch} went on to position {anchor.position} at least; "
            f"the database that was restored has kept it to {began - 1}"
        )
        _rewound(report, Rewind(anchor.epoch, began - 1, anchor.position, said))
    elif anchor.position > report.sealed_to:
        said = (
            f"an anchor of {anchor.sealed_at} knows position {anchor.position}; "
            f"the seals end at {report.sealed_to}"
        )
        report.add("tail_cut", report.sealed_to + 1, anchor.position, said)
    else:
        said = f"the seal at {anchor.position} is not the one that was anchored at {anchor.sealed_at}"
        report.add("anchor_differs", anchor.position, anchor.position, said)


def _rewound(report: Report, rewind: Rewind) -> None:
    """The farthest of each epoch."""
    same = [one for one in report.rewinds if one.epoch == rewind.epoch]
    if not same or rewind.known > same[0].known:
        report.rewinds = [one for one in report.rewinds if one not in same] + [rewind]


def _tail(given: bool, reached: int, head: int) -> Tail:
    if not given:
        return Tail(
            None,
            "no anchor from outside was given: if the end of the log was cut off together with its seals, "
            "nothing here shows it",
        )
    if not reached:
        return Tail(0, "none of the anchors is of this log as it is now")
    return Tail(reached, f"an anchor outside proves the log up to {reached}; it ends at {head}")
