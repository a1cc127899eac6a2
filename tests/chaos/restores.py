"""What a restored backup may take with it, and nothing else.

Who put the copy back wrote down when it was made and when the server that went on without it was dead. The log
tells the rest: everything recorded before that death is what the copy held, so its last position is the restored
head. Void is what was answered in between with a position beyond that head. A position may then mean two things;
which one an answer or a token meant is told by when it was asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from .records import Fact
from .story import Story

_WAKING = 12.0  # seconds: a process may be frozen with a start in its hands, and run it when it wakes
_NOTICED = 10.0  # seconds that may pass until somebody sees that the log is another


@dataclass(frozen=True)
class Restore:
    """`since`: the copy was begun; `killed`: no process of the old life was left; `back`: the copy ran. Seconds of
    the records' clock; `killed_at` and `copied_at` are the log's, in ms. `head`: the last position of the copy."""

    since: float
    killed: float
    back: float
    copied_at: int
    killed_at: int
    new_timeline: bool
    head: int = 0

    def took(self, position: int | None, began: float, answered: float) -> bool:
        """Whether it may have taken what was asked for and answered at these times. Without a position (a
        commit of the user's own) only the times tell."""
        return began < self.killed and answered > self.since and (position is None or position > self.head)

    def took_start(self, token: int, began: float) -> bool:
        """The same for a run of a handler that began then: its start was answered before."""
        return token > self.head and self.since < began < self.back + _WAKING

    def went_on(self, log: Story) -> bool:
        """Whether the log was written to as soon as the copy ran."""
        soon = self.killed_at + (self.back - self.killed + _NOTICED) * 1000
        return bisect_left(log.times, self.killed_at) < bisect_left(log.times, soon)


def of(facts: Iterable[Fact], log: Story) -> list[Restore]:
    """In order."""
    return [
        Restore(
            fact["since"], fact["killed"], fact["back"], fact["copied_at"], fact["killed_at"], fact["new_timeline"],
            bisect_left(log.times, fact["killed_at"]),
        )
        for fact in facts if fact["what"] == "restored"
    ]  # fmt: skip


def void_runs(runs: Iterable[Fact], log: Story, restores: Iterable[Restore]) -> set[tuple[str, int]]:
    """Runs (process, number) of leases that a restore took. Their token may be another's now, or their own
    job's again."""
    past = list(restores)
    void = set()
    for run in runs:
        if run["what"] != "start":
            continue
        token, began = run["token"], run["t"]
        lease = log.leases.get(token)
        theirs = lease is not None and lease.job == run["job"]
        older = any(token > each.head and began < each.killed for each in past)
        if (older or not theirs) and any(each.took_start(token, began) for each in past):
            void.add((run["by"], run["run"]))
    return void


def faults_of(log: Story, restores: list[Restore], evident: list[bool]) -> list[str]:
    """Each restore that cost something began one epoch, and nothing else did. `evident`: that it did."""
    faults = []
    for each in restores:
        if bisect_left(log.times, each.copied_at) != each.head:
            faults.append(f"the log holds events of a tail that was lost before position {each.head + 1}")
    ends = [each.killed_at for each in restores] + [log.last + 1]
    sinces = [*(each.since for each in restores), float("inf")]
    for each, until, since, cost in zip(restores, ends[1:], sinces[1:], evident, strict=True):
        begun = [epoch for epoch, at in log.epochs if each.killed_at <= at < until]
        # The next one may take the new epoch away again. And where PostgreSQL was soon gone once more, those who
        # knew better may have gone with it, and Redis been put back too: then nobody can tell.
        least = 1 if (cost or each.new_timeline) and since > each.back + _NOTICED and each.went_on(log) else 0
        if not least <= len(begun) <= 1:
            faults.append(f"{len(begun)} epochs began after the restore to position {each.head}: {begun}")
    before = [epoch for epoch, at in log.epochs if at < ends[0]]
    faults += [f"epoch {epoch} began, and nothing was restored" for epoch in before]
    numbers = [1, *(epoch for epoch, _ in log.epochs)]
    faults += [f"epoch {b} began after epoch {a}" for a, b in pairwise(numbers) if b <= a]
    return faults
