"""What the three producers enqueue, and when: an endless, seeded plan of arrivals.

The plan is pure; `hivelog.demo.run` plays it. Times are seconds since the start. Over a minute it
offers about eight jobs a second, and every half minute a burst of two hundred notifications.
"""

import heapq
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from .environment import NOBODY
from .text import sentences

BURST_SECONDS = 30.0
BURST_SIZE = 200

Way = Literal["one", "bulk", "sql"]


class Offer(NamedTuple):
    """One job to enqueue: where, what, and its metadata (names as the client's options)."""

    queue: str
    type: str
    payload: dict[str, Any]
    options: dict[str, Any]


class Arrival(NamedTuple):
    """Jobs that arrive together. `delay` seconds ahead they become due (0: at once)."""

    at: float
    way: Way
    offers: tuple[Offer, ...]
    delay: float = 0.0


Maker = Callable[[random.Random], Offer]


def plan(seed: int = 1, rate: float = 1.0) -> Iterator[Arrival]:
    """Arrivals in order of time, without end; `rate` multiplies how often, not how many at once."""
    streams = (_stream(random.Random(f"{seed}/{n}"), s, rate) for n, s in enumerate(_STREAMS))
    bursts = _bursts(random.Random(f"{seed}/burst"), rate)
    yield from heapq.merge(_opening(random.Random(seed)), bursts, *streams, key=_when)


class Stream(NamedTuple):
    """A kind of job: how many arrive a second on average, how, and how many are put off."""

    per_second: float
    make: Maker
    way: Way = "one"
    scheduled: float = 0.0


def email(rng: random.Random) -> Offer:
    person = NOBODY if rng.random() < 0.02 else f"user{rng.randrange(500)}@demo.example"
    payload = {
        "to": person,
        "subject": rng.choice(("Your report is ready", "New sign-in", "Weekly digest")),
        "body": "\n".join(sentences(rng.randrange(10**6), 4)),
    }
    options = _metadata(rng, "app", retry_delay=rng.choice((3, 5, 8)), max_retries=3)
    if rng.random() < 0.1:
        options["priority"] = 900  # a password reset does not wait behind digests
        options["tags"] = ["security"]
    return Offer("notifications", "email_notification", payload, options)


def webhook(rng: random.Random) -> Offer:
    order = rng.randrange(4000)
    payload = {
        "endpoint": rng.choice(("billing", "chat", "audit")),
        "event": "order.paid",
        "data": {"order": order},
    }
    options = _metadata(rng, "app", retry_delay=4)
    if rng.random() < 0.2:
        # Producers that were cut off ask again: the same key and the same body, so one job.
        order %= 400
        payload |= {"endpoint": "billing", "data": {"order": order}}
        options = {"source": "app", "retry_delay": 4, "idempotency_key": f"order-{order}"}
    return Offer("notifications", "webhook_notification", payload, options)


def report(rng: random.Random) -> Offer:
    payload = {
        "user_id": f"u{rng.randrange(200)}",
        "template_id": rng.choice(("usage", "billing", "adoption")),
        "parameters": {
            "format": "pdf" if rng.random() < 0.75 else "html",
            "include_charts": rng.random() < 0.8,
            "records": rng.randrange(800, 4000),
        },
    }
    return Offer("reports", "report_generation", payload, _metadata(rng, "app", retry_delay=5))


def usage(rng: random.Random) -> Offer:
    options = _metadata(rng, "knowledge", priority=rng.choice((100, 150)))
    return Offer("reports", "usage_summary", {"user_id": f"u{rng.randrange(200)}"}, options)


def chat(rng: random.Random) -> Offer:
    session = rng.randrange(10**6)
    payload = {"session_id": f"s{session}", "messages": sentences(session, rng.randint(8, 40))}
    return Offer("default", "chat_summary", payload, _metadata(rng, "chatbot"))


def flaky(rng: random.Random) -> Offer:
    options = _metadata(rng, "knowledge", retry_delay=rng.choice((2, 4, 7)), tags=["flaky"])
    return Offer("background", "flaky", {"seed": rng.randrange(10**6)}, options)


def cleanup(rng: random.Random) -> Offer:
    # Reports and exports too: a demo that is left running must not fill the disk.
    folder, seconds = rng.choice((("scratch", 3600), ("reports", 600), ("exports", 600)))
    payload = {"folder": folder, "older_than_seconds": seconds}
    return Offer("background", "cleanup", payload, _metadata(rng, "app", priority=10))


def indexing(rng: random.Random) -> Offer:
    collection = rng.choice(("handbook", "tickets", "minutes"))
    payload = {"collection": collection, "documents": rng.randrange(40, 160)}
    options = _metadata(rng, "knowledge", tags=["index", collection])
    return Offer("background", "index_documents", payload, options)


def checksum(rng: random.Random) -> Offer:
    return Offer("background", "checksum", {"folder": "reports"}, _metadata(rng, "knowledge"))


def export(rng: random.Random) -> Offer:
    payload = {"rows": rng.randrange(5_000, 40_000), "seconds": rng.randrange(20, 60)}
    return Offer("background", "slow_export", payload, _metadata(rng, "app", tags=["export"]))


# Background has two slots: exports hold one of them for more than half of the time.
_STREAMS = (
    Stream(3.0, email),
    Stream(1.2, email, scheduled=1.0),
    Stream(1.4, webhook),
    Stream(1.6, chat),
    Stream(0.25, chat, way="sql"),
    Stream(0.15, report),
    Stream(0.15, usage),
    Stream(0.3, flaky),
    Stream(0.06, cleanup, scheduled=0.3),
    Stream(0.1, indexing),
    Stream(0.05, checksum),
    Stream(0.015, export),
)


def _stream(rng: random.Random, stream: Stream, rate: float) -> Iterator[Arrival]:
    at = 0.0
    while True:
        at += rng.expovariate(stream.per_second * rate * _tide(at))
        delay = rng.uniform(10.0, 90.0) if rng.random() < stream.scheduled else 0.0
        yield Arrival(at, stream.way, (stream.make(rng),), round(delay, 3))


def _opening(rng: random.Random) -> Iterator[Arrival]:
    """So that a newcomer sees progress bars, and has something to cancel, within seconds."""
    for at, make in ((0.5, report), (1.0, flaky), (1.5, indexing), (3.0, export)):
        yield Arrival(at, "one", (make(rng),))


def _bursts(rng: random.Random, rate: float) -> Iterator[Arrival]:
    at = BURST_SECONDS / 3 / rate
    while True:
        campaign = f"campaign-{rng.randrange(10**6)}"
        offers = (email(rng) for _ in range(BURST_SIZE))
        marked = (o._replace(options=o.options | {"correlation_id": campaign}) for o in offers)
        yield Arrival(at, "bulk", tuple(marked))
        at += BURST_SECONDS / rate


def _tide(at: float) -> float:
    """Arrivals swell and ebb over two minutes, between half and one and a half times the mean."""
    return 1.0 + 0.5 * math.sin(2 * math.pi * at / 120)


def _metadata(rng: random.Random, source: str, **options: Any) -> dict[str, Any]:
    return {"source": source, "correlation_id": f"req-{rng.getrandbits(48):012x}", **options}


def _when(arrival: Arrival) -> float:
    return arrival.at
