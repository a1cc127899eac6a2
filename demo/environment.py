"""Where the demo's handlers find their directory and the sinks they deliver to.

The values travel by environment variables because workers are separate processes that only inherit.
The names carry no HIVELOG_ prefix on purpose: the product refuses to start on an unknown one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..settings import default_data

DATA = "DEMO_DATA"
SMTP = "DEMO_SMTP"
WEBHOOK = "DEMO_WEBHOOK"

NOBODY = "nobody@demo.example"  # a mailbox that the mail sink does not have


class NotConfiguredError(RuntimeError):
    """A handler needs an address that nobody gave it."""


class SmtpAddress(NamedTuple):
    host: str
    port: int


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The demo's own directory, made when missing: DEMO_DATA, else below Hivelog's own data."""
    path = Path(environ.get(DATA) or default_data(environ) / "demo")
    path.mkdir(parents=True, exist_ok=True)
    return path


def smtp_address(environ: Mapping[str, str] = os.environ) -> SmtpAddress:
    """DEMO_SMTP as ``host:port``; raises NotConfiguredError."""
    host, colon, port = _required(environ, SMTP, "host:port").rpartition(":")
    if not colon or not port.isdigit():
        raise NotConfiguredError(f"{SMTP} must look like host:port")
    return SmtpAddress(host, int(port))


def webhook_url(environ: Mapping[str, str] = os.environ) -> str:
    """DEMO_WEBHOOK, the URL that events are posted below; raises NotConfiguredError."""
    url = _required(environ, WEBHOOK, "http://host:port").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise NotConfiguredError(f"{WEBHOOK} must be an http or https URL")
    return url


def as_variables(data: Path, smtp: SmtpAddress, webhook: str) -> dict[str, str]:
    """The variables a worker needs, to be merged into its environment."""
    return {DATA: str(data), SMTP: f"{smtp.host}:{smtp.port}", WEBHOOK: webhook}


def _required(environ: Mapping[str, str], name: str, shape: str) -> str:
    value = environ.get(name)
    if not value:
        raise NotConfiguredError(f"{name} is not set; `hivelog demo` sets it, or give {shape} yourself")
    return value
