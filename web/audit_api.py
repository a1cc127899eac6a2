"""`/audit/...`: the seals of the log, and whether it still is what they say."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..events import anchors, proof, seals, signing, times
from ..events.anchors import Anchor
from ..events.verify import Verifier
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, invalid
from .requests import Call
from .services import Services

_MOST: Final = 200_000  # events read for one answer: a second or two
_ANCHORS: Final = 100  # the newest, of a file that may have a year of them


class SealRow(Struct):
    """`hash` is what the next seal and an anchor name; `key` the public key that signed."""

    first: int
    position: int
    epoch: int
    sealed_at: str
    root: str
    previous: str
    hash: str
    key: str
    signature: str


class Seals(Struct):
    """`after` the last one's position for the next page. `unsealed` events at the end have no seal yet."""

    seals: list[SealRow]
    keys: list[proof.KeyText]
    head: int
    sealed_to: int
    unsealed: int
    next: int | None


class Verified(Struct):
    """`verdict`: intact, rewound or altered; `next`: call again with from=next. `trusted_here` False: this
    server has no key of its own to tell whose seals to trust, and believed nobody's."""

    verdict: str
    trusted_here: bool
    report: dict[str, Any]


async def list_seals(call: Call) -> Answer:
    call.allow("after", "limit")
    after, limit = call.number("after", 0, 0, 10**18), call.number("limit", 100, 1, 1000)
    async with call.services.pool.connection() as connection:
        known = await signing.known_keys(connection)
        standing = await seals.standing(connection, known)
        found = await seals.page(connection, after + 1, limit, known)
    sealed_to = 0 if standing.last is None else standing.last.position
    return json(
        Seals(
            seals=[_row(seal) for seal in found], keys=[proof.tell_key(key) for key in known],
            head=standing.head, sealed_to=sealed_to, unsealed=max(0, standing.head - sealed_to),
            next=found[-1].position if len(found) == limit else None,
        )
    )  # fmt: skip


def _row(seal: seals.Seal) -> SealRow:
    return SealRow(
        first=seal.first, position=seal.position, epoch=seal.epoch,
        sealed_at=times.to_text(seal.sealed_at // 1000), root=seal.root.hex(), previous=seal.previous.hex(),
        hash=seal.hash.hex(), key=signing.to_text(seal.public), signature=seal.signature.hex(),
    )  # fmt: skip


async def verify(call: Call) -> Answer:
    """A window, bounded; `next` leads through the whole log. `hivelog audit verify` does it at once."""
    call.allow("from", "to")
    first = call.number("from", 1, 1, 10**18)
    last = call.number("to", 0, 1, 10**18) or None
    if last is not None and last < first:
        raise invalid("to", "must not be before from", status=400)
    services = call.services
    pinned = frozenset() if services.signing is None else services.signing.public
    verifier = Verifier(services.pool, pinned, await _anchors(services))
    report = await verifier.verify(first, last, _MOST)
    told = msgspec.to_builtins(report)
    return json(Verified(report.verdict, bool(pinned), told))


async def _anchors(services: Services) -> list[Anchor]:
    path = services.settings.anchor_file
    if path is None or not path.exists():
        return []
    try:
        return (await asyncio.to_thread(anchors.read, path))[-_ANCHORS:]
    except (OSError, ValueError):
        raise Problem("conflict", "the file with the anchors cannot be read as such") from None


async def prove(call: Call) -> Answer:
    call.allow("position")
    position = call.number("position", 0, 1, 10**18)
    if not position:
        raise invalid("position", "must be given", status=400)
    async with call.services.pool.connection() as connection:
        try:
            found = await proof.prove(connection, position)
        except proof.Archived as error:
            raise Problem("past_retention", str(error)) from None
        except ValueError as error:
            raise Problem("conflict", str(error)) from None
    if found is None:
        raise Problem("not_found", "no event at this position is sealed yet")
    return json(found)


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/audit/seals", run=list_seals, scope="read", tag="audit", answer=Seals,
        query={"after": "Those that end after this position.", "limit": "At most so many, to 1000."},
        summary="The seals of the log, oldest first, and the public keys that made them.",
    ),
    Endpoint(
        method="GET", path="/audit/verify", run=verify, scope="admin", tag="audit", answer=Verified,
        query={"from": "First position; 1.", "to": "Last position; the end of what is sealed."},
        summary="Read a part of the log again and hold it against its seals; go on at `report.next`.",
    ),
    Endpoint(
        method="GET", path="/audit/proof", run=prove, scope="admin", tag="audit", answer=proof.Proof,
        query={"position": "Of the event."},
        summary="That one event is in the log: its seal, and the path from one to the other.",
    ),
)  # fmt: skip
