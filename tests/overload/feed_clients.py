"""Many readers of the live feed on plain sockets, and some that open it and never read."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import socket
from collections.abc import Sequence

_ID = re.compile(rb"(?:^|\n)id: \d+-(\d+)\n")


class Reader:
    """Counts what it is sent; `positions` in the order of arrival."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.resets = 0
        self.ended = False

    async def run(self, port: int, identity: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request(identity))
        rest = b""
        try:
            while chunk := await reader.read(1 << 16):
                whole, _, rest = (rest + chunk).rpartition(b"\n\n")
                self.positions += map(int, _ID.findall(whole))
                self.resets += whole.count(b"event: reset")
        finally:
            self.ended = True
            writer.close()


class Sleeper:
    """Opens the stream and never reads; its own buffer is small, so that the server's fills."""

    def __init__(self, port: int, identity: str, *, websocket: bool = False) -> None:
        if websocket:
            key = base64.b64encode(os.urandom(16)).decode()
            identity += (
                f"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
                f"\r\nSec-WebSocket-Key: {key}"
            )
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(_request(identity))

    def close(self) -> None:
        self._socket.close()


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def person(number: int) -> str:
    """Behind a proxy that is trusted: so one run can be more callers than it has tokens."""
    return f"X-User-ID: reader-{number}\r\nX-User-Role: viewer"


def _request(identity: str) -> bytes:
    return (
        "GET /queue/status HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        f"{identity}\r\n\r\n"
    ).encode()


async def reading(
    port: int, identities: Sequence[str], number: int
) -> tuple[list[Reader], list[asyncio.Task[None]]]:
    """So many readers, each connected; the identities share them."""
    readers = [Reader() for _ in range(number)]
    tasks = []
    for n, reader in enumerate(readers):
        tasks.append(asyncio.create_task(reader.run(port, identities[n % len(identities)])))
        if n % 20 == 19:
            await asyncio.sleep(0.05)  # a listening socket's backlog is finite
    return readers, tasks


async def stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
