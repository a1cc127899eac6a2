"""An endpoint as a value: what the router, the authorisation and the OpenAPI document read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from .answers import Answer
from .requests import Call

Run = Callable[[Call], Awaitable[Answer]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method of one path. `scope` None: open to everybody.

    `query` names parameters with a sentence each; `body` and `answer` are Structs for the document.
    """

    method: str
    path: str
    run: Run
    scope: str | None
    summary: str
    query: Mapping[str, str] = {}
    body: Any = None
    answer: Any = None
    status: int = 200
    tag: str = "queues"
