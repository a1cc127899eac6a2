"""The chain of seals, checked link by link: pure, no database.

A seal that a trusted key signed vouches, by the hash it names, for every seal before it. So few signatures
need checking: that of the last seal under each trusted key, and those around a broken link, to say which
side was changed. """

from __future__ import annotations

from collections.abc import Collection

from . import seals, signing
from .findings import Epoch, Report
from .seals import Seal


class Chain:
    """Fed with seals in order; tells the report what is wrong. `close` at the end."""

    def __init__(self, report: Report, trusted: Collection[bytes], before: Seal | None, start: int) -> None:
        """`before`: the seal before the first that comes; None when that is at `start` = position 1."""
        self._report = report
        self._trusted = trusted
        self._last = before
        self._next = start
        self._unvouched: int | None = None  # first position whose seal nobody trusted has vouched for yet

    def add(self, seal: Seal) -> None:
        self._report.seals += 1
        if seal.first != self._next:
            self._gap(seal)
        elif seal.previous != (seals.GENESIS if self._last is None else self._last.hash):
            self._broken(seal)
        if self._last is not None and self._last.public != seal.public:
            self._vouch(self._last)
        if self._last is None or self._last.epoch != seal.epoch:
            self._report.epochs.append(Epoch(seal.epoch, seal.first))
        if self._unvouched is None:
            self._unvouched = seal.first
        self._last, self._next = seal, seal.position + 1

    def _gap(self, seal: Seal) -> None:
        if seal.first > self._next:
            said = f"no seal covers positions {self._next} to {seal.first - 1}"
            self._report.add("seal_missing", self._next, seal.first - 1, said)
        else:
            said = f"the seal at {seal.position} begins at {seal.first}, inside the one before it"
            self._report.add("seal_altered", seal.first, seal.position, said)
        self._unvouch(seal)

    def _broken(self, seal: Seal) -> None:
        """Which of the two was changed, its own signature says."""
        last = self._last
        if not seal.is_signed():
            said = f"the seal at {seal.position} is not what was signed"
            self._report.add("seal_altered", seal.first, seal.position, said)
        elif last is not None and not last.is_signed():
            said = f"the seal at {last.position} is not what was signed"
            self._report.add("seal_altered", last.first, last.position, said)
        else:
            self._report.add(
                "seal_altered", seal.first, seal.position,
                f"the seal at {seal.position} follows another seal than the one that is there now",
            )  # fmt: skip
        self._unvouch(seal)

    def _unvouch(self, seal: Seal) -> None:
        """What came before a broken link is vouched for by nobody after it."""
        if self._last is not None:
            self._vouch(self._last)
        self._close()
        self._unvouched = seal.first

    def _vouch(self, seal: Seal) -> None:
        """Let the owner of its key vouch for everything up to this seal, if he may."""
        if seal.public in self._trusted and seal.is_signed():
            self._unvouched = None

    def close(self) -> None:
        """No more seals: the last must be one that a trusted key signed."""
        last = self._last
        if last is None or self._unvouched is None:
            return
        if last.public in self._trusted and not last.is_signed():
            said = f"the seal at {last.position} is not what was signed"
            self._report.add("seal_altered", last.first, last.position, said)
            self._unvouched = None
            return
        self._vouch(last)
        self._close()

    def _close(self) -> None:
        last, first = self._last, self._unvouched
        if last is None or first is None or first > last.position:
            return
        name = signing.fingerprint(last.public) if last.public else "none that the database knows"
        said = f"seals up to {last.position} end with the key {name}, which nobody trusted endorses"
        self._report.add("unknown_key", first, last.position, said)
        self._unvouched = None
