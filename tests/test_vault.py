"""A body opens for its own job, in its own slot, under its own key, and nowhere else."""

from __future__ import annotations

import os
import stat
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from hivelog.events import keyfile, vault
from hivelog.events.batch import Part
from hivelog.events.keyring import Keyring
from hivelog.events.log import Log
from hivelog.events.names import SYSTEM_STREAM
from hivelog.events.pool import Connection, connect
from hivelog.events.rotate import Rotation, rotate
from hivelog.events.vault import KeyMissing, Sealed, Tampered, Vault
from hypothesis import given
from hypothesis import strategies as st

keys = st.binary(min_size=32, max_size=32)
jobs = st.binary(min_size=16, max_size=16)
slots = st.integers(0, 5)
bodies = st.binary(max_size=300)


def ring(*raw: bytes) -> Keyring:
    made = Keyring(raw)
    for number, kek in enumerate(made.keks, start=1):
        made.set_number(kek, number)
    return made


def sealed(key: bytes, job: bytes, payload: bytes) -> Sealed:
    return Vault(ring(key)).seal_new(job, payload)


def opener(key: bytes, job: bytes, body: Sealed) -> vault.JobKey:
    assert body.salt is not None
    return Vault(ring(key)).key_of(job, body.salt, body.kek, body.wrapped)


@given(keys, jobs, bodies, bodies, slots)
def test_what_was_sealed_opens(key: bytes, job: bytes, payload: bytes, more: bytes, slot: int) -> None:
    first = sealed(key, job, payload)
    own = opener(key, job, first)
    assert own.open(vault.PAYLOAD, first.body) == payload
    assert own.open(vault.FORMER_PAYLOAD, first.body) == payload
    other = own.seal(slot, more)
    assert own.open(slot, other.body) == more
    assert (other.size, len(other.body)) == (len(more), len(more) + 28)
    assert first.digest == sha256((first.salt or b"") + payload).digest()
    assert own.matches(more, other.digest)
    assert len(payload) < 4 or payload not in first.body


@given(keys, keys, jobs, bodies)
def test_a_wrong_key_never_decrypts(key: bytes, other: bytes, job: bytes, payload: bytes) -> None:
    if key == other:
        return
    with pytest.raises(Tampered):
        opener(other, job, sealed(key, job, payload))


@given(keys, jobs, jobs, bodies)
def test_a_wrong_job_never_decrypts(key: bytes, job: bytes, other: bytes, payload: bytes) -> None:
    if job == other:
        return
    first, second = sealed(key, job, payload), sealed(key, other, payload)
    with pytest.raises(Tampered):  # its data key does not open either
        opener(key, other, first)
    with pytest.raises(Tampered):
        opener(key, other, second).open(vault.PAYLOAD, first.body)


@given(keys, jobs, bodies, slots, slots)
def test_a_wrong_slot_never_decrypts(key: bytes, job: bytes, body: bytes, slot: int, other: int) -> None:
    if {slot, other} == {vault.PAYLOAD, vault.FORMER_PAYLOAD} or slot == other:
        return
    own = opener(key, job, sealed(key, job, b"{}"))
    with pytest.raises(Tampered):
        own.open(other, own.seal(slot, body).body)


@given(keys, jobs, bodies, st.data())
def test_a_changed_byte_is_noticed(key: bytes, job: bytes, payload: bytes, data: st.DataObject) -> None:
    first = sealed(key, job, payload)
    own = opener(key, job, first)
    changed = bytearray(first.body)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(changed), first.body[:-1], first.body[:20], b""):
        with pytest.raises(Tampered):
            own.open(vault.PAYLOAD, broken)


@given(jobs, bodies, bodies)
def test_without_encryption_bodies_are_plain_and_digests_are_salted(
    job: bytes, payload: bytes, answer: bytes
) -> None:
    plain = Vault(None)
    first, again = plain.seal_many([job, job], [payload, payload])
    assert (first.body, first.kek, first.wrapped) == (payload, None, None)
    assert first.salt != again.salt
    assert first.digest != again.digest
    assert first.salt is not None
    own = plain.key_of(job, first.salt, None, None)
    assert own.open(vault.PAYLOAD, first.body) == payload
    assert own.seal(vault.RESULT, answer).body == answer


def test_salts_of_jobs_that_come_one_by_one_are_nobody_elses() -> None:
    plain = Vault(None)
    salts = {plain.seal_new(b"j" * 16, b"same").salt for _ in range(1000)}
    assert len(salts) == 1000
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, plain.seal_new(b"j" * 16, b"same").salt or b"")
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 16)
    assert len(theirs) == 16
    assert theirs not in salts | {plain.seal_new(b"j" * 16, b"same").salt for _ in range(1000)}


def test_every_job_has_a_data_key_and_nonce_of_its_own() -> None:
    many = Vault(ring(b"k" * 32)).seal_many([b"j" * 16] * 100, [b"same"] * 100)
    assert len({one.body[:12] for one in many} | {(one.wrapped or b"")[:12] for one in many}) == 200
    assert len({one.body[12:] for one in many}) == 100


def test_a_missing_key_fails_closed() -> None:
    first = sealed(b"a" * 32, b"j" * 16, b"secret")
    assert first.salt is not None
    with pytest.raises(KeyMissing, match="MESSAGING_ENCRYPTION_KEY"):
        Vault(None).key_of(b"j" * 16, first.salt, first.kek, first.wrapped)
    with pytest.raises(KeyMissing, match="key 7"):
        Vault(ring(b"a" * 32)).key_of(b"j" * 16, first.salt, 7, first.wrapped)
    with pytest.raises(KeyMissing, match="numbered"):
        Vault(Keyring([b"a" * 32])).seal_new(b"j" * 16, b"secret")


def test_keys_stay_for_reading_when_encryption_is_switched_off() -> None:
    first = sealed(b"a" * 32, b"j" * 16, b"secret")
    off = Vault(ring(b"a" * 32), encrypt=False)
    assert off.seal_new(b"k" * 16, b"open").body == b"open"
    assert first.salt is not None
    own = off.key_of(b"j" * 16, first.salt, first.kek, first.wrapped)
    assert own.open(vault.PAYLOAD, first.body) == b"secret"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_search_hashes_tell_field_and_value_apart(a: str, b: str, c: str, d: str) -> None:
    try:
        "".join((a, b, c, d)).encode()
    except UnicodeEncodeError:
        return
    own = ring(b"a" * 32, b"b" * 32)
    assert (own.keyed_hash(a, b) == own.keyed_hash(c, d)) == ((a, b) == (c, d))
    assert own.keyed_hashes(a, b) == [own.keyed_hash(a, b), ring(b"b" * 32).keyed_hash(a, b)]


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, "test")
    yield connection
    await connection.close()


async def store(conn: Connection, job: bytes, body: Sealed) -> None:
    await conn.execute(
        "insert into hivelog.vault (job, slot, kek, salt, wrapped, body) values (%s, 0, %s, %s, %s, %s)",
        (UUID(bytes=job), body.kek, body.salt, body.wrapped, body.body),
    )


async def stored(conn: Connection) -> dict[bytes, Sealed]:
    cursor = await conn.execute("select job, kek, salt, wrapped, body from hivelog.vault")
    return {row[0].bytes: Sealed(row[4], 0, b"", row[2], row[1], row[3]) for row in await cursor.fetchall()}


async def test_rotation_rewraps_every_job_and_touches_no_body(database: str, conn: Connection) -> None:
    old, new, lost = b"o" * 32, b"n" * 32, b"l" * 32
    before, gone, after = Keyring([old]), Keyring([lost]), Keyring([new, old])
    for each in (before, gone):
        await each.number(conn)
    ids = [number.to_bytes(16, "big") for number in range(1, 2502)]
    for job, body in zip(ids, Vault(before).seal_many(ids, ids), strict=True):
        await store(conn, job, body)
    stranger, plain = b"\xf0" * 16, b"\xf1" * 16
    await store(conn, stranger, Vault(gone).seal_new(stranger, b"stranger"))
    await store(conn, plain, Vault(None).seal_new(plain, b"plain"))
    then = await stored(conn)
    seen: list[int] = []
    log = Log(database)
    await log.open()
    cursor = await conn.execute("select hivelog.actor_id('cli')")
    (actor,) = await cursor.fetchone() or (0,)

    async def submit(part: Part) -> object:
        return await log.append([part])

    def progress(done: Rotation) -> None:
        seen.append(done.rewrapped)

    stream = str(UUID(bytes=SYSTEM_STREAM))
    done = await rotate(conn, after, submit, stream=stream, actor=actor, progress=progress)
    again = await rotate(conn, after, submit, stream=stream, actor=actor)
    await log.close()

    assert (done.rewrapped, done.unknown, seen) == (2501, 1, [1000, 2000, 2501])
    assert (again.rewrapped, again.unknown) == (0, 1)
    now = await stored(conn)
    assert {job: one.body for job, one in now.items()} == {job: one.body for job, one in then.items()}
    assert now[stranger] == then[stranger]
    only_new = Keyring([new])
    await only_new.number(conn)
    for job in ids:
        one = now[job]
        assert one.salt is not None
        assert Vault(only_new).key_of(job, one.salt, one.kek, one.wrapped).open(0, one.body) == job
    cursor = await conn.execute("select data from hivelog.events where type = 'keys_rotated' order by 1")
    events = [row[0] for row in await cursor.fetchall()]
    assert {"to": after.first.fingerprint, "from": [before.first.fingerprint], "rewrapped": 2501,
        "unknown": 1} in events  # fmt: skip
    assert len(events) == 2


async def test_rewrap_leaves_a_key_that_changed_meanwhile(conn: Connection) -> None:
    first = sealed(b"a" * 32, b"j" * 16, b"secret")
    await store(conn, b"j" * 16, first)
    cursor = await conn.execute(
        "select hivelog.rewrap(%s, %s, 2::smallint, %s)", ([UUID(bytes=b"j" * 16)], [b"other"], [b"new"])
    )
    assert await cursor.fetchone() == (0,)
    assert (await stored(conn))[b"j" * 16].wrapped == first.wrapped


async def test_the_first_start_writes_a_key_and_later_ones_read_it(conn: Connection, tmp_path: Path) -> None:
    assert await keyfile.open_keyring(conn, [], enabled=False, data=tmp_path) is None
    first = await keyfile.open_keyring(conn, [], enabled=True, data=tmp_path)
    again = await keyfile.open_keyring(conn, [], enabled=True, data=tmp_path)
    assert first is not None
    assert again is not None
    assert first.first.fingerprint == again.first.fingerprint
    assert first.first.number == again.first.number > 0
    assert stat.S_IMODE(keyfile.key_path(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(keyfile.key_path(tmp_path).parent.stat().st_mode) == 0o700


async def test_a_second_host_without_the_key_fails_closed(conn: Connection, tmp_path: Path) -> None:
    await keyfile.open_keyring(conn, [], enabled=True, data=tmp_path / "one")
    with pytest.raises(KeyMissing, match="bring that key here"):
        await keyfile.open_keyring(conn, [], enabled=True, data=tmp_path / "two")
    assert not keyfile.key_path(tmp_path / "two").exists()


async def test_a_key_of_the_environment_wins_over_the_file(conn: Connection, tmp_path: Path) -> None:
    given_key = urlsafe_b64encode(b"e" * 32).decode()
    made = await keyfile.open_keyring(conn, [given_key], enabled=True, data=tmp_path)
    assert made is not None
    assert made.first.fingerprint == Keyring([b"e" * 32]).first.fingerprint
    assert not keyfile.key_path(tmp_path).exists()
    cursor = await conn.execute("select fingerprint from hivelog.keks")
    assert await cursor.fetchall() == [(made.first.fingerprint,)]
