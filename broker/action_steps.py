"""One chunk of a bulk action: read the jobs, decide each, append what was decided, with its guards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from msgspec import Struct

from ..events import ids
from ..events.appender import Appender
from ..events.batch import Move, Part
from ..events.job import BrokenStream, Command, Decision, JobState, decide, fold
from ..events.names import Names
from ..events.pool import Pool
from ..events.read import Event
from .action_reads import Action
from .action_rules import Rule, Selection, undoing
from .erasing import forget
from .jobs import move_of, stories

_log = structlog.get_logger(__name__)

_TRIES: Final = 3  # of a job that moves meanwhile


class Taken(Struct):
    """`refused`: found, but no longer what was meant, or moved each time. `position`: of the last event."""

    changed: int = 0
    refused: int = 0
    position: int = 0


class Steps:
    def __init__(self, appender: Appender, names: Names, pool: Pool) -> None:
        self._appender, self._names, self._pool = appender, names, pool

    async def take(
        self, action: Action, rule: Rule | None, jobs: Sequence[bytes], selection: Selection | None
    ) -> Taken:
        """Deal with these jobs; those that are dealt with already count as nothing."""
        taken, left = Taken(), list(jobs)
        who = await self._names.actor_name(action.actor)
        for _ in range(_TRIES):
            moves = await self._moves(action, rule, left, selection, who)
            taken.refused += len(left) - len(moves)
            if not moves:
                return taken
            outcome = await self._appender.submit(Part(moves=[*moves.values()], patient=True))
            left = [job for n, job in enumerate(moves) if ("m", n) in outcome.refused]
            if rule is not None and rule.event == "payload_erased":
                await forget(self._pool, [job for job in moves if job not in left])
            taken.changed += len(moves) - len(left)
            taken.position = max([taken.position, *outcome.positions["m"]])
            if not left:
                return taken
        taken.refused += len(left)
        return taken

    async def _moves(
        self, action: Action, rule: Rule | None, jobs: Sequence[bytes], selection: Selection | None, who: str
    ) -> dict[bytes, Move]:
        async with self._pool.connection() as connection:
            told, now = await stories(connection, jobs)
        moves = {}
        for job, events in told.items():
            try:
                state = fold(events)
            except BrokenStream as error:  # damage to one must not stop what is done to others
                _log.error("broken_stream", job=ids.to_text(job), error=str(error))
                continue
            command = _command(action, rule, selection, state, events, who)
            decision = None if command is None else decide(state, command, now)
            if isinstance(decision, Decision):
                moves[job] = await move_of(state, decision, action.actor, self._names)
        return moves


def _command(
    action: Action, rule: Rule | None, selection: Selection | None, state: JobState, events: list[Event],
    who: str,
) -> Command | None:  # fmt: skip
    """None: this job is not meant (any more)."""
    if rule is not None and selection is not None:
        return rule.command(who, action.started) if selection.holds(state) else None
    last = events[-1]
    if last.type != "cancelled" or (last.data or {}).get("action") != action.filter["started"]:
        return None
    return undoing(fold(events[:-1]), who, action.started)
