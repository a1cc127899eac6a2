"""How much of the time PostgreSQL answers, seen by somebody who asks it the whole time."""

from __future__ import annotations

import asyncio
import time

import psycopg

_APART = 0.25  # seconds between two questions
_PATIENCE = 2  # seconds that an answer may take


class Watch:
    """`run` until cancelled. `watched` and `away`: seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.watched = self.away = 0.0

    @property
    def share(self) -> float:
        """Of the time, how much it was away: 0 to 1."""
        return self.away / self.watched if self.watched else 0.0

    async def run(self) -> None:
        since = time.monotonic()
        while True:
            answered = await self._ask()
            await asyncio.sleep(_APART)
            now = time.monotonic()
            self.watched += now - since
            self.away += 0.0 if answered else now - since
            since = now

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                async with await psycopg.AsyncConnection.connect(self._url) as connection:
                    await connection.execute("select 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True
