"""A proxy between a client and PostgreSQL that can lose answers: the server commits, nobody is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


class Proxy:
    """Forwards bytes both ways until told otherwise."""

    def __init__(self) -> None:
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

    async def connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
    ) -> None:
        if self._refuse:
            writer.transport.abort()
            return
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(target)
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(
            self._pump(reader, upstream_writer), self._answers(upstream_reader, writer),
            return_exceptions=True,
        )  # fmt: skip
        self._writers -= {writer, upstream_writer}
        for end in (writer, upstream_writer):
            end.transport.abort()

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
    """A proxy before the unix socket of `database_url`; its `url` is what to connect to."""
    parts = urlsplit(database_url)
    host = parse_qs(parts.query)["host"][0]
    port = parse_qs(parts.query).get("port", ["5432"])[0]
    proxy = Proxy()
    server = await asyncio.start_unix_server(
        lambda r, w: proxy.connect(r, w, f"{host}/.s.PGSQL.{port}"),
        path=str(directory / f".s.PGSQL.{port}"),
    )
    proxy.url = database_url.replace(quote(host, safe=""), quote(str(directory), safe=""))
    assert proxy.url != database_url
    try:
        yield proxy
    finally:
        proxy.cut(refuse=True)
        server.close()
