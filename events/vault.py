"""Bodies beside the log: sealed for one job and one slot, so that none opens in another's place.

    vault = Vault(keyring)                    # Vault(None): bodies in plain text
    sealed = vault.seal_new(job, payload)     # makes the job's salt and, with a keyring, its data key
    key = vault.key_of(job, salt, kek, wrapped)
    key.open(PAYLOAD, body); key.seal(RESULT, answer)

A sealed body is nonce (12) + AES-256-GCM ciphertext + tag (16) under the job's own data key, with
job id and slot as associated data. The digest in the event is SHA-256 of salt and plain text: the salt
dies with the vault row, and with it the means to confirm a guess.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct as Layout
from struct import iter_unpack

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from .keyring import KEY, NONCE, KeyMissing, Keyring, Tampered, VaultError

__all__ = [
    "ERROR", "FORMER_PAYLOAD", "PAYLOAD", "PROGRESS", "REASON", "RESULT",
    "JobKey", "KeyMissing", "Sealed", "Tampered", "Vault", "VaultError",
]  # fmt: skip

PAYLOAD, RESULT, ERROR, PROGRESS, REASON, FORMER_PAYLOAD = range(6)

SALT = 16
_SLOT = tuple(bytes((slot,)) for slot in range(6))
# Moved within the database, byte for byte: it still is what was sealed as a payload.
_SEALED_AS = (0, 1, 2, 3, 4, PAYLOAD)
_CACHED_KEYS = 4096
_DRAWN = 256  # salts at once for jobs that come one by one: a system call costs more than a digest
# What one job draws: salt, data key, nonce of the wrapped key, nonce of the body.
_RANDOM = Layout(f"{SALT}s{KEY}s{NONCE}s{NONCE}s")

_salts: list[bytes] = []  # drawn, and nobody's yet
# A child that went on with its parent's salts would give them to other jobs.
os.register_at_fork(after_in_child=_salts.clear)


def _salt() -> bytes:
    try:
        return _salts.pop()
    except IndexError:
        drawn = os.urandom(SALT * _DRAWN)
        _salts.extend(drawn[at : at + SALT] for at in range(SALT, len(drawn), SALT))
        return drawn[:SALT]


class Sealed(Struct, gc=False):
    """What the vault stores. `size` is that of the plain text; salt, kek, wrapped come with slot 0."""

    body: bytes
    size: int
    digest: bytes
    salt: bytes | None = None
    kek: int | None = None
    wrapped: bytes | None = None


class JobKey:
    """One job's right to read and write its bodies; made by `Vault.key_of`."""

    __slots__ = ("_cipher", "_salt", "job")

    def __init__(self, job: bytes, salt: bytes, cipher: AESGCM | None) -> None:
        self.job, self._salt, self._cipher = job, salt, cipher

    def seal(self, slot: int, plain: bytes) -> Sealed:
        """A body for this slot; each call takes a fresh nonce."""
        digest = sha256(self._salt + plain).digest()
        if self._cipher is None:
            return Sealed(plain, len(plain), digest)
        nonce = os.urandom(NONCE)
        body = nonce + self._cipher.encrypt(nonce, plain, self.job + _SLOT[_SEALED_AS[slot]])
        return Sealed(body, len(plain), digest)

    def open(self, slot: int, body: bytes) -> bytes:
        """The plain text. Raises Tampered."""
        if self._cipher is None:
            return body
        bound = self.job + _SLOT[_SEALED_AS[slot]]
        try:
            return self._cipher.decrypt(body[:NONCE], body[NONCE:], bound)
        except (InvalidTag, ValueError):
            raise Tampered(f"slot {slot} of job {self.job.hex()} does not open") from None

    def matches(self, plain: bytes, digest: bytes) -> bool:
        """Whether an event's digest speaks of this plain text."""
        return sha256(self._salt + plain).digest() == digest


class Vault:
    """Seals and opens; holds no bodies. Safe to use from several threads."""

    def __init__(self, keys: Keyring | None, *, encrypt: bool | None = None) -> None:
        """`encrypt` False with keys: new jobs stay plain, old ones still open."""
        self.keys = keys
        self.encrypts = keys is not None if encrypt is None else encrypt
        if self.encrypts and keys is None:
            raise ValueError("encryption needs a keyring")
        self._cipher = lru_cache(_CACHED_KEYS)(self._unwrap)

    def seal_new(self, job: bytes, payload: bytes) -> Sealed:
        """A new job's payload, with its salt and its wrapped data key."""
        if self.encrypts:
            return self._encrypted([job], [payload])[0]
        salt = _salt()
        return Sealed(payload, len(payload), sha256(salt + payload).digest(), salt)


    def seal_many(self, jobs: Sequence[bytes], payloads: Sequence[bytes]) -> list[Sealed]:
        """The same for many, from a single draw of randomness."""
        if self.encrypts:
            return self._encrypted(jobs, payloads)
        drawn = iter_unpack(f"{SALT}s", os.urandom(SALT * len(jobs)))
        return [
            Sealed(payload, len(payload), sha256(salt + payload).digest(), salt)
            for payload, (salt,) in zip(payloads, drawn, strict=True)
        ]

    def _encrypted(self, jobs: Sequence[bytes], payloads: Sequence[bytes]) -> list[Sealed]:
        assert self.keys is not None
        kek = self.keys.first
        if not kek.number:
            raise KeyMissing("the keyring was not numbered: vault rows could not name their key")
        drawn = _RANDOM.iter_unpack(os.urandom(_RANDOM.size * len(jobs)))
        sealed = []
        for job, payload, (salt, data_key, outer, inner) in zip(jobs, payloads, drawn, strict=True):
            body = inner + AESGCM(data_key).encrypt(inner, payload, job + _SLOT[PAYLOAD])
            digest = sha256(salt + payload).digest()
            wrapped = kek.wrap(job, data_key, outer)
            sealed.append(Sealed(body, len(payload), digest, salt, kek.number, wrapped))
        return sealed

    def key_of(self, job: bytes, salt: bytes, kek: int | None, wrapped: bytes | None) -> JobKey:
        """From the job's row of slot 0. Raises KeyMissing or Tampered.

        A job that was enqueued in plain text stays so to its end: it has no data key.
        """
        if kek is None or wrapped is None:
            return JobKey(job, salt, None)
        return JobKey(job, salt, self._cipher(job, kek, wrapped))

    def _unwrap(self, job: bytes, kek: int, wrapped: bytes) -> AESGCM:
        if self.keys is None:
            raise KeyMissing(
                "this job is encrypted, and this process has no key: set MESSAGING_ENCRYPTION_KEY"
            )
        return AESGCM(self.keys.by_number(kek).unwrap(job, wrapped))
