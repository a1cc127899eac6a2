"""More than there is room for: memory stays flat, callers are told, and nobody else suffers. `make overload` does
the same for minutes, with a thousand readers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import psycopg
import pytest
from hivelog.events.appender import Appender
from hivelog.events.errors import Overloaded
from hivelog.events.log import Log

from .batches import Desk, part
from .cli_world import TOKEN
from .degraded_world import memory_mib, site
from .intact import assert_intact
from .overload.feed_clients import Sleeper, bearer, reading, stopped
from .overload.flood import flood
from .test_worker import until


async def test_what_waits_for_the_log_is_bounded_in_bytes_too(database: str) -> None:
    """A thousand rows may be a gigabyte."""
    desk = Desk(database)
    appender = Appender(Log(database), max_bytes=1_000_000)
    await appender.start()
    body = b'"' + b"x" * 100_000 + b'"'
    accepted = [appender.post(part(desk.enqueue(body=body))) for _ in range(9)]
    with pytest.raises(Overloaded):
        appender.post(part(desk.enqueue(body=body)))
    patient = appender.post(part(desk.enqueue(body=body), patient=True))
    assert not any(outcome.refused for outcome in await asyncio.gather(*accepted, patient))
    assert not (await appender.submit(part(*(desk.enqueue(body=body) for _ in range(9))))).refused, "room again"
    await appender.stop()
    assert_intact(database)


async def test_past_its_bound_the_api_answers_503_and_does_not_grow(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    body = {"type": "big", "payload": "x" * 900_000}
    async with site(database, redis_url, tmp_path) as here:
        with here.serve() as serve:
            await until(here.is_ready, 40)
            await here.client.put("/queue/orders", json={})
            await here.client.post("/queue/orders/jobs", json=body)
            before = memory_mib(serve)
            with psycopg.connect(database) as conn:
                # Whoever appends waits behind this one, as behind a slow disk.
                conn.execute("select pg_advisory_xact_lock(hivelog.append_lock())")
                calls = [
                    asyncio.create_task(here.client.post("/queue/orders/jobs", json=body)) for _ in range(90)
                ]
                await asyncio.sleep(0.1)

                async def refused() -> bool:
                    return sum(call.done() and call.result().status_code == 503 for call in calls) > 5

                await until(refused, 20)
            answers = await asyncio.gather(*calls)
            after = memory_mib(serve)
    accepted = sum(answer.status_code == 201 for answer in answers)
    assert {answer.status_code for answer in answers} == {201, 503}
    assert {answer.json().get("code") for answer in answers if answer.status_code == 503} == {"overloaded"}
    assert 60 <= accepted < 85
    assert after - before < 350
    with psycopg.connect(database) as conn:
        assert conn.execute("select count(*) from hivelog.events where type = 'enqueued'").fetchone() == (
            accepted + 1,
        )
    assert_intact(database)


async def test_a_flooded_queue_does_not_starve_another(database: str, redis_url: str, tmp_path: Path) -> None:
    async with site(database, redis_url, tmp_path) as here:
        here.queues = ["orders", "other"]
        async with here.running() as processes:
            found = await flood(here, database, processes, 8)
    assert found.acknowledged > 2_000
    assert found.depth == found.counted > 1_000, "exact, however deep"
    assert len(found.waits) > 10
    assert found.waits[len(found.waits) // 2] < 0.5
    assert found.growth < 40


async def test_readers_get_every_event_beside_some_that_do_not_read(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    number, asleep, jobs = 24, 4, 6_000
    async with site(database, redis_url, tmp_path) as here:
        with here.serve() as serve:
            await until(here.is_ready, 40)
            await here.client.put("/queue/orders", json={})
            async def open_streams() -> bool:
                text = (await here.client.get("/metrics")).text
                return f"hivelog_streams_open {number + asleep}.0" in text

            readers, tasks = await reading(here.port, [bearer(TOKEN)], number)
            sleepers = [
                Sleeper(here.port, bearer(TOKEN), websocket=n % 2 == 0) for n in range(asleep)
            ]
            await until(open_streams, 20)
            for _ in range(jobs // 500):
                batch = [{"queue": "orders", "type": "quiet", "payload": 1} for _ in range(500)]
                assert (await here.client.post("/jobs", json=batch)).status_code == 201

            async def all_seen() -> bool:
                return all(len(reader.positions) >= jobs for reader in readers)

            await until(all_seen, 30)

            def connections() -> int:
                found = psutil.Process(serve.pid).net_connections("tcp")
                return sum(of.laddr.port == here.port and of.status != psutil.CONN_LISTEN for of in found)

            async def dropped() -> bool:
                return connections() <= number + 1

            await until(dropped, 30)
            await stopped(tasks)
            for sleeper in sleepers:
                sleeper.close()
    assert len({tuple(reader.positions) for reader in readers}) == 1
    assert readers[0].positions == sorted(set(readers[0].positions))
    assert len(readers[0].positions) == jobs
    assert sum(reader.resets for reader in readers) == 0
