"""`hivelog serve`: the API, the live feed, the dashboard and the leader's duties."""

from __future__ import annotations

import errno
import socket
from typing import Annotated

import typer

from .app import RUN, Data, app
from .errors import CommandError

Host = Annotated[
    str | None,
    typer.Option("--host", metavar="HOST", help="Address to listen on; HIVELOG_HOST, else 127.0.0.1.",
                 show_default=False),
]  # fmt: skip
Port = Annotated[
    int | None,
    typer.Option("--port", metavar="PORT", min=0, max=65_535, help="HIVELOG_PORT, else 8889.",
                 show_default=False),
]  # fmt: skip


@app.command(rich_help_panel=RUN)
def serve(
    host: Host = None,
    port: Port = None,
    root_path: Annotated[
        str, typer.Option("--root-path", metavar="PATH", help="The prefix that a proxy puts before paths.")
    ] = "",
    migrate: Annotated[bool, typer.Option(help="Bring the schema up to date first.")] = True,
    data: Data = None,
) -> int:
    """Serve the API, the live feed and the dashboard, and do the leader's duties.

    Any number may run on one database. The first start prints a one-time login link, unless
    HIVELOG_ADMIN_TOKEN is set. A PostgreSQL that is away is waited for: until it is there, `/health/live`
    is 200 and everything else 503.

    **Examples**

    `hivelog serve`

    `hivelog serve --host 0.0.0.0 --port 8889 --root-path /messaging`
    """
    import uvloop

    from ..web.serve import serve as serve_forever
    from .servers import bring_up_to_date, load_settings, reachable, require_migrated

    loaded = load_settings(host=host, port=port, data=data)
    require_free(loaded.host, loaded.port)
    with reachable(loaded) as settings:

        def prepare() -> None:
            if migrate:
                _warn(bring_up_to_date(settings))
            else:
                require_migrated(settings)

        uvloop.run(serve_forever(settings, root_path=root_path, prepare=prepare))
    return 0


def require_free(host: str, port: int) -> None:
    """One clear line before anything is started. Raises CommandError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        hint = f"stop what listens there, or choose another: --port {port + 1 if port < 65_535 else 8889}"
        taken = error.errno == errno.EADDRINUSE
        why = "is taken" if taken else f"cannot be used ({error.strerror})"
        raise CommandError(f"port {port} of {host} {why}", hint) from None


def _warn(warnings: list[str]) -> None:
    import structlog

    for warning in warnings:
        structlog.get_logger("hivelog.cli").warning("not_enforced", why=warning)
