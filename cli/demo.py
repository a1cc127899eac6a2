"""`hivelog demo`: `up` with real work flowing through it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from ..events.queue import DEFAULT_QUEUES
from . import output
from .app import RUN, Data, app
from .errors import CommandError
from .serve import Host, Port
from .servers import load_settings
from .up import Up, run

# A process for each queue and two more for those that need them: enough to see it scale, and light.
_PROCESSES: Final = 6
_SLOTS: Final = 4

_GRACE: Final = 3.0  # seconds
_PATIENCE: Final = 30.0  # seconds until every queue has a worker


@app.command(rich_help_panel=RUN)
def demo(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0.05, max=50, help="How much traffic; 1 is some ten jobs a second.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed offers the same jobs.")] = 1,
    summary_after: Annotated[
        float, typer.Option("--summary-after", min=1, help="Seconds until what happened is summed up.")
    ] = 60.0,
) -> int:
    """Run everything with a sample workload: watch reports, mails, webhooks and chores go through the queues.

    Mails and webhooks go to receivers in this process, which now and then refuse; nothing leaves this
    machine. After a minute the log is summed up here; it goes on until Ctrl-C.

    **Examples**

    `hivelog demo`

    `hivelog demo --rate 5 --port 9000`
    """
    _require_extra()
    from ..demo import HANDLERS
    from ..demo.sinks import sinks

    async def beside(up: Up) -> None:
        folder = up.settings.data / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        async with sinks(seed) as receivers, producers(up) as client:
            up.supervise(HANDLERS, slots=_SLOTS, limit=_PROCESSES, extra=receivers.variables(folder))
            await _until_all_work(up)
            output.note(f"[dim]Traffic begins; the summary comes in {summary_after:g} s.[/]")
            await _play(up, client, folder, rate=rate, seed=seed, summary_after=summary_after)

    # An export may take a minute: whoever presses Ctrl-C does not want to wait for it.
    grace = None if os.environ.get("HIVELOG_GRACE_SECONDS") else _GRACE
    return run(load_settings(host=host, port=port, data=data, grace_seconds=grace), beside)


async def _until_all_work(up: Up) -> None:
    """A worker for each queue, or half a minute: jobs that wait for the start say nothing about waiting."""
    import httpx

    headers = {"authorization": f"Bearer {up.settings.admin_token}"}
    deadline = time.monotonic() + _PATIENCE
    async with httpx.AsyncClient(base_url=up.url, headers=headers, timeout=5) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, KeyError):
                workers = (await client.get("/workers/status")).json()["workers"]
                if len({queue for worker in workers for queue in worker["queues"]}) >= len(DEFAULT_QUEUES):
                    return
            await asyncio.sleep(0.1)


async def _play(
    up: Up, client: Producers, folder: Path, *, rate: float, seed: int, summary_after: float
) -> None:
    from ..demo.run import SqlProducer, run_traffic
    from ..demo.summary import head

    url = up.settings.database_url
    assert url is not None
    # With encryption on SQL is refused: its jobs would wait in plain text.
    sql = None if up.settings.encryption_enabled else SqlProducer(url)
    start = await head(url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_traffic(client, folder, seed=seed, rate=rate, sql=sql))
        tasks.create_task(_sum_up(url, start, summary_after))


async def _sum_up(url: str, start: int, seconds: float) -> None:
    """From the log, once; the demo goes on if PostgreSQL is away just then."""
    import psycopg

    from ..demo.summary import print_summary, read_summary

    await asyncio.sleep(seconds)
    try:
        print_summary(await read_summary(url, start), seconds, output.err())
    except psycopg.Error as error:
        output.note(f"[yellow]No summary:[/] {escape(str(error))}")


class Producers:
    """One job at a time over HTTP, as an app does it; many at once from Python, on the log itself."""

    def __init__(self, over_http: Any, direct: Any) -> None:
        self._over_http, self._direct = over_http, direct

    async def enqueue(self, queue: str, kind: str, payload: Any, /, **options: Any) -> Any:
        return await self._over_http.enqueue(queue, kind, payload, **options)

    async def enqueue_many(self, jobs: list[dict[str, Any]], /) -> Any:
        return await self._direct.enqueue_many(jobs)


@contextlib.asynccontextmanager
async def producers(up: Up) -> AsyncIterator[Producers]:
    """Clients as a program has them."""
    from ..client import Client

    async with (
        Client(up.url, token=up.settings.admin_token) as over_http,
        Client(settings=up.settings) as direct,
    ):
        yield Producers(over_http, direct)


def _require_extra() -> None:
    try:
        import aiosmtpd  # noqa: F401
        import reportlab  # noqa: F401
    except ImportError as error:
        raise CommandError(f"the demo needs {error.name}", "pip install 'hivelog[demo]'") from None
