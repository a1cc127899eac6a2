"""Connections over which nothing comes any more, and nobody says so.

A proxy, a firewall or a frozen backend may hold a connection open without an answer for ever; keepalives
do not notice, because the peer's kernel is well. Whoever waits is woken by shutting the socket down: to
libpq that is a lost connection, which everybody here knows how to outlast. Cancelling the waiting task
instead would make psycopg ask the server to cancel first, for up to ten seconds.

A server that may only read (a standby, a copy that recovers, one that was told so) is away for whoever
writes: that is an OperationalError here too, and ends the connection, because the next may lead to one that
writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

RV = TypeVar("RV")
# The server ends any statement after 30 s (`pool`): who has heard nothing by then will hear nothing.
LONGEST: Final = 45.0


class TakesNoWrites(psycopg.OperationalError):
    """Of its class, unlike psycopg's own, because nothing is wrong with the statement."""

    sqlstate = psycopg.errors.ReadOnlySqlTransaction.sqlstate


class Connection(psycopg.AsyncConnection[TupleRow]):
    """Waits for an answer for `silence` seconds, then it is lost (OperationalError). None: for ever, where
    the statement timeout was lifted too."""

    silence: float | None = LONGEST
    born = float("-inf")
    # When this process was last refused a write (monotonic, as `born`).
    refused: ClassVar[float] = float("-inf")

    async def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        try:
            with heard_within(self.pgconn, self.silence):
                return await super().wait(gen, *args, **options)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            Connection.refused = time.monotonic()
            await self.close()
            raise TakesNoWrites(str(error)) from error

    @property
    def writes(self) -> bool:
        """What the server says of itself, unasked; True where something in between keeps that back."""
        told = (b"in_hot_standby", b"default_transaction_read_only")
        return all(self.pgconn.parameter_status(name) != b"on" for name in told)


@contextlib.contextmanager
def heard_within(pgconn: PGconn, seconds: float | None) -> Iterator[None]:
    """Shut the connection down unless the block ends in time."""
    if seconds is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(seconds, _shut_down, pgconn)
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(pgconn: PGconn) -> None:
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(pgconn.socket)) as end:
        end.shutdown(socket.SHUT_RDWR)
