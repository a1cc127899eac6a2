"""PostgreSQL answers and takes no writes, as a standby or one whose disk is full: an outage like any other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from hivelog.events import pool
from psycopg_pool import AsyncConnectionPool

from .degraded_world import Site, site
from .intact import assert_intact
from .test_redis_faults import ran
from .test_worker import until

_END_OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


def alter(database: str, how: str) -> None:
    """For connections made from now on."""
    with psycopg.connect(database, autocommit=True, options="-c default_transaction_read_only=off") as conn:
        conn.execute(f'alter database "{conn.info.dbname}" {how}')
        if how.startswith("set"):
            conn.execute(_END_OTHERS)


@contextlib.contextmanager
def only_reading(database: str) -> Iterator[None]:
    """All connections are to a server that only reads. Afterwards only new ones are to one that writes."""
    alter(database, "set default_transaction_read_only = on")
    try:
        yield
    finally:
        alter(database, "reset default_transaction_read_only")


WRITES = (
    ("POST", "/queue/orders/jobs", {"type": "note", "payload": {}}),
    ("POST", "/queue/orders/jobs", {"type": "never_seen_before", "payload": {}}),
    ("PUT", "/queue/orders", {"max_retries": 1}),
    ("PUT", "/queue/never-seen-before", {"max_retries": 1}),
    ("PUT", "/config", {"retention_days": 20}),
    ("POST", "/queue/orders/pause", None),
    ("POST", "/login", {"token": "a-token"}),
    ("POST", "/workers/register", {"name": "w", "queues": ["orders"], "types": ["note"], "slots": 1}),
)


async def written(here: Site) -> list[httpx.Response]:
    return [await here.client.request(method, path, json=body) for method, path, body in WRITES]


async def test_a_server_that_only_reads_is_an_outage_for_writes_alone(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    file, go = tmp_path / "runs", tmp_path / "go"
    async with site(database, redis_url, tmp_path) as here, here.running() as (serve, worker):
        assert await here.put("first", {"file": str(file), "n": 0})
        await ran(file, 1)
        held = (await here.client.post("/queue/orders/jobs", json={"type": "file_on_loop", "payload": {"file": str(go)}})).json()

        async def status() -> str:
            return str((await here.client.get(f"/job/{held['job']['id']}")).json()["job"]["status"])

        async def runs_now() -> bool:
            return await status() == "processing"

        async def dead_after_over() -> bool:
            """The worker counts as dead by now, and its loss could not be written."""
            said = here.said().splitlines()
            return any("reaper_interrupted" in line and "read-only transaction" in line for line in said)

        async def late_waits() -> bool:
            return "waiting_for_postgresql" in here.said()

        await until(runs_now)
        with only_reading(database):

            async def noticed() -> bool:
                return (await here.component("database"))[::2] == (503, "unhealthy")

            await until(noticed)
            answers = await written(here)
            assert {answer.status_code for answer in answers} == {503}, [answer.text for answer in answers]
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            assert await status() == "processing", "reads are answered"
            go.touch()  # its result has to wait
            with here.worker("late") as late:
                await until(dead_after_over, 60)
                await until(late_waits, 60)
                assert (serve.poll(), worker.poll(), late.poll()) == (None, None, None)
            assert await status() == "processing"
            health = (await here.client.get("/health")).json()["components"]
            assert health["projections"]["status"] == "healthy"

        async def settled() -> bool:
            return await status() == "completed"

        await until(settled, 30)
        await until(lambda: here.put("second", {"file": str(file), "n": 1}))
        await ran(file, 2)

        refused = [answer.status_code for answer in await written(here) if answer.status_code >= 500]
        assert refused in ([], [503]), "connections of the time before are found out by one question"
    with psycopg.connect(database) as conn:
        assert conn.execute("select 1 from hivelog.events where type in ('lost', 'released', 'worker_lost')").fetchall() == []
    assert_intact(database)


async def test_a_connection_that_may_only_read_is_given_up(database: str) -> None:
    async with pool.make_pool(database, size=1) as small:
        with only_reading(database):
            async with small.connection() as connection:
                assert not connection.writes
                assert await (await connection.execute("select 1")).fetchone() == (1,)
            with pytest.raises(psycopg.OperationalError) as caught:
                async with small.connection() as connection, connection.transaction():
                    await connection.execute("delete from hivelog.supervisors")
            assert caught.value.sqlstate == "25006"
        async with small.connection() as connection:
            assert connection.writes
            await connection.execute("delete from hivelog.supervisors")


async def test_the_others_are_replaced_before_anybody_gets_them(database: str) -> None:
    """As many as the pool has were made while the server only read; one write is refused, no more."""
    async with pool.make_pool(database, size=4) as several:
        with only_reading(database):
            await _filled(several)
            reads = [connection async for connection in _each(several, 8)]
            assert not any(connection.writes for connection in reads), "who only reads may go on"
        assert [await _write(several) for _ in range(8)] == [False, *[True] * 7]


async def test_a_standby_that_is_written_to_keeps_its_connections(database: str) -> None:
    """A refused write costs its own connection, and one by which is seen that it was in vain."""
    async with pool.make_pool(database, size=4) as several:
        with only_reading(database):
            await _filled(several)
            made = several.get_stats()["connections_num"]
            for _ in range(5):
                assert not await _write(several)
                assert len([each async for each in _each(several, 4)]) == 4
            assert several.get_stats()["connections_num"] - made <= 2 * 5
        assert [await _write(several) for _ in range(8)] == [False, *[True] * 7]


async def test_who_gets_a_younger_one_waits_no_longer_for_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    getconn = AsyncConnectionPool.getconn

    async def counted(self: pool.Pool, timeout: float) -> pool.Connection:
        waits.append(timeout)
        return await getconn(self, timeout)

    async with pool.make_pool(database, size=4) as several:
        with only_reading(database):
            await _filled(several)
            assert not await _write(several)
            monkeypatch.setattr(AsyncConnectionPool, "getconn", counted)
            await several.putconn(await several.getconn(5))
    assert len(waits) > 1
    assert waits == sorted(set(waits), reverse=True), "a whole wait anew at each"


async def _write(several: pool.Pool) -> bool:
    try:
        async with several.connection() as connection:
            await connection.execute("delete from hivelog.supervisors")
    except psycopg.OperationalError:
        return False
    return True


async def _filled(several: pool.Pool) -> None:
    """With four that only read."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            connection = await stack.enter_async_context(several.connection())
            assert not connection.writes


async def _each(several: pool.Pool, times: int) -> AsyncIterator[pool.Connection]:
    for _ in range(times):
        async with several.connection() as connection:
            await connection.execute("select 1")
            yield connection
