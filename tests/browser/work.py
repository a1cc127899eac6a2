"""Handlers of the jobs that the browser looks at: good, slow, stubborn and failing ones."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hivelog import JobContext, handler


class Report(msgspec.Struct):
    """What a report is made from; published as a schema, which the enqueue form shows."""

    user_id: str
    template: str = "monthly"
    pages: int = 12
    charts: bool = True


class SmtpRefused(Exception):
    """The mail server said no."""


@handler("report_generation", queue="reports")
async def report(ctx: JobContext, payload: Report) -> dict[str, Any]:
    await ctx.progress(50, "charts")
    return {"file": f"{payload.template}-{payload.user_id}.pdf", "pages": payload.pages}


@handler("slow_report", queue="reports")
async def slow_report(ctx: JobContext, payload: dict[str, Any]) -> None:
    """Says how far it is, and never comes to an end by itself."""
    for step in range(100_000):
        await ctx.progress(min(95, payload.get("from", 5) + step), f"page {step + 1}")
        await asyncio.sleep(1)  # what a page takes: somebody watches meanwhile


@handler("send_mail", queue="notifications")
async def send_mail(ctx: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    if payload.get("to", "").endswith(".invalid"):
        raise SmtpRefused(f"550 mailbox unavailable: {payload['to']}")
    return {"message_id": f"<{ctx.job.id}@example.org>"}


@handler("charge_card")
async def charge_card(ctx: JobContext, payload: dict[str, Any]) -> None:
    raise TimeoutError(f"the bank did not answer within {payload.get('seconds', 10)} s")


@handler("noop")
async def noop(ctx: JobContext, payload: Any) -> None:
    return None
