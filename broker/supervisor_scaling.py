"""How many worker processes a queue should have: the decision alone. Pure; times in seconds.

The number goes up by one while jobs wait: more ready jobs than the queue's `threshold`, or one that has been
ready for longer than `wait`. It goes down by one when nothing has waited for a while and a worker has nothing
to do. Between the two lies a gap, and after each change a pause in which the change may show its effect: so a
load that goes up and down does not start and stop processes all the time.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ..events.queue import Scaling

UP_PAUSE: Final = 5.0  # after a change, before one more: a process starts in a second or two
DOWN_PAUSE: Final = 15.0
QUIET: Final = 60.0  # nothing waits for so long: one fewer


class Load(Struct, frozen=True, kw_only=True):
    """A queue now. `waiting`: age of its oldest ready job (0: none). `slots`: jobs that one process runs."""

    ready: int
    waiting: float = 0.0
    idle: int = 0  # workers of the queue that run nothing
    paused: bool = False
    max_workers: int | None = None
    slots: int = 1


class Pace(Struct, frozen=True):
    """What has to be remembered between two looks; begins anew with a new leader."""

    workers: int | None = None
    changed_at: float | None = None  # None: not since we look
    quiet_since: float | None = None
    looks: int = 0


class Change(Struct, frozen=True):
    """The decision: the new number, and why."""

    workers: int
    reason: str


def observe(pace: Pace, workers: int | None, load: Load, now: float) -> Pace:
    """`pace` with this look added; before `decide`."""
    quiet_since = None
    if load.ready == 0:
        quiet_since = now if pace.quiet_since is None else pace.quiet_since
    changed_at = now if pace.looks and workers != pace.workers else pace.changed_at
    return Pace(workers, changed_at, quiet_since, pace.looks + 1)


def decide(scaling: Scaling, load: Load, pace: Pace, now: float) -> Change | None:
    """What to change now, if anything, of a number that nobody has pinned."""
    workers = pace.workers
    if workers is None:
        return Change(scaling.min, "the queue's minimum")
    if workers < scaling.min:
        return Change(scaling.min, f"the queue's minimum is {scaling.min}")
    if workers > scaling.max:
        return Change(scaling.max, f"the queue's maximum is {scaling.max}")
    if load.paused:
        return None  # one more could not start anything, and what waits will want those that are there
    since = float("inf") if pace.changed_at is None else now - pace.changed_at
    if why := pressure(scaling, load):
        return Change(workers + 1, why) if workers < ceiling(scaling, load) and since >= UP_PAUSE else None
    quiet = 0.0 if pace.quiet_since is None else now - pace.quiet_since
    if quiet >= QUIET and since >= DOWN_PAUSE and workers > scaling.min and load.idle:
        return Change(workers - 1, f"nothing has waited for {QUIET:g} s")
    return None


def pressure(scaling: Scaling, load: Load) -> str | None:
    """Why one more worker is wanted; None when it is not."""
    if load.ready > scaling.threshold:
        return f"{load.ready} jobs wait, more than {scaling.threshold}"
    if load.ready and load.waiting > scaling.longest_wait:
        return f"a job has waited for {load.waiting:.0f} s, longer than {scaling.longest_wait} s"
    return None


def ceiling(scaling: Scaling, load: Load) -> int:
    """The most processes that make sense: beyond `max_workers` jobs at once another would run nothing."""
    if load.max_workers is None:
        return scaling.max
    useful = -(-load.max_workers // load.slots)
    return max(scaling.min, min(scaling.max, useful))
