"""Job ids: order, form and time."""

from __future__ import annotations

import itertools
import os
import threading
import uuid

import pytest
from hivelog.events import ids, times
from hypothesis import given
from hypothesis import strategies as st


class _Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@given(st.lists(st.tuples(st.integers(-5000, 5000), st.integers(1, 3000)), max_size=20))
def test_ids_ascend_whatever_the_clock_does(steps: list[tuple[int, int]]) -> None:
    clock = _Clock(1_700_000_000_000)
    minter = ids.Minter(clock)
    minted = [minter.mint()]
    for step, count in steps:
        clock.now += step
        minted += [*minter.mint_many(count), minter.mint()]
    assert all(earlier < later for earlier, later in itertools.pairwise(minted))


def test_an_id_is_a_version_7_uuid_of_its_millisecond() -> None:
    minter = ids.Minter(_Clock(1_700_000_000_123))
    minter.correct(-23)
    job = minter.mint()
    parsed = uuid.UUID(bytes=job)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert ids.job_time(job) == 1_700_000_000_100
    assert ids.to_text(job) == str(parsed)
    assert ids.from_text(str(parsed).upper()) == job


def test_ids_of_a_bulk_are_like_those_of_one() -> None:
    clock = _Clock(1_700_000_000_123)
    one, many = ids.Minter(clock), ids.Minter(clock)
    minted = many.mint_many(5000)  # the count runs over into the next millisecond
    assert [job[:8] for job in minted] == [one.mint()[:8] for _ in minted]
    assert {uuid.UUID(bytes=job).variant for job in minted} == {uuid.RFC_4122}
    assert len({job[8:] for job in minted}) == len(minted)
    assert ids.to_texts(minted) == [ids.to_text(job) for job in minted]
    assert ids.to_texts([]) == []


def test_a_full_millisecond_borrows_from_the_next() -> None:
    minter = ids.Minter(_Clock(1_700_000_000_000))
    minted = minter.mint_many(5000)
    assert minted == sorted(set(minted))
    assert ids.job_time(minted[-1]) == 1_700_000_000_001


def test_two_minters_with_one_clock_do_not_collide() -> None:
    clock = _Clock(1_700_000_000_000)
    first, second = ids.Minter(clock), ids.Minter(clock)
    assert not set(first.mint_many(4000)) & set(second.mint_many(4000))


def test_a_forked_child_mints_other_ids() -> None:
    minter = ids.Minter(_Clock(1_700_000_000_000))
    minter.mint()
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, minter.mint())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 16)
    ours = minter.mint()
    assert len(theirs) == 16
    assert theirs[:8] == ours[:8]  # the same count, so only chance keeps them apart
    assert theirs != ours


def test_threads_never_share_an_id() -> None:
    minter = ids.Minter()
    minted: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: minted.extend(minter.mint() for _ in range(2000)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(minted)) == 8000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0190163d8694739baea5966c26f8ad91",
        "{0190163d-8694-739b-aea5-966c26f8ad91}",
        "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91",
        "0190163d-8694-439b-aea5-966c26f8ad91",  # version 4
        "0190163d-8694-739b-cea5-966c26f8ad91",  # another variant
        "0190163d-8694-739b-aea5-966c26f8ad9",
        "0190163d-8694-739b-aea5-966c26f8ad91\n",
        "0190163d-8694-739b-aea5-966c26f8ad9g",
        "٠190163d-8694-739b-aea5-966c26f8ad91",  # an Arabic digit
        "0190163d-8694-739b-aea5_966c26f8ad91",
    ],
)
def test_only_the_one_form_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="must be a job id"):
        ids.from_text(text)


def test_bytes_of_another_length_are_no_id() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        ids.to_text(b"short")


@given(st.integers(0, 253_402_300_799_999))
def test_times_go_out_and_come_back(instant: int) -> None:
    text = times.to_text(instant)
    assert times.from_text(text) == instant
    assert len(text) == 24
    assert text.endswith("Z")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t01:00:00.9999+01:00", 999),
        ("2000-02-29 12:00:00-00:30", 951_827_400_000),
    ],
)
def test_rfc_3339_is_read(text: str, instant: int) -> None:
    assert times.from_text(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-31",
        "2030-01-31T09:00:00",
        "2030-W05-4T09:00:00Z",
        "2030-02-30T09:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00Z",
        "2030-01-31T24:00:01Z",
        "1700000000",
        "now",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each for a reason of its own
        times.from_text(text)
