"""Half a minute of `make chaos`, always the same faults in the same order; and the judges are judged."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from .chaos import schedule, sessions
from .chaos.faults import FAULTS
from .chaos.report import lines
from .chaos.run import Options, run
from .chaos.story import Story
from .queue_model import Seen

SEED, SECONDS = int(os.environ.get("CHAOS_SEED", "1")), 34.0
JOB, WORKER, QUEUE = b"j" * 16, b"w" * 16, 1
SPEC = {"type": "work", "priority": 100, "max_retries": 3}


async def test_half_a_minute_of_faults_loses_nothing_and_does_nothing_twice() -> None:
    off = {"fsync": "off", "full_page_writes": "off"}  # no fault here cuts the power
    outcome = await run(Options(SEED, SECONDS, FAULTS, apart=1.3, parameters=off), lambda _: None)
    checked = outcome.checked
    assert not checked.faults, "\n".join(lines(outcome))
    assert (checked.lost, checked.duplicated_ends) == (0, 0)
    assert checked.acknowledged > 100
    assert checked.sessions.judged > 0
    assert len({fault.kind for fault in outcome.happened}) > 10


def test_a_seed_is_a_schedule() -> None:
    kinds = sorted(FAULTS)
    first = schedule.plan(7, 120, kinds, 2.0)
    assert first == schedule.plan(7, 120, kinds, 2.0)
    assert first != schedule.plan(8, 120, kinds, 2.0)
    assert set(Counter(planned.kind for planned in first[: len(kinds)]).values()) == {1}
    assert [planned.at for planned in first] == sorted(planned.at for planned in first)


def story(*events: tuple[bytes, str, dict[str, Any]]) -> Story:
    """A log of these events, a second apart, all by actor 5."""
    told, versions = Story(6000), Counter[bytes]()
    for position, (stream, kind, data) in enumerate(events, 1):
        versions[stream] += 1
        queue = None if stream == WORKER else QUEUE
        attempt = 1 if kind == "started" else None
        seen = Seen(position, position * 1000, stream, versions[stream], kind, 5, queue, attempt, data)
        told.tell(seen, "request")
    return told


def until(*after: tuple[bytes, str, dict[str, Any]]) -> Story:
    """A session starts at second 1, gets a job with token 4, and then this."""
    return story(
        (WORKER, "worker_started", {"name": "w"}), (b"q" * 16, "queue_configured", {"max_workers": None}),
        (JOB, "enqueued", SPEC), (JOB, "started", {}), *after,
    )  # fmt: skip


def facts(*, by: str = "w", ticks: range, reached: range) -> list[dict[str, Any]]:
    """A witness with a tick or a probe at each of these seconds, four times a second."""
    noted: list[dict[str, Any]] = [{"by": by, "what": "here", "t": 0, "wall": 0}]
    noted += [{"by": by, "what": "tick", "t": t + n / 4} for t in ticks for n in range(4)]
    return noted + [{"by": by, "what": "reached", "t": t + n / 4} for t in reached for n in range(4)]


def runs(*what: str) -> list[dict[str, Any]]:
    return [{"by": "w", "what": each, "token": 4} for each in what]


ALWAYS = range(30)
LOST = (JOB, "lost", {"to": "pending", "retry": 1, "due_at": "1970-01-01T00:00:05.000Z"})
WELL = facts(ticks=ALWAYS, reached=ALWAYS)


def test_a_lost_job_of_a_living_session_is_found() -> None:
    told = until((JOB, "progressed", {}), LOST, (WORKER, "worker_lost", {}))
    verdict = sessions.judge(told, WELL, runs("start"), patience=3)
    assert (verdict.judged, len(verdict.faults)) == (1, 2)
    frozen = facts(ticks=range(3), reached=ALWAYS)
    assert sessions.judge(told, frozen, runs("start"), patience=3).judged == 0


def test_runs_that_are_none_or_two_are_found() -> None:
    done = until((JOB, "completed", {}))
    assert not sessions.judge(done, WELL, runs("start", "end"), patience=3).faults
    for bad in ((), ("start",), ("start", "end", "start", "end")):
        assert sessions.judge(done, WELL, runs(*bad), patience=3).faults


def test_who_was_cut_off_is_excused_and_who_shared_an_outage_is_not() -> None:
    told = until(*[(JOB, "progressed", {})] * 12, LOST, (WORKER, "worker_lost", {}))
    alone = facts(ticks=ALWAYS, reached=range(4))
    assert sessions.judge(told, alone + facts(by="v", ticks=ALWAYS, reached=ALWAYS), [], patience=3).judged == 0
    outage = facts(by="v", ticks=ALWAYS, reached=range(4))
    assert sessions.judge(told, alone + outage, [], patience=3).judged == 1


def test_a_second_end_is_found() -> None:
    told = until((JOB, "completed", {}), (JOB, "completed", {}))
    assert told.without_lease == ["completed at 6"]
    assert told.broken is not None
