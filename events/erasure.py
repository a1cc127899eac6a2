"""The signed word in a certificate of erasure: who erased what, and where nothing of it was found. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from . import signing
from .canonical import SealedEvent

_MAGIC: Final = b"hivelog erasure certificate\x00\x01"
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Statement(Struct, frozen=True, kw_only=True):
    """`looked`: the tables that were searched for what the job carried, with nothing found, at
    `issued_at`."""

    job: str
    position: int  # of payload_erased
    erased_at: str
    erased_by: str
    looked: tuple[str, ...]
    issued_at: str
    public_key: str

    def message(self) -> bytes:
        return _MAGIC + _canonical(self)


class Erasure(Struct, frozen=True):
    """A statement and its signature, as it stands in the head of a bundle."""

    statement: Statement
    signature: str

    def problem(self, believed: frozenset[bytes]) -> str | None:
        """What is wrong with the signature; None: nothing."""
        public = signing.from_text(self.statement.public_key)
        if public not in believed:
            return "the certificate is signed by a key that nobody trusted endorses"
        if not signing.verify(public, bytes.fromhex(self.signature), self.statement.message()):
            return "the certificate is not what was signed"
        return None

    def is_about(self, event: SealedEvent) -> bool:
        """Whether this is the erasure that it speaks of."""
        said = self.statement
        return (event.position, event.type, event.stream) == (said.position, "payload_erased", said.job)
