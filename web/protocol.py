"""uvicorn's protocols, with the way out that ASGI lacks: to cut a connection whose client does not read.

Without it such a connection is closed only when its buffer is empty, which it never gets. And the system
would buffer megabytes for each before anybody noticed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_ABORT: Final = "hivelog.abort"


_SEND_BUFFER: Final = 128 * 1024  # bytes; Linux doubles it, for its own books


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if (link := transport.get_extra_info("socket")) is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope["extensions"] = {_ABORT: self._abort}

    def _abort(self) -> None:
        self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            cast("dict[str, Any]", self.scope)["extensions"][_ABORT] = self.transport.abort


def abort_of(scope: Scope) -> Callable[[], None]:
    """What cuts the connection of this request at once; nothing under another server than ours."""
    abort: Callable[[], None] = scope.get("extensions", {}).get(_ABORT, lambda: None)
    return abort
