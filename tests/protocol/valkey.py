"""Redis as the processes of the simulation meet it: our real Lua scripts, over a keyspace in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hivelog.broker import keys, scripts
from lupa import lua51

from .keyspace import Keyspace

if TYPE_CHECKING:
    from .checker import Checker

_SUPPORT = (Path(__file__).parent / "redis.lua").read_bytes()
# A bug in a script: the line as it is, and as it would be without its guard.
Edit = tuple[bytes, bytes]


class Valkey:
    """The server. `edits`: changes to the scripts, each of which must fit somewhere."""

    def __init__(self, clock: Callable[[], int], edits: Collection[Edit] = ()) -> None:
        self.up = True
        self.subscribers: list[Callable[[list[bytes]], None]] = []
        self.space = Keyspace(clock, self._publish)
        self.recorder: Callable[[str, tuple[bytes, ...], Any], None] | None = None
        self.checker: Checker | None = None
        self.calls = 0
        self._lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=False)
        self._lua.execute(_SUPPORT)
        self._is_table = self._lua.eval(b"function(x) return type(x) == 'table' end")
        self._list = self._lua.table_from
        self._unpacked = self._lua.globals()[b"cmsgpack"][b"unpack"]
        self._lua.globals()[b"redis"] = self._lua.globals()[b"redis_of"](self._command)
        self._scripts = self._compiled(edits)

    def _compiled(self, edits: Collection[Edit]) -> dict[str, Any]:
        texts = {name: scripts.load(name) for name in scripts.NAMES}
        for before, after in edits:
            assert any(before in text for text in texts.values()), before
            texts = {name: text.replace(before, after) for name, text in texts.items()}
        return {
            name: self._lua.execute(b"return function(KEYS, ARGV)\n" + text + b"\nend")
            for name, text in texts.items()
        }  # fmt: skip

    def run(self, name: str, *arguments: bytes) -> Any:
        """A script; atomic. Raises WrongType, as a script of ours does when keys are not what they were."""
        self.calls += 1
        before = self.ready() if name == "claim" and self.checker is not None else None
        answer = self._told(self._scripts[name](self._list([keys.AT]), self._list(arguments)))
        if before is not None and self.checker is not None:
            asked = self._told(self._unpacked(arguments[0])[b"queues"])
            self.checker.popped(before, answer, {queue: types for queue, types, _ in asked})
        if self.recorder is not None:
            self.recorder(name, arguments, answer)
        return answer

    def flush(self) -> None:
        self.space.keys.clear()
        self.space.expiry.clear()

    def ready(self) -> dict[tuple[int, int], list[tuple[int, bytes]]]:
        """Ids (with priority) by queue and type, in order."""
        found = {}
        build = self.space.keys.get(keys.AT, {}).get(b"build")
        if build is None:
            return {}
        start = keys.PREFIX + build + b":q:"
        for key, held in self.space.keys.items():
            if key.startswith(start):
                queue, kind = key[len(start) :].split(b":")
                found[int(queue), int(kind)] = [(-int(score), job) for score, job in held.rows]
        return found

    def claimed(self) -> list[bytes]:
        """The ids that claims hold, joined."""
        build = self.space.keys.get(keys.AT, {}).get(b"build")
        if build is None:
            return []
        start = keys.PREFIX + build + b":claim:"
        held = [value for key, value in self.space.keys.items() if key.startswith(start)]
        return [blob for claim in held for blob in self._blobs(claim[b"items"])]

    def _blobs(self, packed: bytes) -> list[bytes]:
        return [group[3] for group in self._told(self._unpacked(packed))]

    def _publish(self, _: bytes, text: bytes) -> None:
        for each in self.subscribers:
            each([b"message", keys.WAKE, text])

    def _command(self, *words: Any) -> Any:
        answer = self.space.call(*words)
        if isinstance(answer, list):
            return self._list([False if each is None else each for each in answer])
        return answer

    def _told(self, answer: Any) -> Any:
        if isinstance(answer, bool):
            return int(answer) or None
        if isinstance(answer, float):
            return int(answer)
        if self._is_table(answer):
            return [self._told(answer[n]) for n in range(1, len(answer) + 1)]
        return answer
