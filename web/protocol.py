"""uvicorn's HTTP protocol, with the way out that ASGI lacks: to cut a connection whose client does not read.

Without it such a connection is closed only when its buffer is empty, which it never gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_ABORT: Final = "hivelog.abort"


class Protocol(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope["extensions"] = {_ABORT: self._abort}

    def _abort(self) -> None:
        self.transport.abort()


def abort_of(scope: Scope) -> Callable[[], None]:
    """What cuts the connection of this request at once; nothing under another server than ours."""
    abort: Callable[[], None] = scope.get("extensions", {}).get(_ABORT, lambda: None)
    return abort
