"""The figures of the bench: each method measures one and leaves rows and its part of bench.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from rich.console import Console

from .contenders import Contender, Graphile, PgQueuer
from .figures import Bar, Row, interleaved, percentile
from .limit import row_limit
from .ours import Load, Ours, counted, require_counts
from .server import Server

CONCURRENCIES = (10, 100, 500)
FASTEST = 500


class Bench:
    """One run of the bench on one server. Without `ours` the peers are measured alone."""

    def __init__(
        self,
        server: Server,
        ours: tuple[Ours, Ours] | None,
        *,
        rounds: int,
        quick: bool,
        console: Console,
    ) -> None:
        self.server, self.rounds, self.quick, self.console = server, rounds, quick, console
        self.ours: Ours | None = ours[0] if ours else None
        self.encrypted: Ours | None = ours[1] if ours else None
        self.pgqueuer, self.graphile = PgQueuer(server), Graphile(server)
        self.rows: list[Row] = []
        self.figures: dict[str, Any] = {}

    def measure(self, chosen: Iterable[str]) -> None:
        """Measure the figures named, in the order of the table."""
        wanted = set(chosen)
        # These three share their samples: one turn is ours, PgQueuer, ours encrypted, Graphile.
        if running := wanted & {"run", "run_encrypted", "graphile"}:
            self._run(running)
        for name in ("bulk", "concurrent_singles", "end_to_end", "latency"):
            if name in wanted:
                getattr(self, f"_{name}")()
        for name in ("single_beside_bulk", "backlog_1m", "http_post", "resources"):
            if name in wanted and self.ours:
                getattr(self, f"_{name}")(self.ours)
        if "row_limit" in wanted:
            self._row_limit()

    def _turns(self, what: str, calls: dict[str, Callable[[], float]]) -> dict[str, float]:
        def watch(name: str, turn: int, value: float) -> None:
            self.console.print(f"  {what:<26} {turn + 1}/{self.rounds}  {name:<10} {value:>12,.1f}")

        return interleaved(calls, self.rounds, watch)

    def _sides(
        self, operation: Callable[[Contender], float], enqueued: int, ran: int
    ) -> dict[str, Callable[[], float]]:
        """Both sides of a row; ours is counted after every turn."""
        calls: dict[str, Callable[[], float]] = {}
        if self.ours:
            calls["ours"] = counted(self.ours, operation, enqueued, ran)
        calls["pgqueuer"] = lambda: operation(self.pgqueuer)
        return calls

    def _row(self, title: str, unit: str, medians: dict[str, float], bar: Bar, note: str) -> Row:
        found = medians.get("ours"), medians.get("pgqueuer")
        row = Row(title, unit, *found, peer_name="pgqueuer", bar=bar, note=note)
        self.rows.append(row)
        return row

    def _own(self, title: str, unit: str, value: float, bar: Bar | None, note: str) -> None:
        """A row that no peer stands beside."""
        self.rows.append(Row(title, unit, value, bar=bar, note=note))

    def _run(self, wanted: set[str]) -> None:
        jobs = 5_000 if self.quick else 20_000
        levels = CONCURRENCIES if wanted & {"run", "run_encrypted"} else (FASTEST,)
        graphile = "graphile" in wanted and self._graphile_is_here()
        for level in levels:
            beside = graphile and level == FASTEST
            self._run_at(level, jobs, encrypted="run_encrypted" in wanted, graphile=beside)

    def _graphile_is_here(self) -> bool:
        if reason := Graphile.missing():
            self.console.print(f"[yellow]Graphile Worker skipped: {reason}[/yellow]")
            return False
        return True

    def _run_at(self, level: int, jobs: int, *, encrypted: bool, graphile: bool) -> None:
        def operation(side: Contender) -> float:
            return side.run_waiting(jobs, level)

        calls = self._sides(operation, jobs, jobs)
        if encrypted and self.encrypted:
            calls["encrypted"] = counted(self.encrypted, operation, jobs, jobs)
        if graphile:
            calls["graphile"] = lambda: self.graphile.run_waiting(jobs, level)
        medians = self._turns(f"run at {level}", calls)
        note = "ours: 3 events, payload, result a job; PgQueuer: 3 log rows"
        row = self._row(f"run {jobs:,} at {level}", "jobs/s", medians, Bar(1.6), note)
        self.figures.setdefault("run", {})[str(level)] = row.pair()
        self._run_beside(level, jobs, medians)

    def _run_beside(self, level: int, jobs: int, medians: dict[str, float]) -> None:
        """The encrypted column and Graphile's row, out of the same turns."""
        if "encrypted" in medians:
            encrypted = Row(
                f"run {jobs:,} at {level}, encrypted", "jobs/s", medians["encrypted"],
                medians["pgqueuer"], "pgqueuer", note="AES-256-GCM, a data key a job",
            )  # fmt: skip
            self.rows.append(encrypted)
            self.figures.setdefault("run_encrypted", {})[str(level)] = encrypted.pair()
        if "graphile" in medians:
            row = Row(
                f"run {jobs:,} at {level}, Graphile", "jobs/s", medians.get("ours"),
                medians["graphile"], "graphile", Bar(1.0), "it deletes finished jobs, no history",
            )  # fmt: skip
            self.rows.append(row)
            self.figures["graphile"] = row.pair()

    def _bulk(self) -> None:
        jobs = 10_000 if self.quick else 50_000
        calls = self._sides(lambda side: side.bulk(jobs), jobs, 0)
        medians = self._turns("bulk", calls)
        row = self._row("bulk enqueue, 1,000 a call", "jobs/s", medians, Bar(1.2), "one client")
        self.figures["bulk"] = row.pair()

    def _concurrent_singles(self) -> None:
        # The same number for both: our side is over in a fraction of the time, and starts cold.
        jobs, clients = (2_000 if self.quick else 10_000), 50
        calls = self._sides(lambda side: side.concurrent_singles(jobs, clients), jobs, 0)
        medians = self._turns("concurrent singles", calls)
        note = "each call waits for its own durable commit"
        row = self._row("50 concurrent singles", "jobs/s", medians, Bar(10), note)
        self.figures["concurrent_singles"] = row.pair()

    def _end_to_end(self) -> None:
        jobs = 5_000 if self.quick else 10_000
        calls = self._sides(lambda side: side.end_to_end(jobs, FASTEST), jobs, jobs)
        medians = self._turns("end to end", calls)
        note = "ours until the projections have caught up, with one serve"
        row = self._row(f"end to end, {jobs:,}", "jobs/s", medians, Bar(1.1), note)
        self.figures["end_to_end"] = row.pair()

    def _latency(self) -> None:
        samples = 40 if self.quick else 300
        a_turn = max(1, samples // self.rounds)
        ages: dict[str, list[float]] = {"ours": [], "pgqueuer": []}

        def sample(side: Contender) -> float:
            found = side.latency(a_turn)
            ages["pgqueuer" if side is self.pgqueuer else "ours"].extend(found)
            return percentile(found, 50)

        self._turns("latency p50, ms", self._sides(sample, a_turn, a_turn))
        self._latency_rows(ages)

    def _latency_rows(self, ages: dict[str, list[float]]) -> None:
        """Percentiles over the samples of all turns together."""
        figures: dict[str, float] = {}
        for name, percent, limit in (("p50", 50, 0.75), ("p99", 99, 1.0)):
            found = {side: percentile(all_, percent) for side, all_ in ages.items() if all_}
            note = f"{len(ages['pgqueuer'])} samples, idle, one at a time"
            title = f"enqueue to handler start, {name}"
            self._row(title, "ms", found, Bar(limit, most=True), note)
            figures.update({name: found["ours"]} if "ours" in found else {})
            figures[f"pgqueuer_{name}"] = found["pgqueuer"]
        self.figures["latency_ms"] = {name: round(value, 2) for name, value in figures.items()}

    def _single_beside_bulk(self, ours: Ours) -> None:
        self._single_beside(ours, "bulk", 50_000 if self.quick else 200_000, "bulks of 10,000")
        self._single_beside(ours, "drain", 20_000 if self.quick else 100_000, "a draining queue")

    def _single_beside(self, ours: Ours, load: Load, jobs: int, what: str) -> None:
        waits: list[float] = []

        def sample() -> float:
            found = ours.single_beside(load, jobs)
            waits.extend(found)
            return percentile(found, 99)

        self._turns(f"single beside {load}, ms", {"ours": sample})
        p99, bar = percentile(waits, 99), Bar(50, "value", most=True)
        note = f"{len(waits):,} samples, one client, while another process moves {jobs:,} jobs"
        self._own(f"single beside {what}, p99", "ms", p99, bar, note)
        self.figures[f"single_beside_{load}_p99_ms"] = round(p99, 1)

    def _backlog_1m(self, ours: Ours) -> None:
        """Three times at most, since filling takes long; its small twin is run before each and after the last."""
        waiting, jobs = (100_000, 20_000) if self.quick else (1_000_000, 200_000)
        small, large = [ours.run_waiting(20_000, FASTEST)], []
        for _ in range(min(self.rounds, 3)):
            rate, ran = ours.backlog(waiting, jobs, FASTEST)
            require_counts(ours.counts(), waiting, ran, stopped=True)
            large.append(rate)
            small.append(ours.run_waiting(20_000, FASTEST))
        row = Row(
            f"{waiting:,} waiting, {jobs:,} run", "jobs/s", median(large), median(small), "small backlog",
            Bar(0.9), "against its own rate with 20,000 waiting",
        )  # fmt: skip
        self.rows.append(row)
        self.figures["backlog_1m"] = {"ratio": row.pair()["ratio"]}

    def _http_post(self, ours: Ours) -> None:
        seconds = 2.0 if self.quick else 5.0
        rates: dict[str, Callable[[], float]] = {}
        waits: list[float] = []

        def post() -> float:
            found = ours.http_post(50, seconds)
            waits.append(found.p99_ms)
            return found.per_second

        rates["ours"] = post
        per_second = self._turns("HTTP POST", rates)["ours"]
        p99 = percentile(waits, 50)
        note = "50 connections, one serve, durable before the answer"
        self._own("single POST", "a second", per_second, Bar(4_000, "value"), note)
        bar = Bar(40, "value", most=True)
        self._own("single POST, p99", "ms", p99, bar, "median of the turns")
        self.figures["http_post"] = {"per_second": round(per_second), "p99_ms": round(p99, 1)}

    def _resources(self, ours: Ours) -> None:
        found = ours.resources(10 if self.quick else 60)
        memory, idle = Bar(256, "value", most=True), Bar(2, "value", most=True)
        note = "peak of both under load, shared pages counted once"
        self._own("memory, serve and worker", "MiB", found.memory_mib, memory, note)
        self._own("idle CPU", "% of a core", found.idle_cpu_percent, idle, "all our processes")
        self.figures["memory_mib"] = round(found.memory_mib, 1)
        self.figures["idle_cpu_percent"] = round(found.idle_cpu_percent, 2)

    def _row_limit(self) -> None:
        def limit() -> float:
            return row_limit(self.server.fresh("bench_limit"))

        rate = self._turns("row limit", {"ours": limit})["ours"]
        note = "100,000 event rows in one transaction, binary arrays, two indexes"
        self._own("row limit of PostgreSQL", "rows/s", rate, None, note)
        self.figures["row_limit_per_second"] = round(rate)
