"""Reads the log and the records of producers and handlers, and says what is wrong. Nothing else is read, but for the
note of who put the database back to an earlier copy: what that may have cost is told in `restores`."""

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

from ..intact import INTACT
from ..queue_model import ENDED
from . import records, restores, sessions, story
from .fleet import DEAD_AFTER

_AGREE = ("positions", "times", "versions", "live tables", "marks")


@dataclass
class Checked:
    """Figures, and `faults`: one line for everything that must not be."""

    jobs: int = 0
    acknowledged: int = 0
    lost: int = 0
    void: int = 0  # acknowledged, and taken by a restore
    void_runs: int = 0
    restores: list[restores.Restore] = field(default_factory=list)
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
    found.restores = past = restores.of(records.read(folder, "operator.restores"), log)
    acks, runs = list(records.read(folder, "producer.acks")), list(records.read(folder, "*.runs"))
    taken = _acknowledgements(found, log, acks)
    void = restores.void_runs(runs, log, past)
    found.void_runs = len(void)
    gone = [run for run in runs if (run["by"], run["run"]) in void and run["what"] == "start"]
    runs = [run for run in runs if (run["by"], run["run"]) not in void]
    evident = [each in taken or any(each.took_start(run["token"], run["t"]) for run in gone) for each in past]
    found.faults += restores.faults_of(log, past, evident)
    _ends(found, log, runs)
    found.sessions = sessions.judge(
        log, records.read(folder, "*.witness"), runs, DEAD_AFTER / 2, [each.head for each in past]
    )
    found.faults += found.sessions.faults + await _derived(url)
    return found


def _acknowledgements(
    found: Checked, log: story.Story, facts: Sequence[records.Fact]
) -> set[restores.Restore]:
    """Every job is in the log and has ended, or a restore took it. Answers the restores that took some."""
    taken: set[restores.Restore] = set()
    jobs: list[str] = []
    known = {str(UUID(bytes=id_)): job for id_, job in log.model.jobs.items()}
    for fact in facts:
        if fact["what"] == "odd":
            found.faults.append(f"an answer that helps nobody: {fact['status']} {fact['text']}")
        elif fact["what"] == "epoch_changed" and not found.restores:
            found.faults.append(f"request {fact['key']} was told of a new epoch, and nothing was restored")
        elif fact["what"] == "acknowledged":
            jobs += fact["jobs"]
            missing = [job for job in fact["jobs"] if job not in known]
            may = {each for each in found.restores if each.took(fact["position"], fact["began"], fact["t"])}
            if missing and may:
                taken |= may if fact["position"] is not None else set()
                found.void += len(missing)
            else:
                found.lost += len(missing)
                found.faults += [f"job {job} was acknowledged and is not in the log" for job in missing]
    unfinished = [job for job in jobs if job in known and known[job].status not in ENDED]
    found.acknowledged, found.lost = len(jobs), found.lost + len(unfinished)
    found.faults += [f"job {job} is still {known[job].status}" for job in unfinished]
    found.faults += [f"{len(jobs) - len(set(jobs))} jobs were acknowledged twice"] * (len(jobs) != len(set(jobs)))
    found.faults += [f"request {key} became {n} jobs" for key, n in log.requests.items() if n > 1]
    return taken


def _ends(found: Checked, log: story.Story, runs: Sequence[records.Fact]) -> None:
    """`runs`: without those of lost tails, so that a token means one lease."""
    twice = [token for token, ends in log.ends.items() if ends > 1]
    found.duplicated_ends = len(twice) + len(log.without_lease)
    found.faults += [f"token {token} ended {log.ends[token]} times" for token in twice]
    found.faults += [f"no lease: {what}" for what in log.without_lease]
    started = [(run["token"], run["job"]) for run in runs if run["what"] == "start"]
    found.faults += [f"token {token} ran {n} times" for (token, _), n in Counter(started).items() if n > 1]
    given = {(token, lease.job) for token, lease in log.leases.items()}
    found.faults += [f"token {token} of job {job} ran and is not in the log" for token, job in {*started} - given]


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
