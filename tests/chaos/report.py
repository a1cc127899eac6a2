"""What a run says at its end."""

from __future__ import annotations

from collections import Counter
from statistics import median

from rich.console import Console
from rich.table import Table

from .run import Happened, Outcome

_SHOWN = 30  # faults found that are printed


def waits(happened: list[Happened], completions: list[int]) -> dict[str, list[float]]:
    """Seconds from a fault's end to the next job completed, by kind. `completions`: sorted, in ms."""
    found: dict[str, list[float]] = {}
    for fault in happened:
        after = next((t / 1000 for t in completions if t / 1000 >= fault.ended), None)
        if after is not None:
            found.setdefault(fault.kind, []).append(after - fault.ended)
    return found


def show(outcome: Outcome, console: Console) -> None:
    """The table of faults, then the verdict."""
    checked = outcome.checked
    assert checked.log is not None
    counts = Counter(fault.kind for fault in outcome.happened)
    seconds = waits(outcome.happened, checked.log.completions)
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
        f"jobs: {checked.jobs:,} in the log ({statuses}), {checked.acknowledged:,} acknowledged",
        f"lost: {checked.lost}; duplicated ends: {checked.duplicated_ends}",
        f"invariant 13: {'broken' if verdict.faults else 'holds'} in {verdict.judged} sessions that lived, of"
        f" {verdict.sessions}; they ran {verdict.jobs:,} attempts",
        f"processes that ended by themselves and were started again: {len(outcome.died)}",
        *outcome.died,
    ]
    if checked.faults:
        told += [f"FOUND {len(checked.faults)}:", *checked.faults[:_SHOWN], f"records are in {outcome.folder}"]
    return told
