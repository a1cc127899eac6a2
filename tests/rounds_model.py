"""What `rounds` must hold, from all events by a plain loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hivelog.events import job
from hivelog.events.read import Event

Row = dict[str, Any]
_ENDS = {
    "completed", "failed", "cancelled", "expired", "lost", "retry_scheduled", "released", "rescheduled",
}  # fmt: skip
_BEGINS = {"enqueued", "retry_scheduled", "released", "requeued", "rescheduled"}


def rounds(events: Iterable[Event], job_events: frozenset[str]) -> list[Row]:
    """Rows in order of (job, began); positions and what decided them."""
    states: dict[bytes, job.JobState] = {}
    rows: dict[bytes, list[Row]] = {}
    for event in events:
        if event.type not in job_events:
            continue
        before = states.get(event.stream)
        after = states[event.stream] = job.evolve(before, event)
        _step(rows.setdefault(event.stream, []), event, after)
    return [row for key in sorted(rows) for row in rows[key]]


def _step(rows: list[Row], event: Event, after: job.JobState) -> None:
    if event.type in _ENDS:
        ended = after.status in job.ENDED
        rows[-1] |= {
            "ended": event.position, "outcome": event.type, "status": after.status if ended else None,
        }  # fmt: skip
    if event.type == "started":
        rows[-1] |= {"started": event.position, "session": event.actor, "attempt": event.attempt}
    if event.type == "queued":
        rows[-1]["ready"] = event.position
    if event.type == "requeued":
        rows[-1]["revived"] = event.position
    if event.type in _BEGINS or (event.type == "lost" and after.status == "pending"):
        rows.append(
            {
                "job": event.stream, "began": event.position, "started": None, "ended": None, "revived": None,
                "ready": event.position if after.status == "queued" else None, "session": None,
                "attempt": None, "queue": after.queue, "priority": after.priority, "outcome": None,
                "status": None,
            }
        )  # fmt: skip
