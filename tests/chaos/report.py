"""What a run says at its end."""

from __future__ import annotations

from collections import Counter
from statistics import median

from rich.console import Console
from rich.table import Table

from .checker import Checked
from .run import Outcome

_SHOWN = 30  # faults found that are printed


def waits(outcome: Outcome) -> dict[str, list[float]]:
    """Seconds from a fault's end to the next job completed, by kind. Left out is what ended in a tail of the log
    that was lost: whatever came next is lost too."""
    log, restores = outcome.checked.log, outcome.checked.restores
    assert log is not None
    completions = log.completions
    found: dict[str, list[float]] = {}
    for fault in outcome.happened:
        if any(each.copied_at <= fault.ended * 1000 < each.killed_at for each in restores):
            continue
        after = next((t / 1000 for t in completions if t / 1000 >= fault.ended), None)
        if after is not None:
            found.setdefault(fault.kind, []).append(after - fault.ended)
    return found


def show(outcome: Outcome, console: Console) -> None:
    """The table of faults, then the verdict."""
    counts = Counter(fault.kind for fault in outcome.happened)
    seconds = waits(outcome)
    table = Table("fault", "survived", "next job completed after, median s", "longest s")
    for kind in sorted(counts):
        after = seconds.get(kind)
        figures = (f"{median(after):.2f}", f"{max(after):.2f}") if after else ("-", "-")
        table.add_row(kind, str(counts[kind]), *figures)
    console.print(table)
    for line in lines(outcome):
        console.print(line, soft_wrap=True)


def lines(outcome: Outcome) -> list[str]:
    """The verdict, and what was found."""
    checked, options = outcome.checked, outcome.options
    verdict = checked.sessions
    statuses = ", ".join(f"{n:,} {status}" for status, n in sorted(checked.statuses.items()))
    told = [
        f"seed {options.seed}, {options.seconds:g} s of faults: {len(outcome.happened)} survived",
        *(f"left out: {kind}, because {why}" for kind, why in options.left_out.items()),
        *(f"left out: {n} of the database, which still had others" for n in [outcome.crowded] if n),
        _pace(outcome),
        f"jobs: {checked.jobs:,} in the log ({statuses}), {checked.acknowledged:,} acknowledged",
        f"lost: {checked.lost}; duplicated ends: {checked.duplicated_ends}",
        *_of_restores(checked),
        f"invariant 13: {'broken' if verdict.faults else 'holds'} in {verdict.judged} sessions that lived, of"
        f" {verdict.sessions}; they ran {verdict.jobs:,} attempts",
        f"processes that ended by themselves and were started again: {len(outcome.died)}",
        *outcome.died,
    ]
    if checked.faults:
        told += [f"FOUND {len(checked.faults)}:", *checked.faults[:_SHOWN], f"records are in {outcome.folder}"]
    return told


def _pace(outcome: Outcome) -> str:
    """How quickly it went on, and how much it had to."""
    after = [seconds for several in waits(outcome).values() for seconds in several]
    soon = f"{median(after):.2f} s" if after else "never"
    return f"next job after a fault: {soon} (median); PostgreSQL was away for {outcome.away:.0%} of the time"


def _of_restores(checked: Checked) -> list[str]:
    """What went with the tails of the log that were lost, which nobody can have back."""
    if not checked.restores:
        return []
    heads = ", ".join(f"{each.head}{' (new timeline)' * each.new_timeline}" for each in checked.restores)
    return [
        f"void, because the database was put back to position {heads}: {checked.void} acknowledged jobs, "
        f"{checked.void_runs} runs"
    ]
