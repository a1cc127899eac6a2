"""Usage records made up from a seed, and the sums a report shows of them."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

SERVICES = ("app", "chatbot", "knowledge")
TEAMS = ("Research", "Support", "Sales", "Platform", "Finance", "Legal")
FIRST_DAY = date(2024, 1, 1)
DAYS = 60
# How busy a service is relative to the others, and how often one of its requests fails.
_WEIGHT = {"app": 1.0, "chatbot": 0.7, "knowledge": 0.35}
_ERRORS = {"app": 0.004, "chatbot": 0.011, "knowledge": 0.02}


class Usage(NamedTuple):
    """What one team did with one service on one day; latency in milliseconds."""

    day: date
    team: str
    service: str
    requests: int
    errors: int
    latency_ms: float


class Totals(NamedTuple):
    requests: int
    errors: int
    latency_ms: float

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.requests if self.requests else 0.0


def generate(seed: int, count: int) -> list[Usage]:
    """`count` records in order of their day; the same seed gives the same records."""
    rng = random.Random(seed)
    return sorted(_record(rng) for _ in range(count))


def totals(records: Iterable[Usage]) -> Totals:
    """Sums, and the latency averaged over requests rather than over records."""
    requests = errors = 0
    weighted = 0.0
    for record in records:
        requests += record.requests
        errors += record.errors
        weighted += record.requests * record.latency_ms
    return Totals(requests, errors, weighted / requests if requests else 0.0)


def requests_by_day(records: Iterable[Usage], service: str) -> list[tuple[date, int]]:
    """Requests of one service for each day of the period, days without any included."""
    sums: Counter[date] = Counter()
    for record in records:
        if record.service == service:
            sums[record.day] += record.requests
    return [(day, sums[day]) for day in (FIRST_DAY + timedelta(n) for n in range(DAYS))]


def by_team(records: Sequence[Usage]) -> dict[str, Totals]:
    """Totals per team, busiest first; teams without records are left out."""
    found = {team: totals(r for r in records if r.team == team) for team in TEAMS}
    busy = [(team, sums) for team, sums in found.items() if sums.requests]
    return dict(sorted(busy, key=lambda item: -item[1].requests))


def by_service(records: Sequence[Usage]) -> dict[str, Totals]:
    """Totals per service, in the fixed order of SERVICES."""
    return {name: totals(r for r in records if r.service == name) for name in SERVICES}


def _record(rng: random.Random) -> Usage:
    day = FIRST_DAY + timedelta(rng.randrange(DAYS))
    service = rng.choice(SERVICES)
    weekend = 0.35 if day.weekday() >= 5 else 1.0
    requests = 1 + int(rng.gammavariate(4.0, 120.0) * _WEIGHT[service] * weekend)
    errors = sum(rng.random() < _ERRORS[service] * 8 for _ in range(requests // 8))
    return Usage(day, rng.choice(TEAMS), service, requests, errors, round(rng.lognormvariate(4.4, 0.5), 1))
