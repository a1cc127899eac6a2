"""`hivelog up`: everything on this machine, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from msgspec import Struct

from ..settings import Settings
from . import output
from .app import RUN, Data, app
from .errors import CommandError
from .processes import Children, stop_signals
from .running import announced
from .serve import Host, Port, require_free
from .servers import bring_up_to_date, load_settings, reachable
from .supervise import Concurrency, MaxProcesses
from .worker import Handlers

_PATIENCE: Final = 30.0  # seconds until the server must answer
_TOKEN_FILE: Final = "admin-token"  # noqa: S105 - a file's name


class Up(Struct, frozen=True):
    """What is running: for whoever adds something to it."""

    settings: Settings  # with both URLs and the admin token
    url: str
    children: Children
    environment: dict[str, str]  # of the children

    def supervise(
        self, modules: Sequence[str], *, slots: int, limit: int | None, extra: Mapping[str, str] | None = None
    ) -> None:
        """Start a supervisor, which starts the workers."""
        arguments = ["--concurrency", str(slots)]
        arguments += [] if limit is None else ["--max-processes", str(limit)]
        arguments += [word for module in modules for word in ("--handlers", module)]
        environment = {**self.environment, **(extra or {})}
        self.children.run("supervise", "supervise", *arguments, environment=environment)


Beside = Callable[[Up], Awaitable[None]]


@app.command(rich_help_panel=RUN)
def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    handlers: Handlers = None,
    concurrency: Concurrency = 1,
    max_processes: MaxProcesses = None,
) -> int:
    """Run everything here: PostgreSQL and Valkey (unless their URLs are set), the server, and the workers.

    Workers come from `hivelog supervise`: as many processes for each queue as it needs, from its scaling.min
    to its scaling.max.

    Prints the dashboard's address with a one-time login link. Data stays in --data. Stops with Ctrl-C: jobs
    that run may finish first; press it twice to stop at once.

    **Examples**

    `hivelog up`

    `hivelog up --handlers shop.jobs --data ./data --port 9000`
    """
    modules = tuple(handlers or load_settings(data=data).handlers)

    async def beside(running: Up) -> None:
        if modules:
            running.supervise(modules, slots=concurrency, limit=max_processes)
        else:
            output.note("[dim]No worker runs: give --handlers MODULE to run jobs here.[/]")
        await asyncio.Event().wait()

    return run(load_settings(host=host, port=port, data=data), beside)


def run(loaded: Settings, beside: Beside) -> int:
    """Servers, schema, `serve`, then `beside` until a signal; then everything stops."""
    address = _address(loaded)
    with announced(loaded.data, address):
        require_free(loaded.host, loaded.port)
        started = time.monotonic()
        with reachable(loaded, quiet=False) as settings:
            with output.busy("Migrating"):
                bring_up_to_date(settings)
            settings = msgspec.structs.replace(settings, admin_token=_admin_token(settings))
            uvloop.run(_run(settings, address, beside, started))
        output.note("[dim]Stopped.[/]")
    return 0


def _address(settings: Settings) -> str:
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1", "") else settings.host  # noqa: S104
    return f"http://{host}:{settings.port}"


async def _run(settings: Settings, address: str, beside: Beside, started: float) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    stop_signals(asyncio.get_running_loop(), on_signal)
    running = Up(settings, address, Children(output.err()), _environment(settings))
    running.children.run("serve", "serve", "--no-migrate", environment=running.environment)
    try:
        await _until_stopped(running, beside, stop, started)
    finally:
        output.note("[dim]Stopping; Ctrl-C again stops at once.[/]")
        await running.children.stop(settings.grace_seconds + 15, hurry)


async def _until_stopped(running: Up, beside: Beside, stop: asyncio.Event, started: float) -> None:
    """Raises what `beside` raises."""
    work = asyncio.create_task(_work(running, beside, started))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if work.done():
        await work
        return
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def _work(running: Up, beside: Beside, started: float) -> None:
    await _ready(running)
    link = await _login_link(running)
    took, token = time.monotonic() - started, running.settings.data / _TOKEN_FILE
    output.note(
        f"\n[bold]Hivelog is up[/] ({took:.1f} s). Open this once, within an hour:\n\n"
        f"    {link}\n\n"
        f"Afterwards it is [bold]{running.url}[/]; a token for scripts is in {token}.\n"
        f"Data: {running.settings.data}. Stop with Ctrl-C.\n"
    )
    await beside(running)


async def _ready(running: Up) -> None:
    import httpx

    deadline = time.monotonic() + _PATIENCE
    async with httpx.AsyncClient(timeout=2) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{running.url}/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise CommandError(f"the server does not answer at {running.url}", "its own lines above say why")


async def _login_link(running: Up) -> str:
    from ..events.pool import make_pool
    from ..web.access import Access

    assert running.settings.database_url is not None
    async with make_pool(running.settings.database_url, name="hivelog up", size=1) as pool:
        code = await Access(pool).new_code("admin", "admin")
    return f"{running.url}/login?code={code}"


def _environment(settings: Settings) -> dict[str, str]:
    """What the children read: ours, with the servers that run here."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    assert settings.admin_token is not None
    ours = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "HIVELOG_ADMIN_TOKEN": settings.admin_token,
        "HIVELOG_DATA": str(settings.data),
        "HIVELOG_HOST": settings.host,
        "HIVELOG_PORT": str(settings.port),
        "HIVELOG_GRACE_SECONDS": f"{settings.grace_seconds:g}",
        "PYTHONUNBUFFERED": "1",
    }
    files = {f"{name}_FILE" for name in ours}
    return {name: value for name, value in os.environ.items() if name not in files} | ours


def _admin_token(settings: Settings) -> str:
    """That of the settings, else the one of this folder: scripts find it there at every start."""
    if settings.admin_token is not None:
        return settings.admin_token
    path: Path = settings.data / _TOKEN_FILE
    with contextlib.suppress(OSError):
        if len(known := path.read_text(encoding="ascii").strip()) >= 16:
            return known
    token = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token


