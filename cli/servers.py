"""Settings for a command, and PostgreSQL and Valkey: those of the settings, else the embedded ones."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import msgspec

from .. import logs
from ..settings import Settings
from .errors import CommandError
from .output import busy


def load_settings(*, quiet: bool = False, **overrides: Any) -> Settings:
    """The environment, with options over it; logs are set up as it says. Raises SettingsError.

    `quiet`: a command whose output is its answer logs what goes wrong only, unless LOG_LEVEL is set.
    """
    settings = Settings.load(None, **overrides)
    level = "WARNING" if quiet and not os.environ.get("LOG_LEVEL") else settings.log_level
    logs.setup(level, settings.log_format)
    # Its lines about starting and stopping say the same as ours.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLogger().level))
    return settings


@contextlib.contextmanager
def reachable(settings: Settings, *, quiet: bool = True) -> Iterator[Settings]:
    """The settings with both URLs, and the servers behind them running for as long as the block does.

    Blocking: before the event loop. Raises EmbeddedError.
    """
    if settings.database_url is not None and settings.redis_url is not None:
        yield settings
        return
    from .. import embedded

    with busy("Starting the embedded servers", quiet=quiet):
        servers = embedded.start(
            settings.data,
            with_postgres=settings.database_url is None,
            with_valkey=settings.redis_url is None,
        )
    with servers:
        yield msgspec.structs.replace(
            settings,
            database_url=settings.database_url or servers.database_url,
            redis_url=settings.redis_url or servers.redis_url,
        )


def bring_up_to_date(settings: Settings) -> list[str]:
    """Migrate; answers the warnings about what this database does not enforce. Raises MigrationError."""
    from ..sql import migrate

    owner, app = settings.migrate_url or settings.database_url, settings.database_url
    assert owner is not None
    return migrate.migrate(owner, app_url=app if settings.migrate_url else None).warnings


def require_migrated(settings: Settings) -> None:
    """For commands that must not migrate by the way. Raises CommandError."""
    from ..sql import migrate

    assert settings.database_url is not None
    if pending := migrate.check(settings.database_url):
        raise CommandError(f"the schema lacks {len(pending)} changes", "run `hivelog migrate`")
