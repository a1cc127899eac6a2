"""The duty that keeps the log for MESSAGE_RETENTION_DAYS, or for what the configuration says. Leader only.

Now and then it begins a new partition, and takes away what is older: events/retention.py has the how. All of
it goes beside the appends, which wait only for the milliseconds in which partitions change places.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import psycopg
import structlog

from ..events.archive import ArchiveError
from ..events.names import Names
from ..events.retention import Busy, Done, Progress, Retention, Submit, Unsealed
from .configuration import Configuration

_log = structlog.get_logger(__name__)

_SOON: Final = 30.0  # seconds after a start, which has better things to do
_EVERY: Final = 600.0


class Retaining:
    """`archive` None: what goes is gone. `actor` is who the log says it was."""

    def __init__(
        self, url: str, configuration: Configuration, names: Names, submit: Submit, archive: Path | None, *,
        actor: str = "leader", progress: Progress = lambda step, done, total: None,
    ) -> None:  # fmt: skip
        self._url, self._configuration, self._names, self._submit = url, configuration, names, submit
        self._archive, self._actor, self._progress = archive, actor, progress

    async def run(self) -> None:
        """For ever. What is in the way is told in a line of the log and in /health, and tried again."""
        await asyncio.sleep(_SOON)
        while True:
            try:
                await self.once()
            except Busy:
                pass
            except (ArchiveError, Unsealed, psycopg.Error) as error:
                _log.warning("retention_interrupted", error=str(error))
            await asyncio.sleep(_EVERY)

    async def once(self) -> Done:
        """What may go now. Raises Busy, Unsealed, ArchiveError, psycopg.Error."""
        days = (await self._configuration.current()).retention_days
        number = await self._names.actor_id(self._actor)
        retention = Retention(
            self._url, self._archive, self._submit, actor=number, progress=self._progress
        )
        await retention.cut(days)
        return await retention.run(days)
