"""A connection to Redis made for this dispatch path: pipelined, bounded in time, never in the way.

redis-py costs 100-160 us of processor time a command and the way to a waiting worker has three of them;
this takes 20-30 (measured by tests/bench/redis_turn.py). It parses URLs with redis-py and replies with
hiredis, as redis-py does; everything off the dispatch path uses redis-py itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias, cast

import hiredis
from redis.asyncio.connection import parse_url

from . import keys, scripts
from .packing import pack

_TIMEOUT: Final = 1.0
_BACKOFF: Final = (0.5, 5.0)
# Answers of a server that is there but cannot serve: full, loading, failing over, stuck in a script.
# A command that fails inside a script brings the same word along, somewhere in the message.
_NOT_NOW: Final = re.compile(
    r"(^|[ -])(OOM|LOADING|READONLY|MASTERDOWN|BUSY|NOREPLICAS|MISCONF|CLUSTERDOWN|NOAUTH|WRONGPASS|NOPERM"
    r"|max number of clients)\b"
)


_Words: TypeAlias = tuple[bytes | int | str | float, ...]


def _packed(*words: bytes | int | str | float) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


_SKIP: Final = _packed(b"CLIENT", b"REPLY", b"SKIP")  # the answer to the next command


class RedisUnavailable(Exception):
    """Redis does not answer, or cannot serve now. Claims go to PostgreSQL, feeds are caught up later."""


class ScriptFailed(Exception):
    """A script raised: the data is not what it must be."""


class _Protocol(asyncio.Protocol):
    """Replies in the order of the requests; everything else is a message of the subscription."""

    def __init__(self, on_message: Callable[[list[Any]], None] | None) -> None:
        self.reader = hiredis.Reader()
        self.waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.known: set[scripts.Name] = set()  # scripts that the server has been told on this connection
        self._on_message = on_message
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes: no isinstance here.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        try:
            while (reply := self.reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.fail(RedisUnavailable(f"unreadable answer: {error}"))

    def _take(self, reply: Any) -> None:
        if self._on_message is not None and isinstance(reply, list) and reply[0] == b"message":
            self._on_message(reply)
        elif self.waiting:
            _, future = self.waiting.popleft()
            if not future.done():
                future.set_result(reply)

    def send(self, command: bytes) -> asyncio.Future[Any]:
        if self.closed or self.transport is None:
            raise RedisUnavailable("the connection is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.waiting.append((loop.time(), future))
        self.transport.write(command)
        if self._watch is None:
            self._watch = loop.call_later(_TIMEOUT, self._check_time)
        return future

    def _check_time(self) -> None:
        """One timer for all requests: the oldest tells whether the server hangs."""
        self._watch = None
        if not self.waiting:
            return
        loop = asyncio.get_running_loop()
        left = self.waiting[0][0] + _TIMEOUT - loop.time()
        if left <= 0:
            self.fail(RedisUnavailable(f"no answer within {_TIMEOUT:g} s"))
        else:
            self._watch = loop.call_later(left, self._check_time)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(RedisUnavailable(f"the connection was lost: {error or 'closed'}"))

    def fail(self, error: Exception) -> None:
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
        while self.waiting:
            _, future = self.waiting.popleft()
            if not future.done():
                future.set_exception(error)
                future.exception()  # the one who waited may be gone: no complaint about it
        if self.transport is not None:
            self.transport.abort()


class Redis:
    """One connection, opened at first use and again after a failure, with jittered backoff between."""

    def __init__(self, url: str, on_message: Callable[[list[Any]], None] | None = None) -> None:
        self._url = url
        self._options: dict[str, Any] = dict(parse_url(url))
        self._on_message = on_message
        self._protocol: _Protocol | None = None
        self._opening = asyncio.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self.requests = 0  # so far
        self._answers_all = False  # whatever it is told of skipping
        self.error: str | None = None

    def another(self, on_message: Callable[[list[Any]], None]) -> Redis:
        """A second connection to the same server, for a subscription."""
        return Redis(self._url, on_message)

    @property
    def connected(self) -> bool:
        return self._protocol is not None and not self._protocol.closed

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect is allowed."""
        return max(0.0, self._retry_at - time.monotonic())

    async def command(self, *words: bytes | int | str | float) -> Any:
        """One command. Raises RedisUnavailable or ScriptFailed."""
        return await self._reply(words, self._send(words))

    def _send(self, words: _Words) -> asyncio.Future[Any] | None:
        """Put a command on its way, if there is a connection."""
        protocol = self._protocol
        if protocol is None or protocol.closed:
            return None
        self.requests += 1
        return protocol.send(_packed(*words))

    async def _reply(self, words: _Words, sent: asyncio.Future[Any] | None) -> Any:
        if sent is None:
            await self._open()
            sent = self._send(words)
        try:
            if sent is None:
                raise RedisUnavailable("the connection is closed")
            reply = await sent
        except RedisUnavailable as error:
            raise self._failed(error) from None
        return self._checked(reply)

    async def quiet(self) -> None:
        """Wait until what is under way now has been answered."""
        if self._protocol is not None and self._protocol.waiting:
            await asyncio.wait([self._protocol.waiting[-1][1]])

    def run(self, name: scripts.Name, *arguments: bytes) -> Coroutine[Any, Any, Any]:
        """A script, loaded again if the server has forgotten it. Where there is a connection it is on its way
        when this returns, not when somebody awaits it."""
        call = (b"EVALSHA", scripts.digest(name), b"1", keys.AT, *arguments)
        return self._run(name, call, self._send(call))

    async def _run(
        self, name: scripts.Name, call: tuple[bytes, ...], sent: asyncio.Future[Any] | None
    ) -> Any:
        try:
            return await self._reply(call, sent)
        except ScriptFailed as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        if self._protocol is not None:
            self._protocol.known.clear()
        return await self.command(b"EVAL", scripts.load(name), *call[2:])

    def ask(self, name: scripts.Name, **arguments: Any) -> Coroutine[Any, Any, Any]:
        """A script with one msgpack map as its argument; sent as by `run`."""
        return self.run(name, pack(arguments))

    def tell(self, name: scripts.Name, **arguments: Any) -> None:
        """A script whose answer nobody needs. None comes: it would wake this process just when the one that
        is told should run. Without a connection nothing happens."""
        protocol = self._protocol
        if protocol is None or protocol.closed or protocol.transport is None:
            return
        known = name in protocol.known
        protocol.known.add(name)
        script = (b"EVALSHA", scripts.digest(name)) if known else (b"EVAL", scripts.load(name))
        command = _packed(*script, b"1", keys.AT, pack(arguments))
        if self._answers_all:
            protocol.send(command).add_done_callback(asyncio.Future.exception)
        else:
            protocol.transport.write(_SKIP + command)

    async def close(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.fail(RedisUnavailable("closed"))

    def _checked(self, reply: Any) -> Any:
        if not isinstance(reply, hiredis.ReplyError):
            return reply
        text = str(reply)
        if _NOT_NOW.search(text):
            raise self._failed(RedisUnavailable(text))
        raise ScriptFailed(text)

    def _failed(self, error: RedisUnavailable) -> RedisUnavailable:
        """Close and wait before the next try: a full server needs rest as much as an absent one."""
        if self.connected or self.retry_in == 0:
            low, high = _BACKOFF
            delay = min(high, low * 2**self._failures)
            self._failures += 1
            self._retry_at = time.monotonic() + delay * random.uniform(0.5, 1.0)  # noqa: S311
            self.error = str(error)
        if self._protocol is not None:
            protocol, self._protocol = self._protocol, None
            protocol.fail(error)
        return error

    async def _open(self) -> _Protocol:
        async with self._opening:
            if self._protocol is not None and not self._protocol.closed:
                return self._protocol
            if self.retry_in > 0:
                raise RedisUnavailable(self.error or "not yet")
            try:
                async with asyncio.timeout(_TIMEOUT):
                    protocol = await self._connect()
                    await self._greet(protocol)
                    if not self._answers_all and await self._answers(protocol):
                        self._answers_all = True  # what it answered besides is still on its way: another one
                        protocol.fail(RedisUnavailable("closed"))
                        protocol = await self._connect()
                        await self._greet(protocol)
            except RedisUnavailable as error:
                raise self._failed(error) from None
            except (OSError, TimeoutError) as error:
                raise self._failed(RedisUnavailable(str(error) or "connecting took too long")) from error
            self._protocol, self._failures, self.error = protocol, 0, None
            return protocol

    async def _connect(self) -> _Protocol:
        loop, options = asyncio.get_running_loop(), self._options
        if "path" in options:
            _, protocol = await loop.create_unix_connection(self._new, options["path"])
            return protocol
        secure = "SSL" in getattr(options.get("connection_class"), "__name__", "")
        _, protocol = await loop.create_connection(
            self._new,
            options.get("host", "localhost"),
            int(options.get("port", 6379)),
            ssl=_tls(options) if secure else None,
        )
        return protocol

    def _new(self) -> _Protocol:
        return _Protocol(self._on_message)

    async def _answers(self, protocol: _Protocol) -> bool:
        """Whether it answers a command that it was told not to answer: it may not know how, or forbid it."""
        assert protocol.transport is not None
        protocol.transport.write(_SKIP + _packed(b"ECHO", b"unheard"))
        return isinstance(await protocol.send(_packed(b"ECHO", b"heard")), hiredis.ReplyError)

    async def _greet(self, protocol: _Protocol) -> None:
        options = self._options
        words: list[tuple[Any, ...]] = []
        if options.get("password"):
            user = (options["username"],) if options.get("username") else ()
            words.append((b"AUTH", *user, options["password"]))
        if options.get("db"):
            words.append((b"SELECT", options["db"]))
        words.append((b"PING",))
        for word in words:
            reply = await protocol.send(_packed(*word))
            if isinstance(reply, hiredis.ReplyError):
                protocol.fail(RedisUnavailable(str(reply)))
                raise RedisUnavailable(str(reply))


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if str(options.get("ssl_cert_reqs", "required")).lower() in ("none", "optional"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(KeyError):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
