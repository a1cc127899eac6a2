"""Many readers of the live feed on plain sockets, and some that open it and never read."""

from __future__ import annotations

import asyncio
import contextlib
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

    async def run(self, port: int, token: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request(token))
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

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(_request(token))

    def close(self) -> None:
        self._socket.close()


def _request(token: str) -> bytes:
    return (
        "GET /queue/status HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


async def reading(port: int, tokens: Sequence[str], number: int) -> tuple[list[Reader], list[asyncio.Task[None]]]:
    """So many readers, each connected; the tokens share them."""
    readers = [Reader() for _ in range(number)]
    tasks = []
    for n, reader in enumerate(readers):
        tasks.append(asyncio.create_task(reader.run(port, tokens[n % len(tokens)])))
        if n % 20 == 19:
            await asyncio.sleep(0.05)  # a listening socket's backlog is finite
    return readers, tasks


async def stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
