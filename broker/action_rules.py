"""What bulk actions there are, and which jobs each may touch. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from ..events.job import ENDED, LIVE, RETRYABLE, WAITING, Cancel, Command, Erase, JobState, Retry


class Rule(Struct, frozen=True):
    """`may`: states that it can touch, `means`: those meant when none is named. `settled`: only jobs that
    nothing happened to since the position, so that the set stays what was counted. `event`: the step. `gone`:
    also jobs of deleted queues, in which nothing can run again."""

    may: frozenset[str]
    means: frozenset[str]
    settled: bool
    event: str
    scope: str
    command: Callable[[str, int], Command]  # (who, position of action_started)
    gone: bool = False


RULES: Final[Mapping[str, Rule]] = {
    "cancel": Rule(
        LIVE, WAITING, False, "cancelled", "operate", lambda who, action: Cancel(action=action)
    ),
    "retry": Rule(
        RETRYABLE, RETRYABLE - {"cancelled"}, True, "requeued", "operate",
        lambda who, action: Retry(who, action=action),
    ),
    "erase": Rule(ENDED, ENDED, True, "payload_erased", "admin", lambda who, action: Erase(), gone=True),
}  # fmt: skip


class Selection(Struct, frozen=True):
    """Which jobs: those of the filter (as the API takes it, `q` apart) in one of the states, enqueued at or
    before `position` and, if settled, unchanged since. `gone`: of deleted queues too."""

    filter: dict[str, Any]
    q: str | None
    statuses: frozenset[str]
    position: int
    settled: bool
    gone: bool = False

    def holds(self, state: JobState) -> bool:
        """Whether a job that was found is still meant: what found it may trail the log."""
        if state.status not in self.statuses or state.enqueued > self.position:
            return False
        return not self.settled or state.position <= self.position


def statuses(rule: Rule, named: frozenset[str] | None) -> frozenset[str]:
    """Those that the action touches; empty when none of the named can be touched."""
    return rule.means if named is None else named & rule.may


def undoing(before: JobState, who: str, action: int) -> Retry:
    """What brings a cancelled job back to where it was: also to the time that it waited for."""
    return Retry(who, before.due_at if before.status == "pending" else None, before.retry, action)
