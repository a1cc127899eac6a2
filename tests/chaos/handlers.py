"""What the chaos run's workers do: jobs that note their start and their end, and the worker's own witness.

CHAOS_RECORDS names the folder of the records, CHAOS_NAME this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from hivelog import JobContext
from hivelog.broker.registry import registry

from .records import Record

TICK, PROBE = 0.25, 0.5  # seconds
_NAME = os.environ["CHAOS_NAME"]
_numbers = itertools.count(1)
_runs = Record(Path(os.environ["CHAOS_RECORDS"], f"{_NAME}.runs"))
_witness = Record(Path(os.environ["CHAOS_RECORDS"], f"{_NAME}.witness"))


@contextlib.contextmanager
def noted(ctx: JobContext) -> Iterator[None]:
    """A run in the record, however it ends."""
    run, job = next(_numbers), ctx.job.id
    _runs.note("start", run=run, job=job, token=ctx.token, attempt=ctx.attempt)
    how = "returned"
    try:
        yield
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        _runs.note("end", run=run, job=job, token=ctx.token, how=how)


@registry.handler("work", queue="work")
async def work(ctx: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    with noted(ctx):
        await asyncio.sleep(payload["seconds"])
        await ctx.progress(50, "half")
        return {"n": payload["n"]}


@registry.handler("thread", queue="work")
def in_thread(ctx: JobContext, payload: dict[str, Any]) -> None:
    with noted(ctx):
        time.sleep(payload["seconds"])


@registry.handler("flaky", queue="work")
async def flaky(ctx: JobContext, payload: dict[str, Any]) -> None:
    """Succeeds when it was tried often enough."""
    with noted(ctx):
        await asyncio.sleep(payload["seconds"])
        if ctx.job.current_retry < payload["failures"]:
            raise ValueError("not this time")


@registry.handler("narrow", queue="narrow")
async def narrow(ctx: JobContext, payload: dict[str, Any]) -> None:
    """For a queue that lets two run at once."""
    with noted(ctx):
        await asyncio.sleep(payload["seconds"])


# -- the witness -----------------------------------------------------------------------------------------


@registry.on_startup
async def watch(state: dict[str, Any]) -> None:
    """Notes that the loop is alive, and whether the database can be reached from here: what a session could
    do is judged by this and not by what the product did."""
    # Not by time.time, which may be off by then.
    _witness.note("here", pid=os.getpid(), wall=datetime.now(UTC).timestamp())
    state["watching"] = [asyncio.create_task(_tick()), asyncio.create_task(_probe())]


async def _tick() -> None:
    while True:
        _witness.note("tick")
        await asyncio.sleep(TICK)


async def _probe() -> None:
    """A connection each time, and no waiting for an answer: one that never comes must not hide the next."""
    asked: set[asyncio.Task[None]] = set()
    while True:
        task = asyncio.create_task(_reach())
        asked.add(task)
        task.add_done_callback(asked.discard)
        await asyncio.sleep(PROBE)


async def _reach() -> None:
    with contextlib.suppress(psycopg.Error):
        async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], connect_timeout=2) as connection:
            await connection.execute("select 1")
            _witness.note("reached")
