"""Key-encryption keys (KEKs): the first wraps new data keys, all unwrap, which is what rotation needs.

    ring = Keyring.from_settings(settings.encryption_keys)
    await ring.number(conn)          # vault rows name a KEK by its number in hivelog.keks

No key material reaches the database: only fingerprints, which do not confirm a guessed key any better
than a ciphertext would, since keys are 32 random bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .pool import Connection

NONCE = 12
KEY = 32
_FINGERPRINT = b"hivelog kek fingerprint v1\0"
_SEARCH = b"hivelog search v1\x01"  # HKDF-Expand's first block: info, then a counter byte


class VaultError(Exception):
    """A body cannot be read or written."""


class KeyMissing(VaultError):
    """No key here opens it: the payload fails closed, the job's life goes on."""


class Tampered(VaultError):
    """The key is right, and the bytes are not what was sealed for this job and slot."""


class Kek:
    """One key-encryption key. `number` is 0 until the ring was numbered."""

    __slots__ = ("_cipher", "_search", "fingerprint", "number")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key-encryption key has {KEY} bytes, not {len(key)}")
        self._cipher = AESGCM(key)
        # A key of its own for hashes: a flaw in one use must not weaken the other.
        self._search = hmac.digest(key, _SEARCH, "sha256")
        self.fingerprint = hashlib.sha256(_FINGERPRINT + key).hexdigest()[:16]
        self.number = 0

    def wrap(self, job: bytes, data_key: bytes, nonce: bytes) -> bytes:
        """A data key, bound to its job: nonce (12), key (32), tag (16)."""
        return nonce + self._cipher.encrypt(nonce, data_key, job)

    def unwrap(self, job: bytes, wrapped: bytes) -> bytes:
        """The data key. Raises Tampered when it was wrapped for another job, or by another key."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE], wrapped[NONCE:], job)
        except (InvalidTag, ValueError):
            raise Tampered(f"the data key of a job does not open with {self.fingerprint}") from None

    def keyed_hash(self, path: str, value: str) -> bytes:
        """See `Keyring.keyed_hash`."""
        name = path.encode()
        # The length keeps ("a", "b=c") and ("a=b", "c") apart.
        message = len(name).to_bytes(4, "big") + name + value.encode()
        return hmac.digest(self._search, message, "sha256")


class Keyring:
    """The KEKs of this process, the encrypting one first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, at least one; ValueError otherwise."""
        if not keys:
            raise ValueError("a keyring needs at least one key")
        self.keks = tuple(Kek(key) for key in dict.fromkeys(keys))
        self._by_number: dict[int, Kek] = {}

    @classmethod
    def from_settings(cls, keys: Sequence[str]) -> Keyring:
        """From MESSAGING_ENCRYPTION_KEY: URL-safe base64 of 32 bytes each. ValueError otherwise."""
        return cls([urlsafe_b64decode(key) for key in keys])

    @property
    def first(self) -> Kek:
        """The KEK that encrypts."""
        return self.keks[0]

    async def number(self, conn: Connection) -> None:
        """Learn, or mint, the numbers by which vault rows name these KEKs."""
        for kek in self.keks:
            cursor = await conn.execute("select hivelog.kek_id(%s)", (kek.fingerprint,))
            row = await cursor.fetchone()
            assert row is not None
            self.set_number(kek, row[0])

    def set_number(self, kek: Kek, number: int) -> None:
        """Let vault rows with this number open with `kek`."""
        kek.number = number
        self._by_number[number] = kek

    def by_number(self, number: int) -> Kek:
        """Raises KeyMissing."""
        kek = self._by_number.get(number)
        if kek is None:
            raise KeyMissing(
                f"key-encryption key {number} is not among those of this process: add it to "
                "MESSAGING_ENCRYPTION_KEY, after the first"
            )
        return kek

    def keyed_hash(self, path: str, value: str) -> bytes:
        """What an index may hold in place of `path=value`: 32 bytes, useless without the key."""
        return self.first.keyed_hash(path, value)

    def keyed_hashes(self, path: str, value: str) -> list[bytes]:
        """The hash under every KEK: what was indexed before a rotation is found too."""
        return [kek.keyed_hash(path, value) for kek in self.keks]
