"""Projections on their way along the log in this process: each a follower, some of them a lane."""

from __future__ import annotations

import time

from ..events.pool import Connection
from . import checkpoint
from .checkpoint import Checkpoint
from .definitions import Projection


class Follower:
    """One projection's way along the log in this process."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.at: Checkpoint | None = None
        self.pause = 0.0
        self.not_before = 0.0

    def waits(self) -> bool:
        return time.monotonic() < self.not_before

    @property
    def settled(self) -> bool:
        """It stands still for no other reason than that there is nothing to fold."""
        return self.at is not None and not (self.at.filling or self.pause or self.waits())

    def reached(self, position: int) -> bool:
        return self.at is not None and self.at.position >= position

    def rest(self, seconds: float) -> None:
        self.not_before = time.monotonic() + seconds


class Lane:
    """Projections that take turns on one connection, beside those of other lanes."""

    def __init__(self, url: str, followers: list[Follower]) -> None:
        self._url = url
        self.followers = followers
        self._connection: Connection | None = None

    async def connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await checkpoint.connect(self._url)
        return self._connection

    async def disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
