"""A program that uses Hivelog, as its users write them: what tests/test_testing_example.py tests."""

from __future__ import annotations

from typing import Any

import msgspec
from hivelog import JobContext, SyncClient, handler

SENT: list[str] = []


class Mail(msgspec.Struct):
    to: str
    text: str


@handler("signup.mail", queue="notifications")
async def send(ctx: JobContext, mail: Mail) -> dict[str, Any]:
    await ctx.progress(50, "connected")
    if mail.text == "flaky" and ctx.attempt < 3:
        raise ConnectionError("the mail server is busy")
    SENT.append(mail.to)
    return {"attempt": ctx.attempt}


@handler("signup.remind")
def remind(ctx: JobContext, payload: dict[str, str]) -> None:
    with SyncClient() as client:
        client.enqueue("notifications", "signup.mail", {"to": payload["to"], "text": "reminder"})


def sign_up(address: str, text: str = "welcome") -> None:
    """Two jobs: a mail now, a reminder in a week."""
    with SyncClient() as client:
        client.enqueue("notifications", "signup.mail", {"to": address, "text": text})
        client.enqueue("default", "signup.remind", {"to": address}, delay=7 * 86_400)
