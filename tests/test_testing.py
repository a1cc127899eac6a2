"""The fixtures of hivelog.testing keep to the rules of the real thing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import hivelog
import msgspec
import pytest
from hivelog import Client, SyncClient
from hivelog.broker.registry import Registry
from hivelog.testing.inline import Inline


class Number(msgspec.Struct):
    n: int


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inline]:
    registry = Registry()
    ran: list[Any] = []

    @registry.handler("note")
    async def note(ctx: Any, payload: Any) -> Any:
        ran.append(payload)
        return payload

    @registry.handler("typed")
    def typed(ctx: Any, payload: Number) -> int:
        return payload.n + ctx.state["one"]

    @registry.handler("fail")
    async def fail(ctx: Any, payload: Any) -> None:
        raise ValueError(f"told to fail {ctx.attempt}")

    @registry.handler("odd")
    async def odd(ctx: Any, payload: Any) -> Any:
        return object()

    @registry.on_startup
    async def start(state: dict[str, Any]) -> None:
        state["one"] = 1

    @registry.on_shutdown
    def stop(state: dict[str, Any]) -> None:
        ran.append("stopped")

    inline = Inline(registry)
    inline.ran = ran  # type: ignore[attr-defined]
    monkeypatch.setattr(Client, "_make_backend", lambda *_: inline.backend)
    yield inline
    inline.close()


def test_jobs_run_by_priority_then_in_order(inline: Any) -> None:
    client = inline.client
    client.enqueue("default", "note", "second")
    client.enqueue("default", "note", "third")
    client.enqueue("default", "note", "first", priority=900)
    inline.drain()
    assert inline.ran == ["first", "second", "third"]
    assert inline.drain() == []
    inline.close()
    assert inline.ran[-1] == "stopped"


def test_payloads_are_decoded_and_checked_as_a_worker_does(inline: Any) -> None:
    client = inline.client
    client.enqueue("default", "typed", {"n": 41})
    client.enqueue("default", "typed", {"n": "no"})
    client.enqueue("default", "odd", {})
    good, bad, odd = inline.drain()
    assert good.result == 42
    assert (bad.status, bad.metadata.current_retry) == ("failed", 0)
    assert "Expected `int`" in bad.error
    assert odd.status == "failed"


def test_retries_are_counted_and_end(inline: Any) -> None:
    inline.client.enqueue("default", "fail", {}, max_retries=2, retry_delay=60)
    (job,) = inline.drain()
    assert (job.status, job.metadata.current_retry) == ("pending", 1)
    (job,) = inline.drain(with_scheduled=True)
    assert (job.status, job.attempt) == ("failed", 3)
    assert "told to fail 3" in job.error
    with SyncClient() as client:
        types = [event.type for event in client.history(job.id).events]
    once = ["started", "retry_scheduled", "queued"]
    assert types == ["enqueued", *once, *once, "started", "failed"]


def test_scheduled_jobs_wait_until_time_passes(inline: Any) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    inline.client.enqueue("default", "note", "later", scheduled_for=later)
    inline.client.enqueue("default", "note", "never", expires_at=later)
    inline.paused.add("default")
    assert inline.drain(with_scheduled=True) == []
    inline.paused.clear()
    inline.advance(3601)
    inline.drain()
    assert inline.ran == ["later"]
    assert [job.status for job in inline.jobs] == ["completed", "expired"]


async def test_clients_of_the_tested_code_see_the_same_jobs(inline: Any) -> None:
    async with Client("http://nowhere.invalid", token="x") as client:
        ids = await client.enqueue_many([("default", "note", 1), ("reports", "note", 2)])
        same = await client.enqueue("default", "note", 3, idempotency_key="k")
        assert (await client.enqueue("default", "note", 3, idempotency_key="k")).id == same.id
        with pytest.raises(hivelog.IdempotencyMismatch):
            await client.enqueue("default", "note", 4, idempotency_key="k")
        with pytest.raises(hivelog.UnknownQueue):
            await client.enqueue_many([("default", "note", 5), ("nowhere", "note", 6)])
        assert (await client.cancel(ids[1])).status == "cancelled"
        with pytest.raises(hivelog.AlreadyFinished):
            await client.cancel(ids[1])
        assert (await client.wait(ids[0])).result == 1
        assert [job.id async for job in client.jobs(status="completed")] == [same.id, ids[0]]
        assert (await client.retry(ids[1])).status == "queued"
        with pytest.raises(hivelog.NotFound):
            await client.job("0190163d-8694-739b-aea5-966c26f8ad91")
        late = await client.enqueue("default", "note", 7, delay=60)
        with pytest.raises(hivelog.WaitTimeout, match="with_scheduled"):
            await client.wait(late.id)
        with pytest.raises(NotImplementedError, match="hivelog_server"):
            await client.failures()


def test_stats_count_what_was_run(inline: Any) -> None:
    with SyncClient() as client:
        for n in range(4):
            client.enqueue("default", "note", n)
        client.enqueue("default", "fail", {}, max_retries=0)
        inline.drain()
        client.enqueue("default", "note", "waits")
        now = client.stats("default")
        inline.advance(90)
        later = client.stats("default")
        inline.advance(2 * 86_400)
        client.enqueue("reports", "note", {})
        long_after = client.stats("default")
    assert (now["queued"], now["completed_today"], now["failed_today"]) == (1, 4, 1)
    assert (now["success_rate"], now["error_rate"], now["p95"]) == (80.0, 20.0, 0.0)
    assert (now["per_minute"], now["per_hour"]) == (5, 5)
    assert (later["per_minute"], later["per_hour"], later["oldest_waiting_seconds"]) == (0, 5, 90.0)
    assert (long_after["completed_today"], long_after["success_rate"], long_after["queued"]) == (0, None, 1)


def test_a_bulk_that_is_refused_leaves_nothing(inline: Any) -> None:
    item = {"queue": "default", "type": "note", "payload": 1, "idempotency_key": "k"}
    with SyncClient() as client:
        with pytest.raises(hivelog.UnknownQueue):
            client.enqueue_many([item, ("nowhere", "note", 2)])
        assert list(client.events()) == []
        (job,) = client.enqueue_many([item])
        assert [event.position for event in client.events()] == [1]
        assert client.job(job).position == 1


def test_what_has_no_handler_is_an_error(inline: Any) -> None:
    inline.client.enqueue("default", "nobody", {})
    with pytest.raises(LookupError, match="nobody"):
        inline.drain()


def test_the_plugin_costs_a_test_run_nothing() -> None:
    program = "import sys, hivelog.testing; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"psycopg", "starlette", "hivelog.client", "hivelog.web"} & set(modules)
