"""How commands ask: a server with --url, else the log itself, through the backends of `hivelog.Client`.

Both answer the API's JSON, so a command does the same either way. On the log itself nobody needs a token:
whoever can open the database may do everything anyway.

    answer = ask(Target(url=None, token=None, data=None), "POST", "/queue/reports/pause")
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from ..settings import Settings
from .errors import MISUSED, CommandError

if TYPE_CHECKING:
    from ..client.backend import Backend, BulkItem

T = TypeVar("T")
Work = Callable[["Api"], Awaitable[T]]

_PATH: Final = "/:"


@dataclass(frozen=True)
class Target:
    """Whom a command asks, as its options say."""

    url: str | None
    token: str | None
    data: Path | None


class Api:
    """The API over any backend; answers decoded JSON. Raises HivelogError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get(self, path: str, **query: Any) -> Any:
        """A parameter of None is left out."""
        return await self.call("GET", path, None, query)

    async def text(self, path: str) -> bytes:
        """An answer that is no single JSON document, as it came."""
        return await self._backend.call("GET", quote(path, safe=_PATH), {}, None)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.call("POST", path, body)

    async def call(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        answer = await self._backend.call(method, quote(path, safe=_PATH), given, body)
        return msgspec.json.decode(answer) if answer else None

    async def enqueue(
        self, queue: str, kind: str, payload: Any, options: dict[str, Any], key: str | None
    ) -> dict[str, Any]:
        """The new job, as the API shows it."""
        job = await self._backend.enqueue(queue, kind, payload, options, key)
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(job))
        return made

    async def enqueue_many(self, items: Sequence[BulkItem]) -> list[str]:
        return await self._backend.enqueue_many(list(items), None)

    async def wait(self, job: str) -> dict[str, Any]:
        """The job when it has ended."""
        from ..client.job import ENDED

        while True:
            found: dict[str, Any] = (await self.get(f"/job/{job}"))["job"]
            if found["status"] in ENDED:
                return found
            await self._backend.wait(job)


def with_api(target: Target, work: Work[T]) -> T:
    """Run `work(api)`; opens and closes all there is to it."""
    import uvloop

    if target.url is not None:
        return uvloop.run(_over_http(target, work))
    with database(target) as settings:
        return uvloop.run(_direct(settings, work))


def ask(target: Target, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """One call and its answer."""

    async def work(api: Api) -> Any:
        return await api.call(method, path, body, query)

    return with_api(target, work)


async def _over_http(target: Target, work: Work[T]) -> T:
    from ..client.errors import Unavailable
    from ..client.over_http import OverHttp

    assert target.url is not None
    if not target.url.startswith(("http://", "https://")):
        hint = "write it as --url http://localhost:8889"
        raise CommandError(f"{target.url!r} is not a server's URL", hint, status=MISUSED)
    token = target.token or Settings.load().admin_token
    try:
        return await _with(OverHttp(target.url, token), work)
    except Unavailable as error:
        hint = f"is `hivelog serve` running at {target.url}?"
        raise CommandError(error.message, hint) from error


async def _direct(settings: Settings, work: Work[T]) -> T:
    from ..client.direct import Direct

    return await _with(Direct(settings, f"user:{account()}"), work)


async def _with(backend: Backend, work: Work[T]) -> T:
    async with _opened(backend):
        return await work(Api(backend))


@contextlib.asynccontextmanager
async def _opened(backend: Backend) -> AsyncIterator[None]:
    await backend.open()
    try:
        yield
    finally:
        await backend.close()


@contextlib.contextmanager
def database(target: Target) -> Iterator[Settings]:
    """The database of DATABASE_URL, else of the `hivelog up` that runs on the data folder."""
    from .running import find
    from .servers import load_settings, reachable, require_migrated

    settings = load_settings(quiet=True, data=target.data)
    if settings.database_url is None and find(settings.data) is None:
        hint = "start `hivelog up`, set DATABASE_URL, or name a server with --url"
        raise CommandError(f"nothing runs on {settings.data}", hint)
    with reachable(settings) as found:
        require_migrated(found)
        yield found


def account() -> str:
    """Who runs the command, as the system names him."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "cli"
