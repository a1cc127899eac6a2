"""What `hivelog replay` found, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from rich.markup import escape

from . import output

if TYPE_CHECKING:
    from ..replay.action import Plan
    from ..replay.redrive import Done
    from ..replay.shadow import Compared, ShadowReport
    from ..replay.waits import Figures
    from ..replay.whatif import Answer


def _seconds(value: float | None) -> str:
    """Milliseconds as people read them."""
    if value is None:
        return "-"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"


_LINES: Final[tuple[tuple[str, Callable[[Figures], object]], ...]] = (
    ("started", lambda f: f.started),
    ("not started", lambda f: f.unstarted),
    ("wait p50", lambda f: _seconds(f.p50)),
    ("wait p95", lambda f: _seconds(f.p95)),
    ("wait p99", lambda f: _seconds(f.p99)),
    ("wait max", lambda f: _seconds(f.longest)),
    ("wait mean", lambda f: _seconds(f.mean)),
    ("depth mean", lambda f: f"{f.mean_depth:,.1f}"),
    ("depth max", lambda f: f.max_depth),
)


def print_what_if(answer: Answer) -> None:
    """Then and so, side by side, and the depth over time as bars of one scale."""
    from ..events import times
    from ..replay.waits import chart

    columns = (answer.recorded, answer.as_it_was, answer.what_if)
    output.say(
        f"[bold]{answer.queue}[/], {times.to_text(answer.since)} to {times.to_text(answer.until)}: "
        f"{answer.attempts:,} attempts"
    )
    rows = [("at once", "", _limit(answer.capacity_then), _limit(answer.capacity))]
    rows += [(name, *(str(of(column)) for column in columns)) for name, of in _LINES]  # type: ignore[misc]
    output.table(("", ">recorded", ">simulated as it was", ">what if"), rows, empty="")
    highest = max(max(column.depth, default=0) for column in columns)
    for name, column in zip(("recorded", "as it was", "what if"), columns, strict=True):
        output.say(f"  [dim]{name:>9}[/] |{chart(column.depth, highest)}|")
    output.say(f"  [dim]depth over time; a full bar is {highest:,.1f} jobs[/]")
    if answer.assumed:
        output.say(f"  [dim]{answer.assumed:,} runs were not over, or never began: taken as the usual one[/]")


def _limit(most: int | None) -> str:
    return "no limit" if most is None else str(most)


def print_plan(plans: Sequence[Plan], *, to_stderr: bool = False) -> None:
    """What each way would touch."""
    say = output.note if to_stderr else output.say
    for plan in plans:
        selection = plan.selection
        what = " ".join(f"{name}={value}" for name, value in selection.filter.items())
        states = ", ".join(sorted(selection.statuses))
        say(
            f"[bold]{plan.way}[/]: {_jobs(plan.matched)} ({states}; {escape(what)}) "
            f"[dim]at position {selection.position:,}[/]"
        )
    if len(plans) > 1:
        say("[dim]say which with --as[/]")


def _jobs(count: int) -> str:
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"


_SHOWN: Final = 40  # jobs in a table for people
_DID: Final = {"redrive": "new attempts", "copy": "copies"}


def print_done(done: Done) -> None:
    output.say(
        f"{done.changed:,} {_DID[done.way]} of {_jobs(done.matched)} [dim](action {done.action_id})[/]"
    )
    if done.refused:
        output.say(f"  [yellow]{done.refused:,}[/] were not what was counted any more, or were refused")
    _print_skipped(done.skipped)


_WHY: Final = {
    "erased": "their payload was erased", "no_key": "encrypted, and this process has no key",
    "damaged": "damaged; see `hivelog doctor`", "gone": "no longer in the log",
    "no_handler": "no handler runs their type", "interrupted": "had begun when the process ended",
}  # fmt: skip


def _print_skipped(skipped: dict[str, int]) -> None:
    for name, count in skipped.items():
        output.say(f"  [yellow]{count:,}[/] skipped: {_WHY.get(name, name)}")


def print_shadow(found: ShadowReport) -> None:
    """Counts, then the jobs that came out otherwise, with what differs."""
    counts = ", ".join(
        f"{found.counts.get(name, 0):,} {name}" for name in ("equal", "different", "failed", "slower")
    )
    output.say(f"{_jobs(found.matched)}: {counts} [dim](action {found.action_id})[/]")
    _print_skipped(found.skipped)
    for name, count in found.enqueued.items():
        output.say(f"  [dim]{_jobs(count)} would have been enqueued: {escape(name)}[/]")
    shown = sorted(found.jobs, key=_weight)[:_SHOWN]
    if shown:
        columns = ("=job", "type", "", ">then", ">now", "what differs")
        output.table(columns, (_compared(one) for one in shown), empty="")
    told = {one.job for one in shown}
    if more := [job for job in found.unlike if job not in told]:
        output.say(f"and {len(more):,} more that differ or failed: {more[0]} ... [dim](--json names all)[/]")


def _weight(one: Compared) -> tuple[int, str]:
    """What failed first, then what differs, then what was only slower."""
    return ("failed", "different", "equal").index(one.verdict), one.job


def _compared(one: Compared) -> tuple[object, ...]:
    verdict = "slower" if one.slower and one.verdict == "equal" else one.verdict
    shown = "; ".join(
        f"{d.path}: {d.recorded} → {d.now}" if d.path else f"{d.recorded} → {d.now}"
        for d in one.differences[:5]
    )
    return one.job, one.type, verdict, _seconds(one.recorded), _seconds(one.now), shown or None
