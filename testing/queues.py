"""Queues in memory: settings, pause and drain, written into the test's log as the real ones are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from msgspec import Struct, to_builtins

from ..client.errors import UnknownQueue, error_of
from ..events import types
from ..events.queue import DEFAULT_QUEUES, QueueConfig, configured, queue_name
from ..web.queues import Drained, QueueRow, Said
from .life import Life, Timeline


class Queues:
    """Those out of the box, and what the test makes of them. `paused` may be changed by hand."""

    def __init__(self, line: Timeline) -> None:
        self._line = line
        self.configs: dict[str, QueueConfig] = dict(DEFAULT_QUEUES)
        self.paused: set[str] = set()
        self._streams: dict[str, bytes] = {}
        self._versions: dict[str, int] = {}
        self._changed: dict[str, int] = {}  # position of the last change

    def config(self, name: str) -> QueueConfig:
        """Raises UnknownQueue."""
        if (found := self.configs.get(name)) is None:
            raise UnknownQueue(f"there is no queue {name!r}", {"queue": name})
        return found

    def shown(self, name: str) -> QueueRow:
        config = to_builtins(self.config(name))
        return QueueRow(name, name in self.paused, config, self._changed.get(name, 0))

    def configure(self, name: str, changes: Mapping[str, object]) -> QueueRow:
        """Raises InvalidField."""
        queue_name(name)
        before = self.configs.get(name)
        wanted = configured(before or QueueConfig(), changes)
        if wanted != before:
            self.configs[name] = wanted
            self._changed[name] = self._write("queue_configured", name, wanted)
        return self.shown(name)

    def switch(self, name: str, event: str, reason: str | None) -> Said:
        """`event`: paused or resumed; nothing is written where it was so already."""
        self.config(name)
        if (event == "paused") != (name in self.paused):
            (self.paused.add if event == "paused" else self.paused.discard)(name)
            self._changed[name] = self._write(event, name, types.Switched(bool(reason)))
        return Said(f"Queue {name} {event}", self._changed.get(name, 0))

    def drain(self, name: str, lives: Iterable[Life], asked: Mapping[str, Any]) -> Drained:
        """Cancel what waits, of the jobs enqueued at or before the position asked for."""
        self.config(name)
        head, until = self._line.position, asked.get("position")
        until = head if until is None else until
        if not 0 <= until <= head:
            reason = f"must be from 0 to {head}, the end of the log"
            raise error_of("invalid_field", f"position {reason}", {"field": "position", "reason": reason})
        waiting = [
            life
            for life in lives
            if life.queue == name and life.state.status in ("pending", "queued")
            and life.events[0].position <= until
        ]  # fmt: skip
        if asked.get("dry_run"):
            return Drained(f"{len(waiting)} jobs would be cancelled", 0, until, len(waiting))
        for life in waiting:
            life.write("cancelled", types.encode(types.Cancelled("drained")))
        self._write("drained", name, types.Drained(until, len(waiting)))
        return Drained(f"Queue {name} drained", len(waiting), until, len(waiting))

    def _write(self, event: str, name: str, data: Struct) -> int:
        stream = self._streams.setdefault(name, uuid4().bytes)
        version = self._versions[name] = self._versions.get(name, 0) + 1
        return self._line.record(stream, version, event, name, types.encode(data)).position
