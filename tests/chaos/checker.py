"""Reads the log and the records of producers and handlers, nothing else, and says what is wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from hivelog.events import pool
from hivelog.projections.definitions import PROJECTIONS
from hivelog.projections.diff import diff
from hivelog.projections.rebuild import rebuild

from ..queue_model import ENDED
from ..test_append import INTACT
from . import records, sessions, story
from .fleet import DEAD_AFTER

_AGREE = ("positions", "times", "versions", "live tables", "marks")


@dataclass
class Checked:
    """Figures, and `faults`: one line for everything that must not be."""

    jobs: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated_ends: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    sessions: sessions.Verdict = field(default_factory=sessions.Verdict)
    log: story.Story | None = None
    faults: list[str] = field(default_factory=list)


async def check(url: str, folder: Path) -> Checked:
    """Everything, when the run is over and quiet."""
    found = Checked()
    found.log = log = await asyncio.to_thread(story.read, url, DEAD_AFTER * 1000)
    found.jobs = len(log.model.jobs)
    found.statuses = Counter(job.status for job in log.model.jobs.values())
    if log.broken is not None:
        found.faults.append(log.broken)
    _acknowledgements(found, log, list(records.read(folder, "producer.acks")))
    _ends(found, log, list(records.read(folder, "*.runs")))
    found.sessions = sessions.judge(
        log, records.read(folder, "*.witness"), records.read(folder, "*.runs"), patience=DEAD_AFTER / 2
    )
    found.faults += found.sessions.faults + await _derived(url)
    return found


def _acknowledgements(found: Checked, log: story.Story, facts: Sequence[records.Fact]) -> None:
    acknowledged: dict[str, list[str]] = {}
    for fact in facts:
        if fact["what"] == "odd":
            found.faults.append(f"an answer that helps nobody: {fact['status']} {fact['text']}")
        elif fact["what"] == "acknowledged":
            acknowledged[fact["key"]] = fact["jobs"]
    jobs = [job for several in acknowledged.values() for job in several]
    known = {str(UUID(bytes=id_)): job for id_, job in log.model.jobs.items()}
    missing = [job for job in jobs if job not in known]
    unfinished = [job for job in jobs if job in known and known[job].status not in ENDED]
    found.acknowledged, found.lost = len(jobs), len(missing) + len(unfinished)
    found.faults += [f"job {job} was acknowledged and is not in the log" for job in missing]
    found.faults += [f"job {job} is still {known[job].status}" for job in unfinished]
    found.faults += [f"{len(jobs) - len(set(jobs))} jobs were acknowledged twice"] * (len(jobs) != len(set(jobs)))
    found.faults += [f"request {key} became {n} jobs" for key, n in log.requests.items() if n > 1]


def _ends(found: Checked, log: story.Story, runs: Sequence[records.Fact]) -> None:
    twice = [token for token, ends in log.ends.items() if ends > 1]
    found.duplicated_ends = len(twice) + len(log.without_lease)
    found.faults += [f"token {token} ended {log.ends[token]} times" for token in twice]
    found.faults += [f"no lease: {what}" for what in log.without_lease]
    starts = Counter(run["token"] for run in runs if run["what"] == "start")
    found.faults += [f"token {token} ran {n} times" for token, n in starts.items() if n > 1]
    found.faults += [f"token {token} ran and is not in the log" for token in starts if token not in log.leases]


async def _derived(url: str) -> list[str]:
    """Live tables, marks and projections against the log; each projection against a fresh rebuild."""
    faults = []
    connection = await pool.connect(url, "chaos")
    try:
        row = await (await connection.execute(INTACT)).fetchone()
        assert row is not None
        faults += [f"{what}: not intact" for what, good in zip(_AGREE, row, strict=True) if not good]
        compared = await diff(connection)
        faults += [f"{d.where} {d.subject} {d.what}: {d.expected} != {d.found}" for d in compared.differences]
    finally:
        await connection.close()
    for projection in PROJECTIONS:
        differences = (await rebuild(url, projection.name)).differences or {}
        faults += [f"{projection.name}.{table}: {n} rows differ" for table, n in differences.items() if n]
    return faults
