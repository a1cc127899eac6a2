"""A cheap load generator: one POST at a time on each of many keep-alive connections.

    python -m tests.bench.http_load --url http://127.0.0.1:8889 --path /queue/default/jobs \
        --token T --body '{"type": "noop", "payload": {}}' --connections 50 --seconds 5

Runs as a process of its own and prints one line of JSON: per_second, p50_ms, p99_ms, statuses. The
first second warms up and is not counted. The request is one prepared buffer, sent again and again;
answers are parsed by httptools.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from ..options import Options

WARM_UP = 1.0


@dataclass
class Tally:
    """Answers since the warm-up ended; times are perf_counter seconds."""

    begin: float
    end: float
    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def add(self, sent: float, now: float, status: int) -> None:
        if self.begin <= now < self.end:
            self.waits.append(now - sent)
            self.statuses[status] += 1


class Connection(asyncio.Protocol):
    """Sends the request, waits for the whole answer, sends the next, until the tally's end."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self.request, self.tally = request, tally
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._send()

    def _send(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.tally.add(self.sent, now, self.parser.get_status_code())
        if now < self.tally.end:
            # Not from inside the parser, which this replaces.
            asyncio.get_running_loop().call_soon(self._send)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def request_bytes(host: str, path: str, token: str, body: bytes) -> bytes:
    """The request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def percentile(waits: list[float], percent: float) -> float:
    """Nearest rank, in milliseconds."""
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1e3


async def load(url: str, request: bytes, connections: int, seconds: float) -> dict[str, object]:
    """Keep the connections busy; answers the figures. Raises RuntimeError when nothing answered."""
    parts = urlsplit(url)
    begin = time.perf_counter() + WARM_UP
    tally = Tally(begin, begin + seconds)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Connection(request, tally), parts.hostname or "localhost", parts.port or 80
        )
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(connection.closed for _, connection in made)), seconds + 30)
    if not tally.waits:
        raise RuntimeError("no answers")
    return {
        "per_second": len(tally.waits) / seconds,
        "p50_ms": percentile(tally.waits, 50),
        "p99_ms": percentile(tally.waits, 99),
        "statuses": {str(status): count for status, count in tally.statuses.items()},
    }


def main() -> None:
    parser = Options("tests.bench.http_load", __doc__)
    parser.add_argument("--url", required=True, help="of the server")
    parser.add_argument("--path", required=True, help="of the request")
    parser.add_argument("--token", default="", help="of a producer; none for a server that asks for none")
    parser.add_argument("--body", required=True, help="of each request, in JSON")
    parser.add_argument("--connections", type=int, default=50, help="at once (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, after the first (%(default)s)")
    args = parser.parse_args()
    host = urlsplit(args.url).netloc
    request = request_bytes(host, args.path, args.token, args.body.encode())
    print(json.dumps(uvloop.run(load(args.url, request, args.connections, args.seconds))))


if __name__ == "__main__":
    main()
