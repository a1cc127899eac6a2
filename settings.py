"""What the environment says, read once, checked, and typed.

    settings = Settings.load()                    # os.environ
    settings = Settings.load({}, port=0)          # an environment of one's own, and overrides

An unknown MESSAGING_ or HIVELOG_ name, or a bad value, raises SettingsError with one line that
never holds a secret. A secret may also come from a file: DATABASE_URL_FILE names the one that holds
DATABASE_URL.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

Parser = Callable[[str], Any]


class SettingsError(ValueError):
    """A setting is unknown, unreadable or out of bounds; the message names it, never a secret."""


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True}
    known |= {"false": False, "0": False, "no": False, "off": False}
    if (value := known.get(text.lower())) is None:
        raise ValueError("must be true or false")
    return value


def _whole(low: int, high: int) -> Parser:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Parser:
    def parse(text: str) -> float:
        message = f"must be seconds from {low:g} to {high:g}"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(message) from None
        if not low <= value <= high:
            raise ValueError(message)
        return value

    return parse


def _choice(*known: str) -> Parser:
    def parse(text: str) -> str:
        for value in known:
            if text.lower() == value.lower():
                return value
        raise ValueError(f"must be {' or '.join(known)}")

    return parse


def _url(*schemes: str) -> Parser:
    """A URL of one of the schemes. The value holds a password: no message may repeat it."""

    def parse(text: str) -> str:
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            scheme = ""
        if scheme not in schemes:
            raise ValueError(
                f"must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}"
            )
        return text

    return parse


def _keys(text: str) -> tuple[str, ...]:
    keys = _list(text)
    for key in keys:
        try:
            raw = base64.urlsafe_b64decode(key)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 32:
            raise ValueError("must be URL-safe base64 of 32 bytes; several are separated by commas")
    return keys


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _networks(text: str) -> tuple[str, ...]:
    for part in _list(text):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError("must be IP addresses or networks, separated by commas") from None
    return _list(text)


def _token(text: str) -> str:
    if len(text) < 16 or not text.isascii() or any(letter.isspace() for letter in text):
        raise ValueError("must be at least 16 printable ASCII characters without spaces")
    return text


# Field of Settings, name in the environment, how it is read.
_VARIABLES: Final[tuple[tuple[str, str, Parser], ...]] = (
    ("database_url", "DATABASE_URL", _url("postgresql", "postgres")),
    ("redis_url", "REDIS_URL", _url("redis", "rediss", "unix")),
    ("migrate_url", "HIVELOG_MIGRATE_URL", _url("postgresql", "postgres")),
    ("encryption_enabled", "MESSAGING_ENCRYPTION_ENABLED", _flag),
    ("encryption_keys", "MESSAGING_ENCRYPTION_KEY", _keys),
    ("queue_enabled", "MESSAGING_QUEUE_ENABLED", _flag),
    ("notifications_enabled", "MESSAGING_NOTIFICATIONS_ENABLED", _flag),
    ("storage_backend", "MESSAGING_STORAGE_BACKEND", _choice("postgresql")),
    ("max_message_size", "MAX_MESSAGE_SIZE", _whole(1024, 64 * 1024 * 1024)),
    ("retention_days", "MESSAGE_RETENTION_DAYS", _whole(1, 36_500)),
    ("archive", "HIVELOG_ARCHIVE", str),
    ("host", "HIVELOG_HOST", str),
    ("port", "HIVELOG_PORT", _whole(0, 65_535)),
    ("handlers", "HIVELOG_HANDLERS", _list),
    ("admin_token", "HIVELOG_ADMIN_TOKEN", _token),
    ("heartbeat_seconds", "HIVELOG_HEARTBEAT_SECONDS", _seconds(0.1, 3600)),
    ("dead_after_seconds", "HIVELOG_DEAD_AFTER_SECONDS", _seconds(0.3, 86_400)),
    ("grace_seconds", "HIVELOG_GRACE_SECONDS", _seconds(0, 86_400)),
    ("child_memory_mib", "HIVELOG_CHILD_MEMORY_MIB", _whole(16, 1 << 24)),
    ("data", "HIVELOG_DATA", Path),
    ("signing_keys", "HIVELOG_SIGNING_KEY", _keys),
    ("anchor_file", "HIVELOG_ANCHOR_FILE", Path),
    ("anchor_url", "HIVELOG_ANCHOR_URL", _url("http", "https")),
    ("anchor_seconds", "HIVELOG_ANCHOR_SECONDS", _seconds(1, 86_400)),
    ("trusted_proxies", "TRUSTED_PROXIES", _networks),
    ("log_level", "LOG_LEVEL", _choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    ("log_format", "LOG_FORMAT", _choice("console", "json")),
)
_SECRETS: Final = frozenset(
    {
        "DATABASE_URL",
        "REDIS_URL",
        "HIVELOG_MIGRATE_URL",
        "MESSAGING_ENCRYPTION_KEY",
        "HIVELOG_ADMIN_TOKEN",
        "HIVELOG_SIGNING_KEY",
        "HIVELOG_ANCHOR_URL",
    }
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. A URL of None means: the embedded server."""

    database_url: str | None = None
    redis_url: str | None = None
    migrate_url: str | None = None  # the owner's; None: migrate as the user of database_url
    encryption_enabled: bool = False
    encryption_keys: tuple[str, ...] = ()  # the first encrypts, all decrypt
    queue_enabled: bool = True
    notifications_enabled: bool = True
    storage_backend: str = "postgresql"
    max_message_size: int = 1_048_576  # bytes of an encoded payload
    retention_days: int = 30
    archive: str | None = None  # a directory for what retention takes from the log; "none": for nobody
    host: str = "127.0.0.1"
    port: int = 8889
    handlers: tuple[str, ...] = ()  # modules that a worker imports
    admin_token: str | None = None
    heartbeat_seconds: float = 5.0
    dead_after_seconds: float = 20.0
    grace_seconds: float = 30.0
    child_memory_mib: int | None = None  # of a handler with isolation="process"
    data: Path = Path()  # never empty after `load`
    signing_keys: tuple[str, ...] = ()  # the first seals the log, former ones endorse it
    anchor_file: Path | None = None  # gets a line a seal now and then: on another volume
    anchor_url: str | None = None  # gets the same by POST
    anchor_seconds: float = 300.0
    trusted_proxies: tuple[str, ...] = ()  # addresses and networks
    log_level: str = "INFO"
    log_format: str = "console"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read an environment (os.environ if None); an override that is not None wins.

        Raises SettingsError.
        """
        environ = os.environ if environ is None else environ
        _refuse_unknown(environ)
        found = {"data": default_data(environ), **_read(environ)}
        found |= {name: value for name, value in overrides.items() if value is not None}
        try:
            settings = cls(**found)
        except TypeError as error:
            raise SettingsError(f"unknown setting: {error}") from None
        settings._check()
        return settings

    @property
    def archive_to(self) -> Path | None:
        """Where retention archives to; None: what it takes from the log is gone."""
        if self.archive == "none":
            return None
        return self.data / "archive" if self.archive is None else Path(self.archive)

    def _check(self) -> None:
        if self.dead_after_seconds < 3 * self.heartbeat_seconds:
            raise SettingsError(
                "HIVELOG_DEAD_AFTER_SECONDS must be at least three times "
                "HIVELOG_HEARTBEAT_SECONDS: a worker that missed one beat is not dead"
            )

    def __repr__(self) -> str:
        hidden = {field for field, name, _ in _VARIABLES if name in _SECRETS}
        shown = (
            f"{field}={'***' if field in hidden and value else repr(value)}"
            for field, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(shown)})"


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {name for _, name, _ in _VARIABLES} | {f"{name}_FILE" for name in _SECRETS}
    ours = {name for name in environ if name.startswith(("MESSAGING_", "HIVELOG_"))}
    if unknown := sorted(ours - known):
        near = _guess(unknown[0], known)
        raise SettingsError(f"{unknown[0]} is not a setting of Hivelog{near}")


def _guess(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, name, parse in _VARIABLES:
        text = _text(environ, name)
        if not text:  # unset and empty are the same: compose files pass empty ones on
            continue
        try:
            found[field] = parse(text)
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None
    return found


def _text(environ: Mapping[str, str], name: str) -> str:
    text, path = environ.get(name, ""), ""
    if name in _SECRETS:
        path = environ.get(f"{name}_FILE", "")
    if text and path:
        raise SettingsError(f"{name} and {name}_FILE are both set; set one")
    if not path:
        return text.strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{name}_FILE: {path} cannot be read ({reason})") from None


def default_data(environ: Mapping[str, str]) -> Path:
    """HIVELOG_DATA, else `hivelog` in the user's state directory (XDG_STATE_HOME)."""
    if named := environ.get("HIVELOG_DATA"):
        return Path(named)
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "hivelog"
