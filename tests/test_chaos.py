"""Half a minute of `make chaos`, always the same faults in the same order; and the judges are judged."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from uuid import UUID

from .chaos import checker, restores, schedule, sessions
from .chaos.checker import Checked
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
    return [{"by": "w", "what": each, "run": n // 2, "token": 4} for n, each in enumerate(what)]


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


# -- a database that is put back -------------------------------------------------------------------------

HEAD = 4  # the copy's last position: its four events are of the seconds 1 to 4, what follows is of 11 and later
PUT_BACK = {"since": 4.5, "killed": 9.0, "back": 10.0, "copied_at": 4600, "killed_at": 9000, "new_timeline": False}
EPOCH = (b"s" * 16, "epoch_started", {"epoch": 2})
OTHER = (b"k" * 16, "enqueued", SPEC)


def put_back(*after: tuple[bytes, str, dict[str, Any]]) -> Story:
    told, versions = Story(6000), Counter[bytes]()
    before = (
        (WORKER, "worker_started", {"name": "w"}), (b"q" * 16, "queue_configured", {"max_workers": None}),
        (JOB, "enqueued", SPEC), (JOB, "started", {}),
    )  # fmt: skip
    for position, (stream, kind, data) in enumerate((*before, *after), 1):
        versions[stream] += 1
        at = (position if position <= HEAD else position + 6) * 1000
        queue = None if stream in (WORKER, b"s" * 16) else QUEUE
        attempt = 1 if kind == "started" else None
        told.tell(Seen(position, at, stream, versions[stream], kind, 5, queue, attempt, data), None)
    return told


def restored(told: Story, **changed: Any) -> list[restores.Restore]:
    return restores.of([PUT_BACK | {"what": "restored"} | changed], told)


def verdict(told: Story, job: str, position: int | None, began: float, answered: float) -> Checked:
    """On one acknowledged job."""
    found = Checked(restores=restored(told))
    fact = {"what": "acknowledged", "key": "k", "jobs": [job], "t": answered, "began": began, "position": position}
    checker._acknowledgements(found, told, [fact])
    return found


GONE = str(UUID(bytes=b"g" * 16))


def test_only_what_came_between_copy_and_restore_is_void() -> None:
    told = put_back((JOB, "completed", {}), EPOCH)
    assert restored(told)[0].head == HEAD
    in_tail = verdict(told, GONE, HEAD + 3, 6, 7)
    assert (in_tail.void, in_tail.lost, in_tail.faults) == (1, 0, [])
    by_sql = verdict(told, GONE, None, 6, 7)
    assert (by_sql.void, by_sql.lost) == (1, 0)
    for position, began, answered in ((3, 2, 3), (HEAD, 6, 7), (7, 9.5, 12), (None, 2, 3), (None, 10.5, 11)):
        lost = verdict(told, GONE, position, began, answered)
        assert (lost.void, lost.lost, len(lost.faults)) == (0, 1, 1), (position, began)


def test_a_job_that_the_copy_held_must_end() -> None:
    assert verdict(put_back(EPOCH), str(UUID(bytes=JOB)), 3, 2, 3).lost == 1
    assert not verdict(put_back((JOB, "completed", {}), EPOCH), str(UUID(bytes=JOB)), 3, 2, 3).faults


def start(job: bytes, token: int, t: float, run: int = 1) -> dict[str, Any]:
    return {"by": "w", "what": "start", "run": run, "job": str(UUID(bytes=job)), "token": token, "t": t}


def test_a_token_that_means_two_leases_is_told_apart() -> None:
    again = put_back(EPOCH, OTHER, (b"k" * 16, "started", {}))
    lease = HEAD + 3
    past = restored(again)
    was, other, now = start(b"k" * 16, lease, 7, 1), start(b"g" * 16, lease, 8, 2), start(b"k" * 16, lease, 13.1, 3)
    assert restores.void_runs([was, other, now], again, past) == {("w", 1), ("w", 2)}
    kept, stray = start(JOB, HEAD, 4.8, 4), start(b"g" * 16, lease, 40, 5)
    assert restores.void_runs([kept, stray], again, past) == set()
    found = Checked()
    checker._ends(found, again, [stray])
    assert len(found.faults) == 1


def test_a_restore_begins_one_epoch() -> None:
    for after, evident, faults in (
        ([EPOCH], True, 0), ([], True, 1), ([], False, 0), ([EPOCH, EPOCH], True, 2),
        ([(b"s" * 16, "epoch_started", {"epoch": 1})], True, 1),
    ):  # fmt: skip
        told = put_back(*after, (JOB, "completed", {}))
        assert len(restores.faults_of(told, restored(told), [evident])) == faults, (after, evident)
    told = put_back(EPOCH)
    assert len(restores.faults_of(told, restored(told, copied_at=2500), [True])) == 1
    assert len(restores.faults_of(told, [], [])) == 1
    # PostgreSQL was away again before anybody wrote: who knew better may have gone meanwhile.
    told = put_back((JOB, "completed", {}))
    told.times[-1] += 60_000
    assert restores.faults_of(told, restored(told), [True]) == []


def test_a_job_that_ended_in_the_lost_tail_may_run_again() -> None:
    told = put_back(EPOCH, (JOB, "released", {"reason": "unlisted"}))
    ran = runs("start", "end")
    assert sessions.judge(told, WELL, ran, 3, [HEAD]).faults == []
    assert sessions.judge(told, WELL, ran, 3, [HEAD - 1]).faults
    assert sessions.judge(told, WELL, ran * 2, 3, [HEAD]).faults


def test_what_takes_everything_away_comes_rarely() -> None:
    kinds = sorted(FAULTS)
    planned = schedule.plan(7, 600, kinds, 5.0, ["postgres_away"])
    away = [each.at for each in planned if each.kind == "postgres_away"]
    assert len(away) == 2
    assert away[1] - away[0] == 300
    assert [each.at for each in planned] == sorted(each.at for each in planned)
