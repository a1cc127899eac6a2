"""Handlers that are recorded as of version 1 and run again as of version 2, in the tests' own process and others.

What makes the difference is in the environment, so that real processes have it too.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec
from hivelog import Client, JobContext
from hivelog.broker.registry import registry
from hivelog.client.sync import SyncClient

handler = registry.handler


def changed() -> bool:
    return os.environ.get("REPLAYED_CODE") == "2"


class Stopwatch:
    """In place of `time` where a test times shadow runs: only `slow` takes any, however busy the machine is."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


STOPWATCH = Stopwatch()


@handler("total")
async def total(ctx: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Version 2 counts the last number twice when there are more than two."""
    numbers = payload["numbers"]
    more = numbers[-1] if changed() and len(numbers) > 2 else 0
    print("on standard output")
    return {"total": sum(numbers) + more, "made": {"at": time.time()}}


@handler("fragile")
async def fragile(ctx: JobContext, payload: dict[str, Any]) -> dict[str, bool]:
    """Version 1 breaks on some, version 2 on others."""
    ctx.log.warning("tried", secret="quokka")
    if payload.get("breaks") == (2 if changed() else 1):
        raise ValueError(f"no {payload['word']} 4711")
    return {"done": True}


@handler("slow")
async def slow(ctx: JobContext, payload: dict[str, Any]) -> None:
    """Version 2 takes a minute, by the stopwatch."""
    STOPWATCH.seconds += 60 if changed() else 0


@handler("orders")
async def orders(ctx: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    async with Client() as client:
        await client.enqueue("work", "bill", {"of": ctx.job.id})
        await client.enqueue("work", "bill", {}, connection=object())
        made = await client.enqueue_many([{"queue": "work", "type": "letter", "payload": n} for n in range(2)])
    return {"letters": len(made)}


@handler("in_child", isolation="process")
def in_child(ctx: JobContext, payload: Any) -> dict[str, bool]:
    with SyncClient() as client:
        client.enqueue("work", "bill", {"of": ctx.job.id})
        client.resume("work")
    return {"own": os.getpid() != payload["worker"]}


class Sized(msgspec.Struct):
    size: int


@handler("sized")
async def sized(ctx: JobContext, payload: Sized) -> None:
    return None


@handler("line")
async def line(ctx: JobContext, payload: dict[str, Any]) -> None:
    """What a handler does outside of the log: here a line in a file."""
    with Path(payload["file"]).open("a") as file:
        file.write(f"{ctx.job.id}\n")
    await asyncio.sleep(0.01 if changed() else 0)


@handler("keep")
async def keep(ctx: JobContext, payload: Any) -> None:
    return None
