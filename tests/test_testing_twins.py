"""One program, in memory and for real: the fixtures of hivelog.testing answer the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import hivelog
import pytest
from hivelog import SyncClient


@pytest.fixture(params=["hivelog_inline", "hivelog_server"])
def client(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue(request.param)
    with SyncClient() as client:
        client.configure("letters", max_retries=0, retry_backoff="fixed")
        client.pause("letters", reason="the printer is on fire")
        yield client


def soon(condition: Callable[[], Any]) -> Any:
    """Projections of the real thing trail the log by a moment."""
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def story(client: SyncClient, **filters: Any) -> list[tuple[str, str | None, dict[str, Any]]]:
    """What happened to the queue since it was made."""
    events = list(client.events(queue="letters", **filters))
    return [(e.type, e.queue, e.data) for e in events if e.type != "queue_configured"]


def test_a_drain_counts_first_and_then_cancels_that_set(client: SyncClient) -> None:
    first = client.enqueue("letters", "mail", {})
    later = client.enqueue("letters", "mail", {}, delay=3600)
    counted = client.drain("letters", dry_run=True)
    assert (counted["matched"], counted["cancelled"]) == (2, 0)
    late = client.enqueue("letters", "mail", {})
    other = client.enqueue("default", "nobody", {})
    done = client.drain("letters", position=counted["position"])
    assert (done["matched"], done["cancelled"], done["position"]) == (2, 2, counted["position"])
    states = [client.job(job.id).status for job in (first, later, late, other)]
    assert states == ["cancelled", "cancelled", "queued", "queued"]
    ends = [event.data["cause"] for event in client.events(queue="letters", type="cancelled")]
    assert ends == ["drained", "drained"]
    (drained,) = client.events(type="drained")
    assert (drained.queue, drained.data) == ("letters", {"position": counted["position"], "cancelled": 2})


def test_events_are_the_log(client: SyncClient) -> None:
    job = client.enqueue("letters", "mail", {"to": "ann"}, correlation_id="order-1")
    client.cancel(job.id)
    client.resume("letters")
    client.resume("letters")  # it was so already: no event
    types = [event for event, _, _ in story(client)]
    assert types == ["paused", "enqueued", "cancelled", "resumed"]
    assert [data for event, _, data in story(client) if event == "paused"] == [{"reason": True}]
    positions = [event.position for event in client.events()]
    assert positions == list(range(1, len(positions) + 1))
    (enqueued,) = client.events(type="enqueued,completed", job=job.id)
    assert (enqueued.job, enqueued.queue, enqueued.version) == (job.id, "letters", 1)
    assert (enqueued.data["body_size"], enqueued.data["correlation_id"]) == (12, "order-1")
    first = next(iter(client.events(after=enqueued.position - 1, limit=1)))
    assert first.position == enqueued.position
    assert list(client.events(actor="nobody-of-that-name")) == []


def test_stats_are_the_contracts_figures(client: SyncClient) -> None:
    client.enqueue("letters", "mail", {})
    client.enqueue("letters", "mail", {}, delay=3600)
    soon(lambda: client.stats("letters")["depth"] == 2)
    found = client.stats("letters")
    waited = found.pop("oldest_waiting_seconds")
    assert 0 <= waited < 20
    for name in ("workers", "capacity", "utilization"):  # in memory nobody else works
        found.pop(name)
    assert found == {
        "pending": 1, "queued": 1, "depth": 2, "processing": 0, "completed_today": 0, "failed_today": 0,
        "success_rate": None, "error_rate": None, "avg_processing_time": None, "p50": None, "p95": None,
        "p99": None, "throughput": 0.0, "per_minute": 0, "per_hour": 0, "paused": True,
    }  # fmt: skip


def test_refusals_are_the_same(client: SyncClient) -> None:
    for call in (client.stats, client.drain, client.pause, client.resume):
        with pytest.raises(hivelog.UnknownQueue):
            call("nowhere")
    with pytest.raises(hivelog.UnknownQueue):
        list(client.events(queue="nowhere"))
    with pytest.raises(hivelog.InvalidField):
        list(client.events(type="no_such_event"))
    with pytest.raises(hivelog.InvalidField, match="the end of the log"):
        client.drain("letters", position=10**9)
    with pytest.raises(hivelog.InvalidField):
        client.configure("letters", no_such_setting=1)
    with pytest.raises(hivelog.InvalidField):
        client.reschedule(client.enqueue("letters", "mail", {}).id, scheduled_for="soon")
