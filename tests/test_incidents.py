"""The marks of the time bar: acts of people, workers that come together, bursts of failures and only bursts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hivelog.events.batch import Part

from .log_writer import LogWriter, end
from .simulated_clock import Clock
from .web_world import served


def attempts(log: LogWriter, session: int, count: int, outcome: str) -> None:
    items = [log.enqueue("q") for _ in range(count)]
    log.append(Part(enqueues=items))
    started = log.append(Part(starts=[log.start(session, "q", item.job) for item in items])).started
    data: dict[str, Any] = {"error_type": "E"} if outcome == "failed" else {}
    log.append(Part(ends=[end(job, token, outcome, **data) for job, token, _, _ in started]))


async def test_incidents(database: str, redis_url: str, tmp_path: Path, clock: Clock) -> None:
    log = LogWriter(database)
    log.queue("q")
    log.queue("other")
    session = log.session("one", ["q"], slots=100)
    log.session("two", ["q"])
    clock.advance(3600)
    log.conn.execute("update hivelog.sessions set last_heartbeat = hivelog.now() + interval '1 day'")
    heads: list[int] = []
    for failed in (1, 0, 2, 1, 12, 9, 1):
        attempts(log, session, 8, "completed")
        attempts(log, session, failed, "failed")
        heads.append(int(log.one("select max(position) from hivelog.batches")))
        clock.advance(60)
    async with served(database, redis_url, tmp_path) as world:
        await world.client.post("/queue/other/pause", json={})
        head = int(log.one("select max(position) from hivelog.batches"))
        now = log.one("select to_char(hivelog.now() at time zone 'UTC' + interval '1 minute',"
                      " 'YYYY-MM-DD\"T\"HH24:MI:SSZ')")  # fmt: skip
        answer = await world.client.get("/incidents", params={"to": now, "after_position": head})
        assert answer.status_code == 200, answer.text
        found = {row["kind"]: row for row in answer.json()["incidents"] if row["kind"] != "configured"}
        assert found["failures"]["count"] == 21
        assert found["failures"]["queue"] == "q"
        assert found["workers_started"]["count"] == 2
        assert (found["paused"]["queue"], found["paused"]["actor"]) == ("other", "token:admin")
        assert len([row for row in answer.json()["incidents"] if row["kind"] == "failures"]) == 1
        # A moment knows of a burst what had failed by then, and nothing of what came later.
        for passed, count in ((3, 0), (4, 12), (5, 21), (6, 21)):
            rows = (await world.client.get("/incidents", params={"at": heads[passed]})).json()["incidents"]
            assert [row["count"] for row in rows if row["kind"] == "failures"] == [count] * (count > 0)
            assert {row["kind"] for row in rows} - {"failures"} == {"configured", "workers_started"}
        pause = found["paused"]["position"]
        rows = (await world.client.get("/incidents", params={"at": pause})).json()["incidents"]
        assert [row["position"] for row in rows if row["kind"] == "paused"] == [pause]
        only = await world.client.get("/incidents", params={"to": now, "queue": "other"})
        assert {row["kind"] for row in only.json()["incidents"]} == {"configured", "paused"}
        for query in ({"from": now, "to": now}, {"from": "1999-01-01T00:00:00Z"}, {"to": "x"}):
            assert (await world.client.get("/incidents", params=query)).status_code == 400
    log.close()
