"""What a verification found, and what follows from it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

_MOST: Final = 100  # findings that are told; all are counted

# The order in which they are told at the same position.
KINDS: Final = {
    "altered": "an event is not what was sealed",
    "missing": "an event is gone",
    "inserted": "an event is where none was",
    "renamed": "an actor or a queue has another name than when it was sealed",
    "seal_altered": "a seal was changed",
    "seal_missing": "a seal is gone",
    "unknown_key": "sealed by a key that nobody vouches for",
    "tail_cut": "the log went on here, as an anchor outside shows",
    "anchor_differs": "another seal was anchored outside for this position",
}  # fmt: skip


class Finding(Struct, frozen=True):
    """Something that cannot have happened by itself, at positions first..last."""

    kind: str
    first: int
    last: int
    detail: str


class Rewind(Struct, frozen=True):
    """A restored database lost the end of an epoch: anchors outside know positions that it has not.

    `kept` is the last position of the epoch that is left, `known` the last that an anchor names."""

    epoch: int
    kept: int
    known: int
    detail: str


class Epoch(Struct, frozen=True):
    """One unbroken life of the log; `first` its first sealed position."""

    epoch: int
    first: int


class Tail(Struct, frozen=True):
    """How far it is proved that nothing was cut off the end. `provable_to` None: no anchor from outside was
    given."""

    provable_to: int | None
    note: str


class Gap(Struct, frozen=True):
    """Events up to `edge` were taken away by retention, as the log says itself. Their seals are still one
    chain. `carried` of them are here; `vouched`: an event after the edge says which."""

    edge: int
    carried: int
    vouched: bool


class Report(Struct, kw_only=True):
    """Of the positions first..last. `unsealed` events at the end have no seal yet. `verdict`: intact;
    rewound (a restore lost events, openly); altered."""

    first: int
    last: int
    head: int
    sealed_to: int
    unsealed: int
    events: int = 0
    seals: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)
    rewinds: list[Rewind] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    tail: Tail = Tail(None, "")
    gap: Gap | None = None  # None: nothing is gone, or the window lies after it
    keys: list[str] = field(default_factory=list)  # public keys that were trusted
    next: int | None = None  # where the next call goes on

    @property
    def verdict(self) -> str:
        return "altered" if self.found else "rewound" if self.rewinds else "intact"

    def add(self, kind: str, first: int, last: int, detail: str) -> None:
        self.found += 1
        if len(self.findings) < _MOST:
            self.findings.append(Finding(kind, first, last, detail))
