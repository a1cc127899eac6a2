"""What a client stands on: the log itself, a server over HTTP, or (in tests) neither."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from .errors import OVERLOADS, PASSING, HivelogError
from .job import Job
from .transaction import Call, Connection

T = TypeVar("T")

_TRIES: Final = 5
_FIRST_PAUSE: Final = 0.1  # s; doubled each time, half of it jitter


class BulkItem(Struct, frozen=True, gc=False):
    """One job of a bulk, as `POST /jobs` takes it."""

    queue: str
    type: str
    payload: Any
    metadata: Mapping[str, object] | None = None
    idempotency_key: str | None = None


class Backend(Protocol):
    """Raises the family of HivelogError."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job: ...

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]: ...

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        """A job of the caller's transaction; None: by the caller's connection, as everywhere but in tests."""
        ...

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        """Anything else of the API; answers its JSON. `path` begins with a slash, its parts quoted."""
        ...

    async def wait(self, job: str) -> None:
        """Until the job has ended, or may have: the caller looks again."""
        ...


async def repeated(attempt: Callable[[], Awaitable[T]], *, harmless: bool) -> T:
    """Try again, a few times, what a moment later may go well. `harmless`: doing it twice is as once."""
    worth = PASSING if harmless else OVERLOADS
    for number in range(_TRIES - 1):
        try:
            return await attempt()
        except HivelogError as error:
            if error.code not in worth and not error.unsent:
                raise
        await asyncio.sleep(_FIRST_PAUSE * 2**number * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
    return await attempt()
