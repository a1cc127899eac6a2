"""A proxy between a client and a server that can lose answers (the server commits, nobody is told), cut
connections, and stall them: the most unpleasant kind, because nobody says anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Link:
    """One connection, in both directions."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> None:
        self._flowing.set()
        for end in self._ends:
            end.transport.abort()

    def stall(self) -> None:
        """Nothing gets through any more, and neither side is told."""
        self._flowing.clear()

    def go_on(self) -> None:
        """What was held up arrives now, however late."""
        self._flowing.set()

    async def flowing(self) -> None:
        await self._flowing.wait()


class Proxy:
    """Forwards bytes both ways until told otherwise."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.url = ""
        self._swallow = False
        self._refuse = False
        self.links: list[Link] = []  # oldest first
        self.swallowed = asyncio.Event()

    def lose_next_answer(self) -> None:
        """Pass the next request on, then drop its answer and cut the connection."""
        self.swallowed.clear()
        self._swallow = True

    def cut(self, *, refuse: bool = False) -> None:
        """Cut every connection; with `refuse`, accept none until `restore`."""
        self._refuse = refuse
        for link in list(self.links):
            link.cut()

    def restore(self) -> None:
        self._refuse = False

    async def close(self) -> None:
        """Cut everything for good, and wait until it is."""
        self.cut(refuse=True)
        while self.links:
            await asyncio.sleep(0.001)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuse:
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream_writer = await self._upstream()
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, upstream_writer)
        self.links.append(link)
        await asyncio.gather(
            self._pump(link, reader, upstream_writer), self._answers(link, upstream_reader, writer),
            return_exceptions=True,
        )  # fmt: skip
        self.links.remove(link)
        link.cut()

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await link.flowing()
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()

    async def _answers(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await link.flowing()
                if self._swallow:
                    self._swallow = False
                    self.swallowed.set()
                    break
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(database_url: str, directory: Path) -> AsyncIterator[Proxy]:
    """A proxy before the server of `database_url`; its `url` is what to connect to, by a unix socket."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    port = int(query.get("port") or parts.port or 5432)
    proxy = Proxy(_postgres(query.get("host") or parts.hostname or "localhost", port))
    server = await asyncio.start_unix_server(proxy.connect, path=str(directory / f".s.PGSQL.{port}"))
    account = parts.netloc.rpartition("@")[0]
    query |= {"host": str(directory), "port": str(port)}
    proxy.url = urlunsplit(parts._replace(netloc=f"{account}@" if account else "", query=urlencode(query)))
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def _postgres(host: str, port: int) -> Upstream:
    if host.startswith("/"):
        return lambda: asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return lambda: asyncio.open_connection(host, port)


@contextlib.asynccontextmanager
async def before_socket(path: Path, url: str) -> AsyncIterator[Proxy]:
    """A proxy before the unix socket `path`, listening on a TCP port that takes the place of `{port}` in
    `url`: a network between a process and its server."""
    proxy = Proxy(lambda: asyncio.open_unix_connection(str(path)))
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    proxy.url = url.format(port=server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
