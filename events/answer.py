"""From the answer of `hivelog.append` to one `Outcome` a part; where it was lost, from the log itself."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.rows import TupleRow

from . import arrays
from .batch import Appended, Mark, Outcome, Part, Refused, Section, Start, Started
from .times import milliseconds

# Where the fields of hivelog.append stand: head, first, recorded_at; refused_*; t_*, p_*; m_*.
_REFUSED: Final = 3
_STARTED: Final = 7
_MARKS: Final = 19


def appended(batch_id: bytes, epoch: int, parts: list[Part], row: list[bytes | None]) -> Appended:
    """From the fields of what `hivelog.append` answers, as wire values."""
    head, first, at = arrays.load_bigint(row[0]), arrays.load_bigint(row[1]), arrays.load_timestamp(row[2])
    refused = _refusals(row[_REFUSED:_STARTED])
    marks = [
        Mark(*values)
        for values in zip(
            arrays.load_smallints(row[_MARKS]), arrays.load_integers(row[_MARKS + 1]),
            arrays.load_integers(row[_MARKS + 2]), arrays.load_integers(row[_MARKS + 3]), strict=True,
        )
    ]  # fmt: skip
    started = _started(parts, head, row[_STARTED:_MARKS]) if row[_STARTED] is not None else []
    outcomes = _share(parts, head, first, at, refused, started)
    return Appended(batch_id, epoch, first, head, at, parts, outcomes, marks)


def _refusals(row: Any) -> dict[tuple[Section, int], Refused]:
    if row[1] is None:
        return {}
    jobs = arrays.load_byteas(row[3])
    return {
        (section, n - 1): Refused(code, job)  # type: ignore[misc]
        for section, n, code, job in zip(
            arrays.load_texts(row[0]), arrays.load_integers(row[1]), arrays.load_texts(row[2]), jobs,
            strict=True,
        )
    }  # fmt: skip


def _started(parts: list[Part], head: int, row: Any) -> list[Started]:
    ns = arrays.load_integers(row[0])
    none: list[None] = [None] * len(ns)
    wanted = _wanted(parts, row[8:])
    specs = arrays.load_jsonbs(row[3])
    return [
        Started(
            n - 1, start.job, token, start.queue, start.session, attempt, retry, start.priority, spec, salt,
            kek, wrapped, body,
        )
        for n, start, token, attempt, retry, spec, kek, salt, wrapped, body in zip(
            ns,
            [wanted[n - 1] for n in ns],
            # Starts are the last of a batch.
            range(head - len(ns) + 1, head + 1),
            arrays.load_smallints(row[1]),
            arrays.load_smallints(row[2]),
            specs if len(specs) == len(ns) else specs * len(ns),
            arrays.load_optional_smallints(row[4]) or none,
            arrays.load_byteas(row[5]),
            arrays.load_byteas(row[6]) or none,
            arrays.load_byteas(row[7]),
            strict=True,
        )
    ]  # fmt: skip


def _wanted(parts: list[Part], row: Any) -> list[Start]:
    """The starts that were asked for by id; where the database chose, those and its choice."""
    if row[0] is not None:
        return [
            Start(session, queue, 0, priority, job)
            for session, queue, priority, job in zip(
                arrays.load_integers(row[0]), arrays.load_smallints(row[1]), arrays.load_smallints(row[2]),
                arrays.load_uuids(row[3]), strict=True,
            )
        ]  # fmt: skip
    return parts[0].starts if len(parts) == 1 else [start for part in parts for start in part.starts]


def _share(
    parts: list[Part],
    head: int,
    first: int,
    at: int,
    refused: dict[tuple[Section, int], Refused],
    started: list[Started],
) -> list[Outcome]:
    """Cut the batch's answer into one Outcome a part; positions follow from the order of sections."""
    outcomes = [Outcome(head, at, {}, {"n": [], "m": [], "r": []}, []) for _ in parts]
    position = first
    sections: tuple[tuple[Section, str], ...] = (
        ("n", "enqueues"), ("e", "ends"), ("m", "moves"), ("r", "records"),
    )  # fmt: skip
    for section, name in sections:
        if position > head and not refused:
            break  # most batches only enqueue: the other commands there are would be in the log, or refused
        counts = [len(getattr(part, name)) for part in parts]
        if not any(counts):
            continue
        base = 0
        for count, outcome in zip(counts, outcomes, strict=True):
            # Most batches refuse nothing: then there is nothing to look up, command by command.
            accepted = count
            if refused:
                accepted -= _share_refusals(section, base, count, refused, outcome)
            if section != "e" and count:
                outcome.positions[section] = list(range(position, position + accepted))
            position += accepted
            base += count
    if started or refused:
        _share_starts(parts, outcomes, refused, started)
    return outcomes


def _share_refusals(
    section: Section, base: int, count: int, refused: dict[tuple[Section, int], Refused], outcome: Outcome
) -> int:
    """Give an outcome its refusals of one section; answers how many."""
    before = len(outcome.refused)
    for index in range(count):
        if (why := refused.get((section, base + index))) is not None:
            outcome.refused[section, index] = why
    return len(outcome.refused) - before


def _share_starts(
    parts: list[Part],
    outcomes: list[Outcome],
    refused: dict[tuple[Section, int], Refused],
    started: list[Started],
) -> None:
    owners: list[tuple[Outcome, int]] = []
    for part, outcome in zip(parts, outcomes, strict=True):
        owners += [(outcome, i) for i in range(len(part.starts))]
    if len(parts) == 1 and not refused and not parts[0].picks:
        outcomes[0].started = started
        return
    for (section, n), why in refused.items():
        if section == "s" and n < len(owners):
            owner, index = owners[n]
            owner.refused["s", index] = why
    pickers = {
        pick.session: outcome for part, outcome in zip(parts, outcomes, strict=True) for pick in part.picks
    }
    for job in started:
        if job.index < len(owners) and job.index >= 0:
            owner, job.index = owners[job.index]
        else:
            owner, job.index = pickers[job.session], -1
        owner.started.append(job)


def recovered(
    batch_id: bytes, epoch: int, parts: list[Part], found: TupleRow, rows: list[TupleRow]
) -> Appended:
    """Rebuild the answer of a batch from its events (rows of sql/queries/recovered_starts.sql)."""
    first, head, at = found[0], found[1], milliseconds(found[2])
    positions = {(row[1], row[2].bytes): row[0] for row in rows}
    outcomes = []
    for part in parts:
        outcome = Outcome(head, at, {}, {"n": [], "m": [], "r": []}, [])
        for section, events in _identities(part).items():
            for index, identity in enumerate(events):
                if identity not in positions:
                    outcome.refused[section, index] = Refused("conflict")
                elif section != "e":
                    outcome.positions[section].append(positions[identity])
        outcomes.append(outcome)
    _recovered_starts(parts, outcomes, rows)
    return Appended(batch_id, epoch, first, head, at, parts, outcomes, [])


def _identities(part: Part) -> dict[Section, list[tuple[str, bytes]]]:
    """(event type, stream) of each command that is no start."""
    return {
        "n": [("enqueued", item.job) for item in part.enqueues],
        "e": [(item.event, item.job) for item in part.ends],
        "m": [(item.event, UUID(item.job).bytes) for item in part.moves],
        "r": [(item.event, UUID(item.stream).bytes) for item in part.records],
    }


def _recovered_starts(parts: list[Part], outcomes: list[Outcome], rows: list[TupleRow]) -> None:
    """Each start to the one part that asked for it; a job told to two turns of a session would run twice."""
    named = {
        (start.session, start.job): (outcome, index)
        for part, outcome in zip(parts, outcomes, strict=True)
        for index, start in enumerate(part.starts)
    }
    room = [
        [pick.session, pick.queue, pick.limit, outcome]
        for part, outcome in zip(parts, outcomes, strict=True)
        for pick in part.picks
    ]
    for row in rows:
        if row[1] != "started" or row[4] is None:
            continue
        owner, index = named.pop((row[4], row[2].bytes), (None, -1))
        if owner is None:
            owner = _picker(room, row[4], row[3])
        if owner is not None:
            owner.started.append(_recovered_start(index, row))
    _refuse_the_rest(parts, outcomes)


def _picker(room: list[list[Any]], session: int, queue: int) -> Outcome | None:
    for pick in room:
        if pick[0] == session and pick[1] == queue and pick[2] > 0:
            pick[2] -= 1
            owner: Outcome = pick[3]
            return owner
    return None


def _refuse_the_rest(parts: list[Part], outcomes: list[Outcome]) -> None:
    for part, outcome in zip(parts, outcomes, strict=True):
        got = {job.index for job in outcome.started}
        outcome.refused.update(
            {("s", index): Refused("conflict") for index in range(len(part.starts)) if index not in got}
        )


def _recovered_start(index: int, row: TupleRow) -> Started:
    queue, session, attempt, retry, priority, spec, salt, kek, wrapped, body = row[3:]
    return Started(
        index, row[2].bytes, row[0], queue, session, attempt, retry, priority, msgspec.json.encode(spec),
        salt, kek, wrapped, body,
    )  # fmt: skip
