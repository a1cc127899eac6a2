"""A Redis that cannot be trusted: everything that a cache may do to us between two calls.

It works on the real server with a client of its own, and wraps the calls of one process to lose, repeat or
reorder its feeds, or to be out of reach.
"""

from __future__ import annotations

import contextlib
import os
import random
from typing import Any

import msgspec
import redis
from hivelog.broker.connection import Redis, RedisUnavailable

_KEYS = b"{hivelog}:"


class Adversary:
    """Damages the Redis at `url`. Everything follows from the random generator that it is given."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._redis: Any = redis.Redis.from_url(url)
        self._rng = rng
        self._dump: dict[bytes, tuple[bytes, int]] = {}

    def close(self) -> None:
        self._redis.close()

    def keys(self, pattern: bytes = b"*") -> list[bytes]:
        return sorted(self._redis.scan_iter(match=_KEYS + pattern, count=1000))

    def flush(self) -> None:
        self._redis.flushdb()

    def drop_key(self) -> None:
        """Any key of ours, also the checkpoint."""
        if keys := self.keys():
            self._redis.delete(self._rng.choice(keys))

    def evict_ready(self) -> None:
        """Ready ids go, the checkpoint stays: what an eviction policy does."""
        if keys := self.keys(b"*:q:*"):
            self._redis.delete(self._rng.choice(keys))

    def remember(self) -> None:
        """Take a dump..."""
        self._dump = {key: (self._redis.dump(key), max(self._redis.pttl(key), 0)) for key in self.keys()}

    def restore(self) -> None:
        """...and come back with it later, as after a failover to a stale replica."""
        self._redis.flushdb()
        for key, (dump, lifetime) in self._dump.items():
            if dump is not None:
                self._redis.restore(key, lifetime, dump, replace=True)

    def add_ids(self, queue: int, type_: int, ids: list[bytes]) -> None:
        """Foreign, finished or running ids, or ready ones where they do not belong."""
        for build in self._builds():
            key = _KEYS + build + b":q:%d:%d" % (queue, type_)
            members = {job: self._rng.choice([-1000, -100, 0]) for job in [*ids, os.urandom(16)]}
            with contextlib.suppress(redis.ResponseError):  # another fault took that key
                self._redis.zadd(key, members)
                self._redis.sadd(_KEYS + build + b":t:%d" % queue, type_)

    def lose_an_id(self) -> None:
        for key in self.keys(b"*:q:*"):
            with contextlib.suppress(redis.ResponseError):
                self._redis.zpopmax(key)

    def move_checkpoint(self, by: int) -> None:
        """Forward: it is of another log. Where Redis knows more of this one, the log was put back (test_put_back)."""
        if self._redis.hget(_KEYS + b"at", "position") is not None:
            self._redis.hincrby(_KEYS + b"at", "position", by)
            if by > 0:
                self._redis.hset(_KEYS + b"at", "log", "another")

    def wrong_type(self) -> None:
        """A key of ours that is not what it was."""
        if keys := self.keys(b"*:*:*"):
            key = self._rng.choice(keys)
            self._redis.delete(key)
            self._redis.set(key, "not ours")

    def kill_connections(self) -> None:
        self._redis.client_kill_filter(_type="normal", skipme=True)

    def ready(self) -> dict[tuple[int, int], dict[bytes, float]]:
        """What Redis holds: ids and scores by (queue, type)."""
        found = {}
        for build in self._builds():
            for key in self.keys(build + b":q:*"):
                _, queue, type_ = key.rsplit(b":", 2)
                if self._redis.type(key) == b"zset":
                    found[int(queue), int(type_)] = dict(self._redis.zrange(key, 0, -1, withscores=True))
        return {place: ids for place, ids in found.items() if ids}

    def forget_builds(self) -> None:
        """Let the time pass (15 s) after which a builder that died is forgotten."""
        self._redis.delete(_KEYS + b"building")

    def claims(self) -> int:
        keys = [_KEYS + build + b":claims" for build in self._builds()]
        return sum(self._redis.zcard(key) for key in keys if self._redis.type(key) == b"zset")

    def checkpoint(self) -> tuple[int, int] | None:
        epoch, position = self._redis.hmget(_KEYS + b"at", "epoch", "position")
        return None if epoch is None or position is None else (int(epoch), int(position))

    def _builds(self) -> list[bytes]:
        build = self._redis.hget(_KEYS + b"at", "build")
        return [] if build is None else [build]


class _Head(msgspec.Struct):
    epoch: int
    to: int


class BadFeed:
    """Between a process and its Redis: the next feed is lost, sent twice, or sent after the one behind."""

    def __init__(self, connection: Redis) -> None:
        self._command, self._run = connection.command, connection.run
        self.next: str = ""
        self.away = False
        self._kept: list[tuple[bytes, ...]] = []
        connection.command = self.command  # type: ignore[method-assign]
        connection.run = self.run  # type: ignore[method-assign]

    async def command(self, *words: bytes | int | str | float) -> Any:
        if self.away:
            raise RedisUnavailable("out of reach")
        return await self._command(*words)

    async def run(self, name: Any, *arguments: bytes) -> Any:
        if name != "feed":
            return await self._run(name, *arguments)
        fault, self.next = self.next, ""
        if fault in ("lose", "reorder"):
            if fault == "reorder":
                self._kept.append(arguments)
            head = msgspec.msgpack.decode(arguments[-1], type=_Head)
            return [b"applied", head.epoch, head.to]  # the sender must not know
        answer = await self._run(name, *arguments)
        if fault == "repeat":
            answer = await self._run(name, *arguments)
        while self._kept:
            await self._run(name, *self._kept.pop())
        return answer
