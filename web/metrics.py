"""`/metrics` for Prometheus: depths, lags and totals are read when asked, appends counted as they happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Counted
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ..events import types
from ..events.batch import Appended
from ..events.retained import Retained, retained
from ..projections import search, totals
from ..projections.totals import QueueTotal, Totals
from .answers import Answer
from .endpoint import Endpoint
from .requests import Call
from .services import Services
from .summaries import AllStats, stats_of_all, workers_now

_TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_OUTCOMES: Final = ("completed", "failed", "cancelled", "expired", "lost")


class Metrics:
    """What this process counts, and what it reads for a scrape."""

    def __init__(self) -> None:
        self._totals = Totals()
        self._registry = CollectorRegistry()
        self._events = Counted(
            "hivelog_appended_events", "Events appended by this process.", registry=self._registry
        )
        self._batch = Histogram(
            "hivelog_append_batch_events", "Events in one append.", buckets=_SIZES, registry=self._registry
        )

    def appended(self, appended: Appended) -> None:
        """A listener of the appender."""
        count = appended.head - appended.first + 1
        self._events.inc(count)
        self._batch.observe(count)

    def forget(self) -> None:
        """The log is in another epoch."""
        self._totals.forget()

    async def text(self, services: Services) -> bytes:
        stats = await stats_of_all(services)
        workers = (await workers_now(services)).data
        lags = await services.projections.status()
        async with services.pool.connection() as connection:
            ever = await self._totals.read(connection)
            looked = await search.state(connection)
            kept = await retained(connection)
        registry = CollectorRegistry()
        behind = {lag.name: lag.behind for lag in lags} | {"search": looked.head - looked.position}
        system = [
            *_system(services, behind, workers["active"]), *_retention(kept), _blocked(workers["workers"]),
        ]  # fmt: skip
        families = [*_queues(stats), *_scaling(workers), *_counters(ever), *_histograms(ever), *system]
        registry.register(_Fixed(families))
        return generate_latest(self._registry) + generate_latest(registry)


class _Fixed:
    """A collector of what was read beforehand: Prometheus's own interface is synchronous."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _queues(stats: AllStats) -> Iterator[Metric]:
    gauges = {
        "pending": "Jobs waiting for their time.",
        "queued": "Jobs ready to run.",
        "processing": "Jobs running.",
        "oldest_waiting_seconds": "Age of the oldest ready job.",
        "capacity": "Jobs that may run at once.",
        "workers": "Living sessions that serve the queue.",
        "paused": "1 while paused.",
    }
    for field, help_ in gauges.items():
        family = GaugeMetricFamily(f"hivelog_queue_{field}", help_, labels=["queue"])
        for name, of in stats.queues.items():
            family.add_metric([name], float(getattr(of, field) or 0))
        yield family
    latency = GaugeMetricFamily(
        "hivelog_queue_run_seconds", "Run time of completed attempts, 24 h.", labels=["queue", "quantile"]
    )
    for name, of in stats.queues.items():
        for quantile, value in (("0.5", of.p50), ("0.95", of.p95), ("0.99", of.p99)):
            if value is not None:
                latency.add_metric([name, quantile], value)
    yield latency


def _scaling(workers: dict[str, Any]) -> Iterator[Metric]:
    """What supervisors keep, and what they should: a difference that lasts means that hosts are full."""
    desired = GaugeMetricFamily("hivelog_workers_desired", "Worker processes wanted.", labels=["queue"])
    running = GaugeMetricFamily("hivelog_workers_running", "Worker processes kept.", labels=["queue"])
    for row in workers["scaling"]:
        desired.add_metric([row["queue"]], row["desired"])
        running.add_metric([row["queue"]], row["running"])
    alive = GaugeMetricFamily("hivelog_supervisors", "Living supervisors.")
    alive.add_metric([], len(workers["supervisors"]))
    yield from (desired, running, alive)


def _counters(ever: dict[str, QueueTotal]) -> Iterator[Metric]:
    """Sums over all history, of the projection: equal in every process, and after a restart."""
    ended = CounterMetricFamily("hivelog_jobs_ended", "Jobs ended.", labels=["queue", "outcome"])
    enqueued = CounterMetricFamily("hivelog_jobs_enqueued", "Jobs enqueued.", labels=["queue"])
    started = CounterMetricFamily("hivelog_attempts_started", "Attempts started.", labels=["queue"])
    for name, total in ever.items():
        enqueued.add_metric([name], total.counts["enqueued"])
        started.add_metric([name], total.counts["started"])
        for outcome in _OUTCOMES:
            ended.add_metric([name, outcome], total.counts[outcome])
    yield from (ended, enqueued, started)


def _histograms(ever: dict[str, QueueTotal]) -> Iterator[Metric]:
    wait = HistogramMetricFamily(
        "hivelog_job_wait_seconds", "From able to run until started.", labels=["queue"]
    )
    run = HistogramMetricFamily("hivelog_job_run_seconds", "From started until completed.", labels=["queue"])
    for name, total in ever.items():
        wait.add_metric([name], _buckets(total.waits), total.wait_ms / 1000)
        run.add_metric([name], _buckets(total.runs), total.run_ms / 1000)
    yield from (wait, run)


def _buckets(slots: Counter[int]) -> list[tuple[str, float]]:
    return [("+Inf" if edge == inf else repr(edge), count) for edge, count in totals.cumulative(slots)]


def _system(services: Services, lags: dict[str, int], workers: int) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "hivelog_projection_lag_events", "Positions a projection is behind the log.", labels=["projection"]
    )
    for name, positions in lags.items():
        behind.add_metric([name], positions)
    yield behind
    feeder = services.engine.feeder
    for name, help_, value in (
        ("hivelog_workers_active", "Living worker sessions.", workers),
        ("hivelog_streams_open", "Open event streams and WebSockets.", services.places.total),
        ("hivelog_redis_available", "1 while claims are made by Redis.", int(feeder.available)),
        ("hivelog_redis_lag_seconds", "How long Redis has been behind the log.", feeder.lag.seconds),
        ("hivelog_log_writable", "1 while the log can be written.", int(services.appender.available)),
        ("hivelog_log_head", "Position of the log's last event, as this process knows it.",
         services.appender.last.head if services.appender.last else services.tail.position),
    ):  # fmt: skip
        yield GaugeMetricFamily(name, help_, value=value)
    skipped = types.skipped.total()
    yield CounterMetricFamily("hivelog_unknown_events", "Events skipped as unknown.", value=skipped)


def _retention(kept: Retained) -> Iterator[Metric]:
    """Alert on the age: more than the retention time, a thirtieth of it and a day means that nothing goes."""
    for name, help_, value in (
        ("hivelog_retention_edge", "Position up to which events are gone.", kept.edge),
        ("hivelog_log_oldest_seconds", "Age of the oldest event after it.", kept.oldest_seconds),
    ):
        yield GaugeMetricFamily(name, help_, value=value)


def _blocked(workers: list[dict[str, Any]]) -> Metric:
    """Of workers with one name, the sum: a restarted one begins at 0."""
    times = Counter[str]()
    for worker in workers:
        times[worker["name"]] += worker["loop_blocked"] or 0
    help_ = "How often a living worker's event loop stood still."
    family = GaugeMetricFamily("hivelog_worker_loop_blocked", help_, labels=["worker"])
    for name, number in times.items():
        family.add_metric([name], number)
    return family


async def metrics(call: Call) -> Answer:
    call.allow()
    return Answer(200, await call.services.metrics.text(call.services), _TEXT)


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/metrics", run=metrics, scope="read", tag="system",
        summary="Figures for Prometheus.",
    ),
)  # fmt: skip
