"""Every `?at=` answer is the live answer that was recorded at that moment, through the real API."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hivelog.events import ids
from hivelog.events.batch import Part
from hivelog.projections import checkpoint
from hivelog.web.routes import ENDPOINTS

from .histories import QUEUES, History
from .log_writer import LogWriter, text
from .simulated_clock import Clock
from .web_world import World, served

_LISTS = (
    "/jobs?limit=200", "/jobs?limit=3", "/jobs?status=completed", "/jobs?status=queued,pending",
    "/jobs?status=processing", "/jobs?status=failed,expired,cancelled", "/jobs?tag=a", "/jobs?source=app",
    "/jobs?correlation_id=c1&status=queued,completed", "/jobs?worker=one", "/jobs?type=mail&status=queued",
    "/jobs?fingerprint=f00d", "/jobs?fingerprint=timeout&status=pending,expired",
    "/jobs?queue=beta&status=failed&limit=2",
)  # fmt: skip
_COUNTS = (
    "/jobs/counts", "/jobs/counts?queue=alpha", "/jobs/counts?tag=a", "/jobs/counts?source=app",
    "/jobs/counts?correlation_id=c1&type=mail", "/jobs/counts?worker=one", "/jobs/counts?type=report&queue=beta",
    "/jobs/counts?fingerprint=f00d", "/jobs/counts?fingerprint=timeout&worker=two",
)  # fmt: skip
_FIELDS = ("/fields", "/fields?queue=beta")
_OF_QUEUES = (
    "/queue/{}", "/queue/{}/stats", "/queue/{}/jobs?limit=5", "/queue/{}/jobs?status=failed",
    "/failures?queue={}", "/failures?queue={}&spans=1h,24h,7d,30d",
)  # fmt: skip
_OF_JOBS = ("/job/{}", "/job/{}/history", "/job/{}/why")
_FIGURES = (
    "/queues", "/queue/status", "/workers/status", "/failures", "/failures?limit=1",
    "/failures?spans=1h,24h,7d,30d",
)  # fmt: skip
# Without `to` a series and incidents end now by the server's clock, which does not know that the test moves the database's.
_SERIES = ("", "&queue=alpha&step=1h", "&group=queue&percentiles=true&step=15m")
# What the log does not know: CONTRACT 3.
_UNKNOWN = {"last_heartbeat", "memory_mib", "loop_blocked", "stale", "running", "supervisors", "active"}
# Nor whom the leader had heard from: where nobody, `why` says that instead of whether slots were free.
_UNHEARD = {
    "heartbeat", "worker_silent", "worker_gone", "redis_away", "redis_rebuilt", "workers_silent",
    "workers_busy", "served",
}  # fmt: skip
_CARRIED = {"payload", "result", "error", "progress_message", "message", "reason"}


def known(answer: Any, erased: set[str]) -> Any:
    """The answer without heartbeats, memory and live health; of erased jobs without what they carried."""
    if isinstance(answer, dict):
        whose = {value for name in ("id", "job", "sample_job") if isinstance(value := answer.get(name), str)}
        gone = _UNKNOWN | _CARRIED if whose & erased else _UNKNOWN
        return {key: known(value, erased) for key, value in answer.items() if key not in gone}
    if isinstance(answer, list):
        return [known(value, erased) for value in answer if not _unheard(value)]
    return answer


def _unheard(value: Any) -> bool:
    return isinstance(value, dict) and value.get("code") in _UNHEARD


def fewer(then: Any, again: Any) -> int:
    """How many jobs had a field that now have it no more: those that were erased since."""
    before, after = ({row["path"]: row["jobs"] for row in answer["fields"]} for answer in (then, again))
    assert after.keys() <= before.keys()
    missing = [count - after.get(path, 0) for path, count in before.items()]
    assert min(missing, default=0) >= 0
    return sum(missing)


class Recorder:
    """Live answers with the position and the time that they were given at."""

    def __init__(self, world: World, log: LogWriter, history: History) -> None:
        self.world, self.log, self.history = world, log, history
        self.answers: list[tuple[int, int, dict[str, Any]]] = []
        self.actions: list[str] = []

    def head(self) -> int:
        return int(self.log.one("select max(position) from hivelog.batches"))

    async def record(self) -> None:
        """One moment. Duties of the server may write at any time: then once more."""
        self.world.services.names.forget_queues()
        for _ in range(20):
            self.world.services.field_names.forget()
            head, now = self.head(), self.log.now()
            found = {path: await self.get(path, after_position=head) for path in self.paths(now)}
            if self.head() == head:
                self.answers.append((head, now, found))
                return
        raise AssertionError("the log never stood still")

    def paths(self, now: int) -> list[str]:
        jobs = [path.format(self.text(job)) for job in self.history.jobs[-10:] for path in _OF_JOBS]
        queues = [path.format(name) for name in QUEUES for path in _OF_QUEUES]
        until = text(now).replace("+", "%2B")
        series = [f"/stats/series?to={until}{more}" for more in _SERIES]
        after = text(now + 1).replace("+", "%2B")
        incidents = [f"/incidents?to={after}{more}" for more in ("", "&queue=alpha")]
        actions = [f"/actions/{action}" for action in self.actions]
        return [*_FIGURES, *_LISTS, *_COUNTS, *_FIELDS, *series, *incidents, *actions, *queues, *jobs]

    @staticmethod
    def text(job: bytes) -> str:
        return ids.to_text(job)

    async def get(self, path: str, **query: Any) -> Any:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = await self.world.client.get(f"{path}{'&' if '?' in path else '?'}{asked}")
        assert answer.status_code == 200, (path, query, answer.text)
        return answer.json()

    async def compare(self) -> int:
        """Every recorded moment by its time, and by its position where the clock stood as at the event."""
        compared = 0
        for position, now, found in self.answers:
            if self.log.one("select hivelog.position_at(%s)", text(now)) == position:
                compared += 1
                await self.same(found, text(now).replace("+", "%2B"))
            at = self.log.one("select recorded_at from hivelog.events where position = %s", position)
            if round(at.timestamp() * 1000) == now:
                compared += 1
                await self.same(found, str(position))
        return compared

    async def same(self, found: dict[str, Any], at: str) -> None:
        rows = self.log.conn.execute("select stream::text from hivelog.events where type = 'payload_erased'")
        erased = {row[0] for row in rows.fetchall()}
        for path, then in found.items():
            again = known(await self.get(path, at=at), erased)
            if path in _FIELDS:
                assert fewer(then, again) <= len(erased), (path, at)
                continue
            if path == "/workers/status":
                del again["position"], again["timestamp"]
            assert again == known(then, erased), (path, at)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_past_answers_as_the_present_did(
    database: str, redis_url: str, tmp_path: Path, clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    clock.stop()
    log = LogWriter(database)
    history = History(log, clock)
    history.play([])
    async with served(database, redis_url, tmp_path) as world:
        recorder = Recorder(world, log, history)
        for _ in range(8):
            await asyncio.to_thread(history.play, steps(chance, chance.randint(1, 12)))
            await command(recorder, chance)
            if chance.random() < 0.3:
                clock.advance(chance.choice((0.3, 45, 4000)))
            await recorder.record()
            clock.advance(chance.choice((0.001, 0.4, 70, 90_000)))
        # What happens afterwards must not change the past.
        await asyncio.to_thread(history.play, steps(chance, 60))
        log.one("select hivelog.thin_marks(0, %s)", recorder.head())
        log.one("select hivelog.prune_batches(%s, 1000000)", text(log.now()))
        assert await recorder.compare() >= 6
    log.close()


def steps(chance: random.Random, count: int) -> list[Any]:
    return [tuple(chance.randint(0, 99) for _ in range(4)) for _ in range(count)]


async def command(recorder: Recorder, chance: random.Random) -> None:
    """What people do: pause, configure, scale, cancel many, run again with another payload, erase."""
    client, queue, jobs = recorder.world.client, chance.choice(QUEUES), recorder.history.jobs
    match chance.randint(0, 5):
        case 0:
            await client.post(f"/queue/{queue}/{chance.choice(('pause', 'resume'))}", json={})
        case 1:
            await client.put(f"/queue/{queue}", json={"max_workers": chance.randint(1, 9)})
        case 2:
            await client.post("/workers/scale", json={"queue": queue, "workers": chance.randint(1, 12)})
        case 3:
            asked = {"action": "cancel", "filter": {"queue": queue, "tag": "a"}, "reason": "too many"}
            recorder.actions.append((await client.post("/jobs/actions", json=asked)).json()["action_id"])
        case 4 if jobs:
            job = Recorder.text(chance.choice(jobs))
            await client.post(f"/job/{job}/retry", json={"payload": {chance.choice("nm"): chance.randint(2, 9)}})
        case _ if jobs:
            await client.delete(f"/job/{Recorder.text(chance.choice(jobs))}/payload")


async def test_every_position_also_within_an_append(database: str, clock: Clock) -> None:
    """Depths at each position against a plain count, with marks thinned; live jobs and revived ends too."""
    from hivelog.projections.jobs import STATUSES, Filter
    from hivelog.projections.jobs_at import page_at
    from hivelog.projections.moments import resolve
    from hivelog.projections.runner import Runner

    from .model import job_types, model

    chance = random.Random(11)
    log = LogWriter(database)
    history = History(log, clock)
    history.play(steps(chance, 120))
    await Runner(database).catch_up()
    log.one("select hivelog.thin_marks(0, %s)", 10**9)
    events = history.events()
    connection = await checkpoint.connect(database)
    queues = [log.queues[name] for name in QUEUES]
    for position in range(1, events[-1].position + 1, 3):
        past = [event for event in events if event.position <= position]
        states = model([event for event in past if event.type in job_types()]).jobs
        moment = await resolve(connection, position=position)
        rows = await (
            await connection.execute(
                "select * from hivelog.depths_at(%s, %s, %s)", (queues, position, moment.parameters["now"])
            )
        ).fetchall()
        for queue, *found in rows:
            held = [state.status for state in states.values() if state.queue == queue]
            assert found == [held.count(name) for name in ("pending", "queued", "processing")], position
        for statuses in (STATUSES, ("queued",), ("failed", "expired"), ("processing", "completed")):
            page = await page_at(connection, Filter(queues=queues, statuses=statuses), moment, limit=500)
            wanted = sorted((s.id for s in states.values() if s.status in statuses), reverse=True)
            assert [row.id for row in page.rows] == wanted, (position, statuses)
    await connection.close()
    log.close()


async def test_what_cannot_tell_the_past_says_so(database: str, redis_url: str, tmp_path: Path) -> None:
    async with served(database, redis_url, tmp_path) as world:
        for endpoint in ENDPOINTS:
            told = endpoint.scope is None or "at" in endpoint.query or endpoint.path in ("/openapi.json", "/docs")
            if endpoint.method == "GET" and not told:
                answer = await world.client.get(endpoint.path.replace("{", "").replace("}", ""), params={"at": "1"})
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), endpoint.path
                assert answer.json()["detail"]["field"] == "at"


async def test_moments_that_are_not_in_the_log(database: str, redis_url: str, tmp_path: Path) -> None:
    log = LogWriter(database)
    log.queue("q")
    log.append(Part(enqueues=[log.enqueue("q") for _ in range(3)]))
    async with served(database, redis_url, tmp_path) as world:
        for at in ("999999", "0", "2999-01-01T00:00:00Z", "yesterday", "", "-1", "1" * 19):
            answer = await world.client.get("/queues", params={"at": at})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field"), at
            assert answer.json()["detail"]["field"] == "at"
        before = await world.client.get("/queues", params={"at": "1999-01-01T00:00:00Z"})
        assert msgspec.json.decode(before.content) == {"queues": []}
        gone = await world.client.get("/queue/q/stats", params={"at": "1999-01-01T00:00:00Z"})
        assert gone.status_code == 404
    log.close()
