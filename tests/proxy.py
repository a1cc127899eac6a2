"""A proxy between a client and PostgreSQL that can lose answers: the server commits, nobody is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class Proxy:
    """Forwards bytes both ways until told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.url = ""
        self._swallow = False
        self._refuse = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.swallowed = asyncio.Event()

    def lose_next_answer(self) -> None:
        """Pass the next request on, then drop its answer and cut the connection."""
        self.swallowed.clear()
        self._swallow = True

    def cut(self, *, refuse: bool = False) -> None:
        """Cut every connection; with `refuse`, accept none until `restore`."""
        self._refuse = refuse
        for writer in list(self._writers):
            writer.transport.abort()

    def restore(self) -> None:
        self._refuse = False

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuse:
            writer.transport.abort()
            return
        upstream_reader, upstream_writer = await self._upstream()
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(
            self._pump(reader, upstream_writer), self._answers(upstream_reader, writer),
            return_exceptions=True,
        )  # fmt: skip
        self._writers -= {writer, upstream_writer}
        for end in (writer, upstream_writer):
            end.transport.abort()

    async def _upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._swallow:
                self._swallow = False
                self.swallowed.set()
                break
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(database_url: str, directory: Path) -> AsyncIterator[Proxy]:
    """A proxy before the server of `database_url`; its `url` is what to connect to, by a unix socket."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    port = int(query.get("port") or parts.port or 5432)
    proxy = Proxy(query.get("host") or parts.hostname or "localhost", port)
    server = await asyncio.start_unix_server(proxy.connect, path=str(directory / f".s.PGSQL.{port}"))
    account = parts.netloc.rpartition("@")[0]
    query |= {"host": str(directory), "port": str(port)}
    proxy.url = urlunsplit(parts._replace(netloc=f"{account}@" if account else "", query=urlencode(query)))
    try:
        yield proxy
    finally:
        proxy.cut(refuse=True)
        server.close()
