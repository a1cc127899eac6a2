"""`hivelog serve`: uvicorn on uvloop and httptools, with a stop that says bye to streams first."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import structlog
import uvicorn

from ..settings import Settings
from ..stopping import end_within, stop_tasks
from .access import CODE_MINUTES, TOKEN_FILE, Access
from .app import Application
from .protocol import Protocol, WebSocketProtocol

_log = structlog.get_logger(__name__)

# Connections that are still open then are cut.
_GRACE: Final = 10
_CLOSING: Final = 5  # seconds after that
_BACKLOG: Final = 2048


class Server(uvicorn.Server):
    """uvicorn's server; its stop waits for open responses, and streams would stay open for ever."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn would raise the signal again at the end; but who was told to stop, and did, did well."""
        end_within(_GRACE + _CLOSING)
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.stop_streams()
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def make_server(settings: Settings, application: Application, *, root_path: str = "") -> Server:
    """A server for this application; `await server.serve()` runs it until a signal."""
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        root_path=root_path.rstrip("/"),
        loop="uvloop",
        http=Protocol,
        ws=WebSocketProtocol,
        ws_max_size=64 * 1024,
        lifespan="on",
        proxy_headers=False,  # TRUSTED_PROXIES decides, in `auth`
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE,
    )
    return Server(config, application)


async def serve(
    settings: Settings, *, root_path: str = "", prepare: Callable[[], object] = lambda: None
) -> None:
    """Serve until SIGTERM or SIGINT. Both URLs are set; `prepare` updates the schema, or looks at it.

    A PostgreSQL that is away is waited for. Raises Refused, what `prepare` raises, and what opening raises.
    """
    application = Application(settings, prepare=prepare)
    server = make_server(settings, application, root_path=root_path)
    attendant = asyncio.create_task(_attend(settings, server, application, root_path))
    try:
        await server.serve()
    except SystemExit:
        if application.failure is None:
            raise
    finally:
        await stop_tasks(attendant)
    if application.failure is not None:
        raise application.failure
    if not server.started and not server.should_exit:
        sys.exit(3)


async def _attend(settings: Settings, server: Server, application: Application, root_path: str) -> None:
    """Greet when everything is there; stop a server that waited in vain."""
    await application.settled.wait()
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    if (services := application.services) is None:
        server.should_exit = True
        return
    port = settings.port
    for listening in server.servers:
        port = listening.sockets[0].getsockname()[1]
    host = "localhost" if settings.host in ("0.0.0.0", "127.0.0.1", "::", "") else settings.host  # noqa: S104
    base = f"http://{host}:{port}{root_path.rstrip('/')}"
    _log.info("serving", url=base)
    if settings.admin_token is None:
        await first_start(settings, services.access, base)


async def first_start(settings: Settings, access: Access, base: str) -> None:
    """Without HIVELOG_ADMIN_TOKEN the first start ever makes a token, and prints how to get in."""
    code = await access.first_token(settings.data)
    if code is None:
        return
    sys.stderr.write(
        f"\nFirst start. Log in once, within {CODE_MINUTES} minutes:\n\n    {base}/login?code={code}\n\n"
        f"An admin token for scripts is in {settings.data / TOKEN_FILE}.\n\n"
    )
