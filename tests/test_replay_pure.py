"""What replay decides without a database: comparisons, the pace, the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hivelog.events import ids
from hivelog.replay.compare import Came, Difference, compare
from hivelog.replay.journal import Journal
from hivelog.replay.pace import Pace, rate
from hivelog.replay.shadow import Compared
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def came(value: Any) -> Came:
    return Came(msgspec.json.encode(value))


@given(JSON, JSON)
def test_equal_is_equal_json(one: Any, other: Any) -> None:
    same = msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
    verdict, found = compare(came(one), came(other))
    assert (verdict == "equal") == same == (not found)
    assert compare(came(one), came(one))[0] == "equal"
    there, back = ({d.path for d in compare(*pair)[1]} for pair in ((came(one), came(other)), (came(other), came(one))))
    assert there == back
    # What is told is what has to be ignored for it to be equal. A dot in a name reads as two.
    if not any("." in path or path == "" for path in there):
        assert compare(came(one), came(other), there)[0] == "equal"


def test_what_differs_is_told_by_path() -> None:
    one = {"total": 3, "files": [{"name": "a", "at": 1}, {"name": "b", "at": 2}], "ok": 1}
    other = {"total": 4, "files": [{"name": "a", "at": 7}], "ok": True, "new": None}
    assert compare(came(one), came(other), ["files.*.at"]) == ("different", [
        Difference("total", "3", "4"), Difference("files.1", '{"name":"b","at":2}', "(nothing)"),
        Difference("ok", "1", "true"), Difference("new", "(nothing)", "null"),
    ])  # fmt: skip
    assert compare(came(one), came(other), ["total", "files", "ok", "new"])[0] == "equal"
    [long] = compare(came("x" * 500), came("y"))[1]
    assert len(long.recorded) == 60
    assert len(compare(came(list(range(99))), came([]))[1]) == 20


def test_failures_are_held_against_each_other() -> None:
    fine, broke, other = Came(b"1"), Came(error="ValueError: 1", fingerprint="f"), Came(error="x", fingerprint="g")
    assert compare(fine, broke) == ("failed", [Difference("", "completed", "ValueError: 1")])
    assert compare(broke, broke) == ("equal", [])
    assert compare(broke, other)[0] == compare(broke, fine)[0] == "different"
    assert compare(Came(None), Came(b"null"))[0] == "equal"


@given(st.floats(0.5, 500), st.lists(st.tuples(st.integers(1, 50), st.floats(0, 3)), min_size=1, max_size=30))
def test_no_more_than_the_rate_in_simulated_time(limit: float, chunks: list[tuple[int, float]]) -> None:
    now = 100.0
    gone: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def run() -> None:
        nonlocal now
        pace = Pace(limit, clock=lambda: now, sleep=sleep)
        for jobs, work in chunks:
            for _ in range(0, jobs, pace.chunk(50)):
                size = min(jobs, pace.chunk(50))
                await pace.take(size)
                gone.append((now, size))
            now += work

    asyncio.run(run())
    for at, (begin, first) in enumerate(gone):
        after = sum(size for _, size in gone[at + 1 :])
        # What came before the last one is paid for; a chunk is a quarter of a second, or one job.
        paid = first + after - gone[-1][1]
        assert paid <= (gone[-1][0] - begin) * limit + 1e-6
    assert max(size for _, size in gone) <= max(1, limit / 4)


def test_a_rate_as_people_write_it() -> None:
    assert [rate(text) for text in ("50", "50/s", "30/m", "1.5/s", "36/h")] == [50, 50, 0.5, 1.5, 0.01]
    for text in ("", "0", "0/s", "-1", "5/d", "x", "1e9", "99999999"):
        with pytest.raises(ValueError, match="must be such as"):
            rate(text)


def test_a_journal_is_read_again_up_to_a_torn_line(tmp_path: Path) -> None:
    one, two, three = ids.mint_many(3)
    journal = Journal.begin(tmp_path, "a")
    journal.began(one)
    journal.began(two)
    made = Compared(ids.to_text(one), "t", "different", True, 5, 9, [Difference("who", "ann", "bob")])
    journal.ended(one, made, {"work/mail": 2})
    journal.began(three)
    journal.close()
    [file] = (tmp_path / "replay").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"ann" not in file.read_bytes()  # what jobs carry may be erased
    file.write_bytes(file.read_bytes()[:-5])
    again = Journal.resume(tmp_path, "a")
    assert again.known == {one, two}
    assert (again.interrupted, again.unlike, dict(again.enqueued)) == (1, [ids.to_text(one)], {"work/mail": 2})
    assert dict(again.counts) == {"different": 1, "slower": 1}
    again.began(three)
    again.close()
    assert Journal.resume(tmp_path, "a").known == {one, two, three}
    with pytest.raises(FileNotFoundError):
        Journal.resume(tmp_path, "b")
