"""Handlers of the queue ``notifications``: mail and webhooks, delivered for real.

Both are plain functions around blocking clients, so the worker runs them in threads. Both hand the
job's id to the receiver, which can so tell a second attempt from a second message.
"""

from email.message import EmailMessage
from typing import Annotated, Any, Literal

import msgspec

from .. import JobContext, handler
from .delivery import post_webhook, send_mail
from .environment import smtp_address, webhook_url

SENDER = "hivelog@demo.example"


class EmailNotification(msgspec.Struct):
    """The payload of `email_notification`."""

    to: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    subject: Annotated[str, msgspec.Meta(pattern=r"^[^\r\n]*$", max_length=200)]
    body: str = ""


class WebhookNotification(msgspec.Struct):
    """The payload of `webhook_notification`: where below the configured URL, and what."""

    endpoint: Literal["billing", "chat", "audit"]
    event: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


@handler("email_notification", queue="notifications", timeout=60)
def send_email(ctx: JobContext, payload: EmailNotification) -> dict[str, Any]:
    """Deliver one mail to DEMO_SMTP; a refusal (450, 550) fails the attempt."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, payload.to, payload.subject
    message["Message-ID"] = f"<{ctx.job.id}@demo.example>"
    message.set_content(payload.body)
    send_mail(smtp_address(), message)
    return {"delivered_to": payload.to, "bytes": len(message.as_bytes())}


@handler("webhook_notification", queue="notifications", timeout=60)
def call_webhook(ctx: JobContext, payload: WebhookNotification) -> dict[str, Any]:
    """Post one event below DEMO_WEBHOOK; an answer other than 2xx fails the attempt."""
    body = {"event": payload.event, "data": payload.data}
    status = post_webhook(f"{webhook_url()}/{payload.endpoint}", body, str(ctx.job.id))
    return {"endpoint": payload.endpoint, "status": status}
