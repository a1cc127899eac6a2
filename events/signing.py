"""Who vouches for the log: Ed25519 keys, and which of them a verifier has reason to trust.

    ring = SigningRing.from_settings(settings.signing_keys)     # the first signs, former ones endorse it
    signature = ring.first.sign(message)
    trusted = trusted_keys(ring.public, known)

At a rotation both keys sign: the old one endorses the new one, and the new one says whom it follows. So
whoever trusts either has reason to trust the other, and nobody else can put a key of his own into the line.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from .. import sql
from .pool import Connection

SIZE: Final = 32
_ENDORSED: Final = b"hivelog signing key endorsed\x00"
_FOLLOWED: Final = b"hivelog signing key followed\x00"
_SIGNATURE: Final = 64


class SigningError(Exception):
    """The log cannot be sealed, or must not be, by this process."""


class KnownKey(Struct, frozen=True):
    """A public key that the database names by number, and who vouched for it."""

    number: int
    public: bytes
    endorsed_by: int | None = None
    endorsement: bytes | None = None


class SigningKey:
    """One private key. Never printed, never stored by us but in a file of its owner's."""

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SIZE:
            raise ValueError(f"a signing key has {SIZE} bytes, not {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def succeed(self, former: SigningKey) -> bytes:
        """Both keys' word on it: the former one's that this is its successor, this one's whom it follows."""
        return former.sign(_ENDORSED + self.public) + self.sign(_FOLLOWED + former.public)


class SigningRing:
    """The signing keys of this process, the one in use first."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        if not seeds:
            raise ValueError("a ring needs at least one key")
        self.keys = tuple(SigningKey(seed) for seed in dict.fromkeys(seeds))

    @classmethod
    def from_settings(cls, keys: Sequence[str]) -> SigningRing:
        """From HIVELOG_SIGNING_KEY: URL-safe base64 of 32 bytes each. ValueError otherwise."""
        return cls([urlsafe_b64decode(key) for key in keys])

    @property
    def first(self) -> SigningKey:
        return self.keys[0]

    @property
    def public(self) -> frozenset[bytes]:
        return frozenset(key.public for key in self.keys)

    def endorser(self, known: Collection[KnownKey]) -> tuple[int, bytes] | None:
        """(number of a known key that is in this ring, the two keys' word that the first follows it)."""
        ours = {key.public: key for key in self.keys[1:]}
        for one in sorted(known, key=lambda key: -key.number):
            if one.public in ours:
                return one.number, self.first.succeed(ours[one.public])
        return None


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of this public key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def trusted_keys(pinned: Collection[bytes], known: Collection[KnownKey]) -> frozenset[bytes]:
    """The pinned keys, those that follow from them by endorsement, and those that they follow."""
    trusted = set(pinned)
    by_number = {key.number: key for key in known}
    grew = True
    while grew:
        before = len(trusted)
        for key in known:
            former = None if key.endorsed_by is None else by_number.get(key.endorsed_by)
            if former is not None and key.endorsement is not None:
                trusted |= _bound(former.public, key.public, key.endorsement, trusted)
        grew = len(trusted) > before
    return frozenset(trusted)


def _bound(former: bytes, public: bytes, words: bytes, trusted: Collection[bytes]) -> set[bytes]:
    """Which of two keys the trusted other one vouches for."""
    endorsed, followed = words[:_SIGNATURE], words[_SIGNATURE:]
    found = set()
    if former in trusted and verify(former, endorsed, _ENDORSED + public):
        found.add(public)
    if public in trusted and verify(public, followed, _FOLLOWED + former):
        found.add(former)
    return found


def fingerprint(public: bytes) -> str:
    """To tell keys apart when reading; not for checking."""
    return sha256(public).hexdigest()[:16]


def to_text(public: bytes) -> str:
    """URL-safe base64, as `--public-key` takes it."""
    return urlsafe_b64encode(public).decode()


def from_text(text: str) -> bytes:
    """Raises ValueError unless it is URL-safe base64 of 32 bytes."""
    try:
        public = urlsafe_b64decode(text.strip())
    except ValueError:
        public = b""
    if len(public) != SIZE:
        raise ValueError("a public key is URL-safe base64 of 32 bytes")
    return public


async def known_keys(connection: Connection) -> list[KnownKey]:
    """Those that the database names."""
    cursor = await connection.execute(sql.load("seal_keys"), binary=True)
    return [
        KnownKey(row[0], bytes(row[1]), row[2], None if row[3] is None else bytes(row[3]))
        for row in await cursor.fetchall()
    ]
