"""Invariant 13: a session that lived and was never frozen runs each of its jobs to its end once, whatever
else failed.

Who lived is judged by the witness that every worker process carries, not by what the product did: its loop
ticked, and it could reach the database whenever others could.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .records import Fact
from .story import Lease, Session, Story

_HOLE = 1.5  # seconds without a tick: frozen, killed, or a machine that had no time for it
_APART = 1.6  # seconds between two probes of one process, at most, for its time to count as observed


@dataclass
class Witness:
    """What one process noted, in seconds of the log's clock."""

    ticks: list[float] = field(default_factory=list)
    reached: list[float] = field(default_factory=list)


@dataclass
class Verdict:
    """`judged` of `sessions` lived; `faults` says what went wrong in them, which must be nothing."""

    sessions: int = 0
    judged: int = 0
    jobs: int = 0
    faults: list[str] = field(default_factory=list)


def witnesses(facts: Iterable[Fact]) -> dict[str, Witness]:
    """By process."""
    found: dict[str, Witness] = defaultdict(Witness)
    offsets: dict[str, float] = {}
    for fact in facts:
        by, t = fact["by"], fact["t"]
        if fact["what"] == "here":
            offsets[by] = fact["wall"] - t
        elif by in offsets:
            (found[by].ticks if fact["what"] == "tick" else found[by].reached).append(t + offsets[by])
    return dict(found)


def judge(
    story: Story, facts: Iterable[Fact], runs: Iterable[Fact], patience: float, heads: Sequence[int] = ()
) -> Verdict:
    """`patience`: seconds of the others' time that a session must be cut off to be excused. `heads`: where the
    log ended when it was put back to an earlier state; `runs` are without those of the tails that it lost."""
    seen = witnesses(facts)
    by_process: dict[str, list[Fact]] = defaultdict(list)
    for run in runs:
        by_process[run["by"]].append(run)
    verdict = Verdict(sessions=len(story.sessions))
    for session in story.sessions.values():
        since, until = session.started / 1000, (session.ended or story.last) / 1000
        own = seen.get(session.name)
        others = [witness for name, witness in seen.items() if name != session.name]
        if own is None or not ticking(own, since, until) or cut_off(own, others, since, until, patience):
            continue
        verdict.judged += 1
        verdict.jobs += len(session.leases)
        verdict.faults += faults_of(session, by_process[session.name], heads)
    return verdict


def ticking(own: Witness, since: float, until: float) -> bool:
    """The loop ran all the time."""
    within = [since, *(t for t in own.ticks if since <= t <= until), until]
    return all(after - before <= _HOLE for before, after in pairwise(within))


def cut_off(own: Witness, others: Iterable[Witness], since: float, until: float, patience: float) -> bool:
    """There was a time of `patience` seconds in which another process reached the database and this one did
    not. With the database away for everybody nobody is cut off."""
    within = [since, *(t for t in own.reached if since <= t <= until), until]
    silences = [(a, b) for a, b in pairwise(within) if b - a >= patience]
    return any(_observed(other.reached, a, b) >= patience for other in others for a, b in silences)


def _observed(reached: list[float], since: float, until: float) -> float:
    """Seconds of the longest stretch of successful probes."""
    longest, begun, last = 0.0, 0.0, -1e9
    for t in reached:
        if since <= t <= until:
            begun = t if t - last > _APART else begun
            last = t
            longest = max(longest, last - begun)
    return longest


def faults_of(session: Session, runs: list[Fact], heads: Sequence[int] = ()) -> list[str]:
    """What may not happen to a session that lived. A lease that was open where the log was cut may have ended in
    the tail that is gone: then it ran, its worker has forgotten it, and it is given back."""
    who = f"session {session.number} ({session.name})"
    faults = [f"{who} was declared lost"] if session.how == "worker_lost" else []
    starts = Counter(run["token"] for run in runs if run["what"] == "start")
    ends = Counter(run["token"] for run in runs if run["what"] == "end")
    for lease in session.leases:
        what = f"{who}: job {lease.job}, token {lease.token}"
        ran, done = starts[lease.token], ends[lease.token]
        if ran > 1:
            faults.append(f"{what} ran {ran} times")
        if lease.end == "lost" or (lease.end != "released" and lease.ended_by != session.number):
            faults.append(f"{what} was ended by another ({lease.end})")
        elif lease.end not in ("released", None) and (ran, done) != (1, 1):
            faults.append(f"{what} is {lease.end} after {ran} starts and {done} ends of its handler")
        elif lease.end == "released" and ran and lease.reason != "shutdown" and not _cut(lease, heads):
            faults.append(f"{what} was released ({lease.reason}) though it ran")
    return faults


def _cut(lease: Lease, heads: Iterable[int]) -> bool:
    return any(lease.token <= head and (lease.ended is None or lease.ended > head) for head in heads)
