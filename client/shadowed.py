"""What a client stands on in a shadow run: reads as ever, enqueues that are only counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..broker.sandbox import Recorder
from ..events import ids
from .backend import Backend, BulkItem
from .errors import Disabled
from .job import Job, Metadata
from .transaction import Call, Connection


class Shadowed:
    """A Backend. A job that it answers has a fresh id, and is nowhere."""

    def __init__(self, own: Backend, recorder: Recorder) -> None:
        self._own, self._recorder = own, recorder

    async def open(self) -> None:
        await self._own.open()

    async def close(self) -> None:
        await self._own.close()

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        return self._job(queue, type_, payload)

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]:
        return [self._job(item.queue, item.type, item.payload).id for item in items]

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        return self._job(call.queue, call.type, call.payload)

    def _job(self, queue: str, type_: str, payload: object) -> Job:
        self._recorder.enqueue(queue, type_)
        return Job(ids.to_text(ids.mint_many(1)[0]), queue, type_, payload, "queued", Metadata())

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        """Raises Disabled for all but reads."""
        if method != "GET":
            raise Disabled(f"a shadow run changes nothing, not even by {method} {path}")
        return await self._own.call(method, path, query, body)

    async def wait(self, job: str) -> None:
        await self._own.wait(job)
