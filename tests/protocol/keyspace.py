"""The commands of Redis that our scripts and processes use, over dictionaries. `test_valkey.py` holds every
answer of a run against a real server's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

Value: TypeAlias = Any  # bytes, dict (hash), set, Sorted


class Sorted:
    """A sorted set."""

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self._list: list[tuple[float, bytes]] | None = None

    def put(self, member: bytes, score: float) -> int:
        new = member not in self.scores
        self.scores[member] = score
        self._list = None
        return int(new)

    def drop(self, member: bytes) -> int:
        self._list = None
        return int(self.scores.pop(member, None) is not None)

    @property
    def rows(self) -> list[tuple[float, bytes]]:
        if self._list is None:
            self._list = sorted((score, member) for member, score in self.scores.items())
        return self._list


class WrongType(Exception):
    """A key holds something else."""


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else repr(value).encode()


class Keyspace:
    """`call(b"HSET", ...)`: words are bytes; answers bytes, int, None or lists of them."""

    def __init__(self, clock: Callable[[], int], publish: Callable[[bytes, bytes], None]) -> None:
        self.clock, self._publish = clock, publish
        self.keys: dict[bytes, Value] = {}
        self.expiry: dict[bytes, int] = {}
        self._commands = {
            name[5:].upper().encode(): getattr(self, name) for name in dir(self) if name.startswith("_cmd_")
        }  # fmt: skip

    def call(self, command: bytes, *words: bytes) -> Any:
        if self.expiry:
            self._expire()
        answer = self._commands[command](*words)
        held = self.keys.get(words[0]) if words else None
        if held is not None and not (held.scores if isinstance(held, Sorted) else held):
            self._delete(words[0])  # Redis keeps nothing empty
        return answer

    def dump(self) -> tuple[dict[bytes, Value], dict[bytes, int]]:
        return copy.deepcopy(self.keys), dict(self.expiry)

    def restore(self, dump: tuple[dict[bytes, Value], dict[bytes, int]]) -> None:
        self.keys, self.expiry = copy.deepcopy(dump[0]), dict(dump[1])

    def _expire(self) -> None:
        now = self.clock()
        for key in [key for key, at in self.expiry.items() if at <= now]:
            self._delete(key)

    def _delete(self, key: bytes) -> int:
        self.expiry.pop(key, None)
        return int(self.keys.pop(key, None) is not None)

    def _get(self, key: bytes, kind: type[Any]) -> Any:
        """For reading: an empty one where there is none."""
        held = self.keys.get(key)
        if held is None:
            return kind()
        if not isinstance(held, kind):
            raise WrongType(key)
        return held

    def _own(self, key: bytes, kind: type[Any]) -> Any:
        """For writing."""
        if key not in self.keys:
            self.keys[key] = kind()
        return self._get(key, kind)

    # -- keys --------------------------------------------------------------------------------------------

    def _cmd_del(self, *keys: bytes) -> int:
        return sum(self._delete(key) for key in keys)

    _cmd_unlink = _cmd_del

    def _cmd_get(self, key: bytes) -> bytes | None:
        return self._get(key, bytes) if key in self.keys else None

    def _cmd_set(self, key: bytes, value: bytes, *options: bytes) -> bytes | None:
        if b"NX" in options and key in self.keys:
            return None
        self.keys[key] = value
        self.expiry.pop(key, None)
        if b"PX" in options:
            self.expiry[key] = self.clock() + int(options[options.index(b"PX") + 1])
        return b"OK"

    def _cmd_pexpire(self, key: bytes, ms: bytes) -> int:
        if key in self.keys:
            self.expiry[key] = self.clock() + int(ms)
        return int(key in self.keys)

    def _cmd_persist(self, key: bytes) -> int:
        return int(self.expiry.pop(key, None) is not None)

    def _cmd_time(self) -> list[bytes]:
        now = self.clock()
        return [b"%d" % (now // 1000), b"%d" % (now % 1000 * 1000)]

    def _cmd_publish(self, channel: bytes, text: bytes) -> int:
        self._publish(channel, text)
        return 0

    def _cmd_ping(self) -> bytes:
        return b"PONG"

    # -- hashes ------------------------------------------------------------------------------------------

    def _cmd_hget(self, key: bytes, field: bytes) -> bytes | None:
        found: bytes | None = self._get(key, dict).get(field)
        return found

    def _cmd_hmget(self, key: bytes, *fields: bytes) -> list[bytes | None]:
        held = self._get(key, dict)
        return [held.get(field) for field in fields]

    def _cmd_hset(self, key: bytes, *pairs: bytes) -> int:
        held = self._own(key, dict)
        before = len(held)
        held.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(held) - before

    def _cmd_hdel(self, key: bytes, *fields: bytes) -> int:
        held = self._get(key, dict)
        return sum(held.pop(field, None) is not None for field in fields)

    def _cmd_hlen(self, key: bytes) -> int:
        return len(self._get(key, dict))

    def _cmd_hkeys(self, key: bytes) -> list[bytes]:
        return list(self._get(key, dict))

    def _cmd_hincrby(self, key: bytes, field: bytes, by: bytes) -> int:
        held = self._own(key, dict)
        value = int(held.get(field, 0)) + int(by)
        held[field] = b"%d" % value
        return value

    # -- sets --------------------------------------------------------------------------------------------

    def _cmd_sadd(self, key: bytes, *members: bytes) -> int:
        held = self._own(key, set)
        before = len(held)
        held.update(members)
        return len(held) - before

    def _cmd_smembers(self, key: bytes) -> list[bytes]:
        return sorted(self._get(key, set))

    # -- sorted sets -------------------------------------------------------------------------------------

    def _cmd_zadd(self, key: bytes, *words: bytes) -> int:
        only_old = words[0] == b"XX"
        pairs = words[1:] if only_old else words
        held = self._get(key, Sorted) if only_old else self._own(key, Sorted)
        added = 0
        for score, member in zip(pairs[::2], pairs[1::2], strict=True):
            if not only_old or member in held.scores:
                added += held.put(member, float(score))
        return added

    def _cmd_zrem(self, key: bytes, *members: bytes) -> int:
        held = self._get(key, Sorted)
        return sum(held.drop(member) for member in members)

    def _cmd_zcard(self, key: bytes) -> int:
        return len(self._get(key, Sorted).scores)

    def _cmd_zscore(self, key: bytes, member: bytes) -> bytes | None:
        score = self._get(key, Sorted).scores.get(member)
        return None if score is None else _number(score)

    def _cmd_zrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[bytes]:
        rows = self._get(key, Sorted).rows
        end = int(last) if int(last) >= 0 else len(rows) + int(last)
        return self._told(rows[int(first) : end + 1], bool(options))

    def _cmd_zrangebyscore(self, key: bytes, _: bytes, top: bytes, *limit: bytes) -> list[bytes]:
        rows = [row for row in self._get(key, Sorted).rows if row[0] <= float(top)]
        return self._told(rows[: int(limit[2])], False)

    def _cmd_zpopmin(self, key: bytes, count: bytes) -> list[bytes]:
        held = self._get(key, Sorted)
        rows = held.rows[: int(count)]
        for _, member in rows:
            held.drop(member)
        return self._told(rows, True)

    def _cmd_zremrangebyrank(self, key: bytes, first: bytes, last: bytes) -> int:
        held = self._get(key, Sorted)
        rows = held.rows[int(first) : int(last) + 1]
        return sum(held.drop(member) for _, member in rows)

    def _told(self, rows: list[tuple[float, bytes]], scores: bool) -> list[bytes]:
        if not scores:
            return [member for _, member in rows]
        return [word for score, member in rows for word in (member, _number(score))]
