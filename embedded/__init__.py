"""PostgreSQL and Valkey out of wheels, for a machine where neither is installed.

    with embedded.start(data_dir) as servers:
        servers.database_url, servers.redis_url
    with embedded.temporary() as servers: ...        # the same, and the data is removed afterwards

Both listen on unix sockets in a private folder only. Data lives in `data_dir` and survives
restarts. Any number of processes may share one `data_dir`; the servers stop with the last of them,
also when that one was killed (see `keeper`). Needs the extra `embedded`. Linux and macOS.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ..settings import default_data
from . import places, postgres, sharing, valkey
from .places import EmbeddedError

__all__ = ["Embedded", "EmbeddedError", "remove", "start", "temporary"]


@dataclass
class Embedded:
    """Running servers, held by this process until `close`. A URL is None for one not asked for."""

    data_dir: Path
    database_url: str | None
    redis_url: str | None
    superuser_url: str | None
    _share: sharing.Share

    def close(self) -> None:
        """Let go. The last holder stops the servers and returns when they have stopped."""
        self._share.release()

    def __enter__(self) -> Embedded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def start(
    data_dir: Path | str | None = None,
    *,
    with_postgres: bool = True,
    with_valkey: bool = True,
    parameters: Mapping[str, str] | None = None,
) -> Embedded:
    """Start what is not running yet and hold it. Takes 1-2 s when cold, a few ms when shared.

    `parameters` are PostgreSQL settings on top of ours, used when this call is what starts it.
    Raises EmbeddedError, in one clear line, when the wheels are missing or a server will not start.
    """
    folder = Path(data_dir) if data_dir is not None else default_data(os.environ)
    place = places.prepare(folder)
    share = sharing.Share(place)
    try:
        with share.starting():
            database_url = postgres.ensure(place, parameters or {}) if with_postgres else None
            redis_url = valkey.ensure(place) if with_valkey else None
    except BaseException:
        share.release()
        raise
    superuser = postgres.url(place, "postgres", "postgres") if with_postgres else None
    return Embedded(place.data_dir, database_url, redis_url, superuser, share)


@contextlib.contextmanager
def temporary(
    *,
    with_postgres: bool = True,
    with_valkey: bool = True,
    parameters: Mapping[str, str] | None = None,
    parent: Path | None = None,
) -> Iterator[Embedded]:
    """Servers with a data folder of their own, removed at the end; arguments as `start`.

    The folder is made in `parent`, the system's for temporary files unless given.
    """
    folder = Path(tempfile.mkdtemp(prefix="hivelog-", dir=parent))
    try:
        with start(
            folder, with_postgres=with_postgres, with_valkey=with_valkey, parameters=parameters
        ) as servers:
            yield servers
    finally:
        remove(folder)


def remove(data_dir: Path | str) -> None:
    """Delete a data folder, also what it keeps elsewhere (see `places`). Nobody may hold it."""
    folder = Path(data_dir)
    for name in ("postgres", "sockets"):
        if (link := folder / name).is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
