"""Receivers for the demo's notifications: an SMTP server and a webhook server.

Both refuse some deliveries, as receivers do, so that retries happen for real. Whether they refuse
depends on the seed, the delivery's id and how often it was tried, not on the order of arrival.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .environment import NOBODY, SmtpAddress, as_variables

# The sink's own protocol chatter (a dozen lines a mail) would bury what the demo is about.
logging.getLogger("mail.log").setLevel(logging.WARNING)

KEEP = 10_000  # deliveries, and ids not yet delivered, that a sink remembers
MAX_BODY = 1_048_576


class Delivery(NamedTuple):
    """One accepted delivery: the sender's id for it, to whom, and its size in bytes."""

    id: str
    to: str
    bytes: int


@dataclass
class Ledger:
    """What one sink accepted and refused, and its decision about the next delivery."""

    seed: int
    refusal_rate: float
    accepted: deque[Delivery] = field(default_factory=lambda: deque(maxlen=KEEP))
    counts: Counter[str] = field(default_factory=Counter)
    _tries: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def refuses(self, delivery_id: str) -> bool:
        """Whether this try is refused; counts it if so."""
        tries = self._tries.pop(delivery_id, 0) + 1
        self._tries[delivery_id] = tries
        if len(self._tries) > KEEP:
            self._tries.popitem(last=False)
        refused = random.Random(f"{self.seed}/{delivery_id}/{tries}").random() < self.refusal_rate
        self.counts["refused"] += refused
        return refused

    def accept(self, delivery: Delivery) -> None:
        self._tries.pop(delivery.id, None)
        self.accepted.append(delivery)
        self.counts["accepted"] += 1


@dataclass(frozen=True)
class Sinks:
    """The running sinks: their addresses and what each has seen."""

    smtp: SmtpAddress
    webhook: str
    mails: Ledger
    calls: Ledger

    def variables(self, data: Path) -> dict[str, str]:
        """The environment variables that point workers to these sinks."""
        return as_variables(data, self.smtp, self.webhook)


@contextlib.asynccontextmanager
async def sinks(
    seed: int = 1,
    refusal_rate: float = 0.12,
    host: str = "127.0.0.1",
    smtp_port: int = 0,
    webhook_port: int = 0,
) -> AsyncIterator[Sinks]:
    """Run both sinks in this event loop, on free ports unless given, until the block ends."""
    mails, calls = Ledger(seed, refusal_rate), Ledger(seed + 1, refusal_rate)
    async with (
        smtp_sink(mails, host, smtp_port) as address,
        webhook_sink(calls, host, webhook_port) as url,
    ):
        yield Sinks(address, url, mails, calls)


@contextlib.asynccontextmanager
async def smtp_sink(ledger: Ledger, host: str, port: int) -> AsyncIterator[SmtpAddress]:
    """An SMTP server that refuses some messages with 450 and those to NOBODY with 550."""
    receiver = _MailReceiver(ledger)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(receiver, hostname="sink.demo.example", data_size_limit=MAX_BODY),
        host,
        port,
    )
    try:
        yield SmtpAddress(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()


@contextlib.asynccontextmanager
async def webhook_sink(ledger: Ledger, host: str, port: int) -> AsyncIterator[str]:
    """An HTTP server that answers POSTs with 202, some with 503; yields its base URL."""
    listener = socket.create_server((host, port))
    config = uvicorn.Config(webhook_app(ledger), log_config=None, access_log=False, lifespan="off")
    server = _QuietServer(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()


def webhook_app(ledger: Ledger) -> Starlette:
    """The sink's one route, ``POST /{endpoint}``."""

    async def receive(request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        body = await request.body()
        # A slow receiver now and then, so that run times in the demo are not all the same.
        await asyncio.sleep(random.Random(key).expovariate(20))
        if ledger.refuses(key):
            return JSONResponse({"error": "try later"}, 503, {"Retry-After": "5"})
        ledger.accept(Delivery(key, request.path_params["endpoint"], len(body)))
        return JSONResponse({"accepted": key}, 202)

    return Starlette(routes=[Route("/{endpoint}", receive, methods=["POST"])])


class _MailReceiver:
    """The hook that aiosmtpd calls once a message is complete."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd looks for
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content or b""
        if NOBODY in envelope.rcpt_tos:
            self._ledger.counts["refused"] += 1
            return "550 5.1.1 mailbox does not exist"
        key = _message_id(content)
        if self._ledger.refuses(key):
            return "450 4.2.1 mailbox busy, try again later"
        self._ledger.accept(Delivery(key, ", ".join(envelope.rcpt_tos), len(content)))
        return "250 2.0.0 accepted"


class _QuietServer(uvicorn.Server):
    """uvicorn that leaves Ctrl-C to the program it runs inside."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _message_id(content: bytes) -> str:
    for line in content.split(b"\r\n\r\n", 1)[0].splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"message-id":
            return value.decode("ascii", "replace").strip(" <>").removesuffix("@demo.example")
    return ""
