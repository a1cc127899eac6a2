"""Which host runs how many: every host computes the same, and together they run what is wanted, once."""

from __future__ import annotations

from collections import Counter

from hivelog.broker.supervisor_restart import HEALTHY, Crashes, Limits, obituary, worn_out
from hivelog.broker.supervisor_share import Member, Wish, allot
from hypothesis import given
from hypothesis import strategies as st

QUEUES = ("background", "default", "notifications", "reports")

WISHES = st.lists(
    st.builds(Wish, st.sampled_from(QUEUES), st.integers(0, 9), st.booleans(), st.integers(0, 300)),
    unique_by=lambda wish: wish.queue,
)
MEMBERS = st.lists(
    st.builds(
        Member,
        st.text("abcdef0123456789", min_size=1, max_size=6),
        st.none() | st.frozensets(st.sampled_from(QUEUES)),
        st.none() | st.integers(1, 12),
    ),
    unique_by=lambda member: member.id,
    max_size=5,
)


def total(given: dict[str, Counter[str]], queue: str) -> int:
    return sum(counts[queue] for counts in given.values())


@given(WISHES, MEMBERS, st.randoms())
def test_all_come_to_the_same_and_nothing_runs_twice(wishes, members, random) -> None:  # type: ignore[no-untyped-def]
    shares = allot(wishes, members)
    again, others = list(wishes), list(members)
    random.shuffle(again)
    random.shuffle(others)
    assert allot(again, others) == shares
    for wish in wishes:
        assert total(shares, wish.queue) <= wish.workers
        for member in members:
            if total(shares, wish.queue) < wish.workers and member.serves(wish.queue):
                assert member.limit == shares[member.id].total()  # it is full, and so are all
    for member in members:
        assert member.limit is None or shares[member.id].total() <= member.limit
        assert all(member.serves(queue) for queue in +shares[member.id])


@given(WISHES, st.integers(1, 5))
def test_equal_hosts_get_equal_parts(wishes: list[Wish], hosts: int) -> None:
    shares = allot(wishes, [Member(f"host{number}") for number in range(hosts)])
    for wish in wishes:
        parts = [counts[wish.queue] for counts in shares.values()]
        assert sum(parts) == wish.workers
        assert max(parts) - min(parts) <= 1


@given(WISHES, st.integers(2, 5), st.integers(0, 9))
def test_a_change_of_one_queue_moves_nothing_of_another(wishes: list[Wish], hosts: int, workers: int) -> None:
    members = [Member(f"host{number}") for number in range(hosts)]
    before = allot(wishes, members)
    after = allot([Wish(w.queue, workers) if w is wishes[0] else w for w in wishes], members)
    for member in members:
        for wish in wishes[1:]:
            assert before[member.id][wish.queue] == after[member.id][wish.queue]


def test_a_small_host_gives_each_queue_one_then_what_was_set_by_hand() -> None:
    wishes = [Wish("reports", 2, False, 200), Wish("notifications", 5, False, 300), Wish("default", 3, True, 100)]

    def on(limit: int) -> dict[str, int]:
        return dict(allot(wishes, [Member("one", None, limit)])["one"])

    assert on(2) == {"notifications": 1, "reports": 1}
    assert on(3) == {"notifications": 1, "reports": 1, "default": 1}
    assert on(5) == {"notifications": 1, "reports": 1, "default": 3}
    assert on(7) == {"notifications": 2, "reports": 2, "default": 3}
    assert on(50) == {"notifications": 5, "reports": 2, "default": 3}


def test_a_host_that_dies_leaves_its_part_to_the_others() -> None:
    members = [Member("one"), Member("two"), Member("three")]
    assert {m: c["reports"] for m, c in allot([Wish("reports", 6)], members).items()} == {
        "one": 2, "two": 2, "three": 2,
    }  # fmt: skip
    left = allot([Wish("reports", 6)], members[1:])
    assert {m: c["reports"] for m, c in left.items()} == {"two": 3, "three": 3}
    assert allot([Wish("reports", 6)], []) == {}


def test_crashes_in_a_row_are_started_later_each_time_and_by_chance() -> None:
    crashes, pauses = Crashes(), []
    for _ in range(12):
        crashes = crashes.another(lived=0.1, now=100.0, how="gone")
        pauses.append(crashes.not_before - 100)
    for number, pause in enumerate(pauses):
        longest = min(30, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest
    assert len({Crashes(9).another(0.1, 0.0, "gone").not_before for _ in range(20)}) > 10
    assert crashes.another(lived=HEALTHY, now=0.0, how="gone").not_before <= 0.5  # it had run well: as if the first


def test_a_worker_is_worn_out_by_memory_or_jobs() -> None:
    limits = Limits(memory_mib=500, jobs=100)
    assert worn_out(limits, 500, 99) is None
    assert worn_out(limits, None, 0) is None
    assert worn_out(limits, 900, 0) is None
    assert worn_out(limits, 501, 1) == "recycled: 501 MiB, more than 500"
    assert worn_out(limits, 80, 100) == "recycled: 100 jobs, of 100 at most"
    assert worn_out(Limits(), 10**6, 10**9) is None


def test_how_a_process_ended() -> None:
    assert obituary(3) == "ended with status 3"
    assert obituary(-9) == "killed by SIGKILL"
    assert obituary(-250) == "killed by signal 250"
