"""On a new server, where nothing is known of any table, a batch costs the projections what its events cost: no plan
compares each of its jobs with each other one."""

from __future__ import annotations

import asyncio
from typing import Any

from hivelog import sql
from hivelog.events.batch import Enqueue, Part, Start
from hivelog.projections import checkpoint
from hivelog.projections.checkpoint import Checkpoint
from hivelog.projections.definitions import PROJECTIONS, Projection

from .log_writer import LogWriter, end

JOBS = 600


def test_no_batch_is_compared_with_itself(database: str) -> None:
    log = LogWriter(database)
    try:
        _history(log)
    finally:
        log.close()
    asyncio.run(_fold(database))


def _history(log: LogWriter) -> None:
    """As in an outage that ends: all wait, all start, half of them fail and half of those for good; twice."""
    made = [log.enqueue("q") for _ in range(JOBS)]
    log.append(Part(enqueues=made))
    session = log.session("w", ["q"])
    for _ in range(2):
        started = log.append(Part(starts=[_start(log, session, job) for job in made])).started
        ends = []
        for n, (job, token, _, _) in enumerate(started):
            if n % 4 == 0:
                ends.append(end(job, token, "failed", b'{"error": "no"}'))
            elif n % 4 == 1:
                ends.append(end(job, token, "released"))
            else:
                ends.append(end(job, token, "completed", b"{}"))
        log.append(Part(ends=ends))


def _start(log: LogWriter, session: int, job: Enqueue) -> Start:
    return Start(session, log.queue("q"), job.type, job.priority, job.job)


async def _fold(url: str) -> None:
    connection = await checkpoint.connect(url)
    try:
        live = {c.name: c for c in await checkpoint.checkpoints(connection)}
        for projection in PROJECTIONS:
            while (plan := await _explained(connection, projection, live[projection.name])) is not None:
                compared = [(_compared(node), node["Node Type"]) for node in _nodes(plan)]
                assert max(compared)[0] < 20 * JOBS, (projection.name, max(compared))
    finally:
        await connection.close()


async def _explained(connection: Any, projection: Projection, at: Checkpoint) -> dict[str, Any] | None:
    """Fold a batch and tell how; None when there is none left."""
    span = {"after": at.position, "upto": at.position + JOBS}
    upto, _ = await (await connection.execute(sql.load("projection_batch_end"), span)).fetchone()
    if upto is None:
        return None
    statement = "explain (analyze, timing off, format json) " + projection.statement(
        at.generation, live=True
    ).as_string(connection)
    values = {"generation": at.generation, "after": at.position, "upto": upto}
    answer = await (await connection.execute(statement, values)).fetchone()
    at.position = upto
    plan: dict[str, Any] = answer[0][0]["Plan"]
    return plan


def _compared(node: dict[str, Any]) -> float:
    """Rows that a node passed over or gave, over all its rounds."""
    passed = [value for key, value in node.items() if key.startswith("Rows Removed by ")]
    return float(node["Actual Loops"] * (node["Actual Rows"] + sum(passed)))


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(found for child in node.get("Plans", []) for found in _nodes(child))]
