"""Progress of running jobs: said as often as the handler likes, written at most once a second a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import psycopg
import structlog

from ..events import ids, types, vault
from ..events.appender import Appender
from ..events.batch import Move, Part
from ..events.errors import LogError
from ..events.vault import JobKey
from .context import Progress

_log = structlog.get_logger(__name__)

_EVERY = 1.0

# Of a token: the job and the right to its bodies, or None when the attempt is over.
Lookup = Callable[[int], tuple[bytes, JobKey] | None]


class ProgressLog:
    """Keeps the newest word of each attempt until it is written."""

    def __init__(self, appender: Appender, lookup: Lookup, actor: Callable[[], int]) -> None:
        self._appender, self._lookup, self._actor = appender, lookup, actor
        self._newest: dict[int, Progress] = {}

    def report(self, token: int, progress: Progress) -> None:
        """From any thread."""
        self._newest[token] = progress

    def has(self, token: int) -> bool:
        return token in self._newest

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            tokens = list(self._newest)
            if tokens:
                await self._write(tokens, patient=False)

    async def flush(self, token: int) -> None:
        """Write the last word before the end; it must be in the log before the lease is gone."""
        await self._write([token], patient=True)

    async def _write(self, tokens: list[int], *, patient: bool) -> None:
        moves = [move for token in tokens if (move := self._move(token)) is not None]
        if not moves:
            return
        try:
            await self._appender.submit(Part(moves=moves, patient=patient))
        except (LogError, psycopg.Error) as error:
            # Never worth an attempt, nor the task that writes everybody's.
            _log.debug("progress_not_written", error=str(error))

    def _move(self, token: int) -> Move | None:
        progress = self._newest.pop(token, None)
        known = self._lookup(token)
        if progress is None or known is None:
            return None
        job, key = known
        data = msgspec.Raw(types.encode(types.Progressed(progress.percent)) or b"{}")
        move = Move(
            ids.to_text(job), "progressed", "lease", "lease", 0, self._actor(), token=token, data=data
        )  # fmt: skip
        if progress.message is not None:
            sealed = key.seal(vault.PROGRESS, progress.message.encode("utf-8", "replace"))
            move.slot, move.body, move.digest = vault.PROGRESS, sealed.body, sealed.digest
            move.body_size = sealed.size
        return move
