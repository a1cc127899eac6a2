"""Sending one mail or one webhook call; a refusal becomes an error with the receiver's words."""

import http.client
import smtplib
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .environment import SmtpAddress

TIMEOUT_SECONDS = 10.0


class DeliveryRefusedError(RuntimeError):
    """The receiver answered, and the answer was no; the text carries its code and words."""


def send_mail(address: SmtpAddress, message: EmailMessage) -> None:
    """Hand the message over; raises DeliveryRefusedError, or OSError when nobody answers."""
    # A name for EHLO, or smtplib asks the resolver for one, each time.
    name = "demo.example"
    with smtplib.SMTP(address.host, address.port, name, timeout=TIMEOUT_SECONDS) as smtp:
        try:
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            raise DeliveryRefusedError(_said("SMTP", code, words)) from error
        except smtplib.SMTPResponseException as error:
            raise DeliveryRefusedError(_said("SMTP", error.smtp_code, error.smtp_error)) from error


def post_webhook(url: str, body: dict[str, Any], key: str) -> int:
    """POST `body` as JSON with an Idempotency-Key; answers the status, raises as `send_mail`."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        connection.request("POST", parts.path or "/", msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise DeliveryRefusedError(_said("webhook", answer.status, answer.reason))
    return answer.status


def _said(who: str, code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{who} {code}: {text}"
