"""What jobs carry beside the log, opened for answers; what cannot be read spoils nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import structlog
from msgspec import Struct

from ..events import vault
from ..events.vault import JobKey, KeyMissing, Tampered, Vault

# As replays name it: not what was sealed, or sealed with a key that is not here.
Unreadable = Literal["damaged", "no_key"]

NULL: Final = msgspec.Raw(b"null")
_well_formed: Final = msgspec.json.Decoder(msgspec.Raw)
_log = structlog.get_logger(__name__)


def checked(job: bytes, slot: int, body: bytes) -> msgspec.Raw:
    """Raises Tampered for what is not JSON."""
    try:
        body.decode()  # within texts the decoder looks at no byte
        _well_formed.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise Tampered(f"slot {slot} of job {job.hex()} is not JSON") from None
    return msgspec.Raw(body)


class Body(Struct, gc=False, frozen=True):
    """A row of the vault, still sealed."""

    slot: int
    token: int
    sealed: bytes


class Bodies:
    """What a job carries beside the log. Nothing is there after its erasure.

    What does not open is as if it were not there, and `unreadable` says why: a damaged job hides no other.
    """

    def __init__(
        self, key: JobKey | None, rows: Sequence[Body], unreadable: Unreadable | None = None
    ) -> None:
        self._key, self.unreadable = key, unreadable
        self._rows = {(row.slot, row.token): row.sealed for row in rows}

    def at(self, position: int, lease: int | None) -> Bodies:
        """What there was at a position: the payload that it ran with then, and what had been told. `lease`:
        the token of the attempt that ran, whose error text is yet to come. Erased stays erased."""
        before = position + 1 if lease is None else lease
        there = position + 1
        ends = {
            vault.ERROR: before, vault.PROGRESS: there, vault.REASON: there, vault.FORMER_PAYLOAD: there,
        }  # fmt: skip
        rows = {
            (slot, token): sealed
            for (slot, token), sealed in self._rows.items()
            if slot in (vault.PAYLOAD, vault.RESULT) or token < ends.get(slot, 0)
        }
        former = [token for slot, token in self._rows if slot == vault.FORMER_PAYLOAD and token > position]
        if former:
            rows[vault.PAYLOAD, 0] = self._rows[vault.FORMER_PAYLOAD, min(former)]
        there_then = [Body(slot, token, sealed) for (slot, token), sealed in rows.items()]
        return Bodies(self._key, there_then, self.unreadable)

    def open(self, slot: int, token: int = 0) -> bytes | None:
        sealed = self._rows.get((slot, token))
        if sealed is None or self._key is None:
            return None
        try:
            return self._key.open(slot, sealed)
        except Tampered as error:
            self._damaged(str(error))
            return None

    def json(self, slot: int, token: int = 0) -> msgspec.Raw:
        """As it goes into an answer; null where there is none. What is not JSON would spoil all of it."""
        body = self.open(slot, token)
        if body is None or self._key is None:
            return NULL
        try:
            return checked(self._key.job, slot, body)
        except Tampered as error:
            self._damaged(str(error))
            return NULL

    def _damaged(self, why: str) -> None:
        self.unreadable = "damaged"
        _tell("damaged", why)

    def text(self, slot: int, token: int) -> str | None:
        body = self.open(slot, token)
        return None if body is None else body.decode("utf-8", "replace")

    def last(self, slot: int, before: int | None = None) -> str | None:
        """The newest text of the slot; `before`: of those that were there at this position."""
        tokens = [
            token for found, token in self._rows if found == slot and (before is None or token < before)
        ]
        return self.text(slot, max(tokens)) if tokens else None


def bodies_of(sealer: Vault, job: bytes, rows: Sequence[Sequence[Any]]) -> Bodies:
    """From rows of the vault: (slot, token, kek, salt, wrapped, body)."""
    carried = [Body(row[0], row[1], row[5]) for row in rows if row[5] is not None]
    key = None
    try:
        for slot, _, kek, salt, wrapped, _ in rows:
            if slot == vault.PAYLOAD and salt is not None:
                key = sealer.key_of(job, salt, kek, wrapped)
    except KeyMissing as error:
        _tell("no_key", str(error))
        return Bodies(None, carried, "no_key")
    except Tampered as error:
        _tell("damaged", f"job {job.hex()}: {error}")
        return Bodies(None, carried, "damaged")
    return Bodies(key, carried)


@lru_cache(4096)
def _tell(why: Unreadable, what: str) -> None:
    """Once a process, however often a page reads it."""
    _log.error("unreadable_body", why=why, what=what)
