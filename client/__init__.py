"""Enqueue and manage jobs from Python: on the log itself, or over HTTP; the same methods on both.

    async with Client() as client:                       # DATABASE_URL, REDIS_URL
        job = await client.enqueue("reports", "monthly", {"user_id": "u1"}, priority=200)
        done = await client.wait(job.id)

    Client("https://queue.example", token="...")         # over HTTP
    SyncClient()                                         # the same without async, from any thread
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self, Unpack
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ..broker import sandbox
from ..events import ids
from ..settings import Settings
from . import transaction
from .backend import Backend, BulkItem
from .errors import HivelogError, InvalidField, NotFound, WaitTimeout
from .job import OPTIONS, Done, Event, History, Item, Job, Metadata, Options, Queue, Status
from .listing import Listing, Page
from .transaction import Call, Connection

__all__ = [
    "Client", "Done", "Event", "History", "HivelogError", "Item", "Job", "Listing", "Metadata", "Options",
    "Page", "Queue", "Status",
]  # fmt: skip


class _One(Struct):
    job: Job


class _Jobs(Struct):
    jobs: list[Job]
    next: str | None = None


class _Events(Struct):
    events: list[Event]
    next: int | None = None


class _Queues(Struct):
    queues: list[Queue]


_one: Final = msgspec.json.Decoder(_One)
_jobs: Final = msgspec.json.Decoder(_Jobs)
_events: Final = msgspec.json.Decoder(_Events)
_queues: Final = msgspec.json.Decoder(_Queues)
_queue: Final = msgspec.json.Decoder(Queue)
_history: Final = msgspec.json.Decoder(History)
_done: Final = msgspec.json.Decoder(Done)
_object: Final = msgspec.json.Decoder(dict[str, Any])


class Client:
    """Opened with `async with` (or `open` and `close`); safe to share between the tasks of one loop.

    Everything raises the family of HivelogError. What is harmless to repeat is repeated a few times when
    the database or the server is away for a moment: reads, and enqueues with an idempotency key.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        redis_url: str | None = None,
        name: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """`url`: http(s) of a server, or postgresql of the log; None: what the environment says.

        `name` is how the log knows who acted (`client:<name>`); over HTTP it is the token's. Raises
        SettingsError.
        """
        self._own = self._make_backend(url, token, redis_url, name, settings)

    @property
    def _backend(self) -> Backend:
        """In a shadow run (`hivelog replay --as shadow`), one that changes nothing."""
        if sandbox.active is None:
            return self._own
        from .shadowed import Shadowed

        return Shadowed(self._own, sandbox.active)

    def _make_backend(
        self, url: str | None, token: str | None, redis_url: str | None, name: str | None,
        settings: Settings | None,
    ) -> Backend:  # fmt: skip
        if url is not None and url.startswith(("http://", "https://")):
            from .over_http import OverHttp  # httpx takes long to import

            return OverHttp(url, token)
        from .. import logs  # structlog takes long to import
        from .direct import Direct

        logs.as_library()
        settings = settings or Settings.load(database_url=url, redis_url=redis_url)
        return Direct(settings, f"client:{name}" if name else "client")

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        await self._backend.open()

    async def close(self) -> None:
        """Writes what waits, then lets go of every connection."""
        await self._backend.close()

    # -- enqueue -----------------------------------------------------------------------------------------

    async def enqueue(
        self,
        queue: str,
        type: str,  # noqa: A002 - the contract's word
        payload: object,
        *,
        idempotency_key: str | None = None,
        connection: Connection | None = None,
        **options: Unpack[Options],
    ) -> Job:
        """A new job. With `connection` it belongs to the transaction there, and has no position yet.

        The payload is anything that JSON (msgspec) can hold. Repeated with its idempotency key, the call
        answers the first job as it now is.
        """
        given = checked_options(options) if options else options
        if connection is None:
            return await self._backend.enqueue(queue, type, payload, given, idempotency_key)
        call = Call(queue, type, payload, given, idempotency_key)
        inline = self._backend.enqueue_within(connection, call)
        return inline or await transaction.enqueue_async(connection, call)

    async def enqueue_many(
        self, items: Iterable[Item], *, idempotency_key: str | None = None
    ) -> list[str]:
        """All or none, up to 10,000 jobs and 16 MiB of payload; answers their ids, in order."""
        return await self._backend.enqueue_many([_bulk_item(item) for item in items], idempotency_key)

    # -- one job -----------------------------------------------------------------------------------------

    async def job(self, id: str) -> Job:  # noqa: A002 - the contract's word
        """As it is now, read from the log. Raises NotFound."""
        return _one.decode(await self._backend.call("GET", _job(id))).job

    async def history(self, id: str) -> History:  # noqa: A002
        """The job and everything that happened to it."""
        return _history.decode(await self._backend.call("GET", f"{_job(id)}/history"))

    async def why(self, id: str) -> list[dict[str, Any]]:  # noqa: A002
        """Why it does not run yet, or what it is at: [{code, text, blocks, ...}], what blocks first."""
        found: list[dict[str, Any]] = (await self._read(f"{_job(id)}/why"))["findings"]
        return found

    async def wait(self, id: str, timeout: float | None = None) -> Job:  # noqa: A002
        """Until the job has ended, however; answers it then. Raises WaitTimeout after `timeout` seconds."""
        _job(id)
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                while True:
                    await self._backend.wait(id)
                    if (job := await self.job(id)).ended:
                        return job
        except TimeoutError:
            if not clock.expired():
                raise
            raise WaitTimeout(f"job {id} has not ended within {timeout:g} s", {"id": id}) from None

    async def cancel(self, id: str, *, reason: str | None = None) -> Done:  # noqa: A002
        """Ends a waiting job; asks a running one to stop. Raises AlreadyFinished."""
        return await self._command("POST", f"{_job(id)}/cancel", {"reason": reason})

    async def retry(self, id: str, **changes: Any) -> Done:  # noqa: A002
        """Run an ended job again, with `payload=` if given. Raises NotFinished."""
        return await self._command("POST", f"{_job(id)}/retry", changes)

    async def reschedule(
        self,
        id: str,  # noqa: A002
        *,
        priority: int | None = None,
        scheduled_for: datetime | str | None = None,
    ) -> Done:
        """Another priority or time for a waiting job."""
        given = {"priority": priority, "scheduled_for": scheduled_for}
        changes = {name: value for name, value in given.items() if value is not None}
        return await self._command("PATCH", _job(id), changes)

    async def _command(self, method: str, path: str, body: Mapping[str, Any]) -> Done:
        return _done.decode(await self._backend.call(method, path, None, body))

    async def act(
        self,
        action: Literal["cancel", "retry", "erase"],
        *,
        reason: str | None = None,
        dry_run: bool = False,
        position: int | None = None,
        **filters: Any,
    ) -> dict[str, Any]:
        """All jobs of a filter: queue status type tag source correlation_id worker fingerprint since until
        started_since q, or `ids` (up to 1,000).

        A dry run answers {matched, position}: pass the position back to act on exactly that set. Done:
        {matched, changed, refused, action_id, position}; more than 10,000 go on without `changed`.
        """
        body = {"action": action, "filter": filters, "reason": reason, "dry_run": dry_run,
                "position": position}  # fmt: skip
        return _object.decode(await self._backend.call("POST", "/jobs/actions", None, body))

    async def action(self, action_id: str) -> dict[str, Any]:
        """What a drain or bulk action was to do, and how far it is."""
        return await self._read(f"/actions/{quote(action_id, safe='')}")

    async def undo(self, action_id: str, *, reason: str | None = None) -> dict[str, Any]:
        """Bring back the waiting jobs that a bulk cancel ended; answers as `act`."""
        path = f"/actions/{quote(action_id, safe='')}/undo"
        return _object.decode(await self._backend.call("POST", path, None, {"reason": reason}))

    # -- lists -------------------------------------------------------------------------------------------

    def jobs(
        self,
        *,
        queue: str | None = None,
        status: Status | str | None = None,
        limit: int = 100,
        **filters: str | datetime | None,
    ) -> Listing[Job]:
        """Newest first; `limit` a page. Filters: type since until tag source correlation_id worker q."""
        query = {"queue": queue, "status": status, "limit": limit, **filters}

        async def page(after: str | int | None = None) -> Page[Job]:
            found = _jobs.decode(await self._backend.call("GET", "/jobs", _query(query, after)))
            return Page(found.jobs, found.next)

        return Listing(page)

    def events(self, *, after: int = 0, limit: int = 500, **filters: str | None) -> Listing[Event]:
        """The log after a position, oldest first, to its end. Filters: type, queue, job, actor."""
        query = {"limit": limit, **filters}

        async def page(past: str | int | None = None) -> Page[Event]:
            start = after if past is None else past
            found = _events.decode(await self._backend.call("GET", "/events", _query(query, start)))
            return Page(found.events, found.next)

        return Listing(page)

    async def failures(self, *, since: datetime | str | None = None, **filters: str) -> list[dict[str, Any]]:
        """Failed attempts by what they have in common: {fingerprint, type, error, count, first_seen,
        last_seen, queues, sample_job}."""
        answer = await self._read("/failures", {"since": since, **filters})
        failures: list[dict[str, Any]] = answer["failures"]
        return failures

    async def workers(self) -> dict[str, Any]:
        """{workers: [{session, name, host, pid, queues, types, slots, busy, ...}], active, total, scaling,
        supervisors}."""
        return await self._read("/workers/status")

    async def scale(self, queue: str, workers: int | Literal["auto"]) -> dict[str, Any]:
        """So many worker processes on all hosts, or "auto": {message, desired, running, position}."""
        body = {"queue": queue, "workers": workers}
        return _object.decode(await self._backend.call("POST", "/workers/scale", None, body))

    # -- queues ------------------------------------------------------------------------------------------

    async def queues(self) -> list[Queue]:
        return _queues.decode(await self._backend.call("GET", "/queues")).queues

    async def stats(self, queue: str) -> dict[str, Any]:
        """The queue's figures: pending, queued, depth, processing, throughput, success_rate, ..."""
        stats: dict[str, Any] = (await self._read(f"{_of(queue)}/stats"))["stats"]
        return stats

    async def series(
        self,
        *,
        queue: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        step: str | None = None,
        group: Literal["queue"] | None = None,
    ) -> dict[str, Any]:
        """What happened over time (the last hour), of one queue, of all or of each: {times, series}."""
        query = {"queue": queue, "from": since, "to": until, "step": step, "group": group}
        return await self._read("/stats/series", query)

    async def pause(self, queue: str, *, reason: str | None = None) -> None:
        """Nothing of the queue starts until it is resumed."""
        await self._backend.call("POST", f"{_of(queue)}/pause", None, {"reason": reason})

    async def resume(self, queue: str, *, reason: str | None = None) -> None:
        await self._backend.call("POST", f"{_of(queue)}/resume", None, {"reason": reason})

    async def drain(
        self, queue: str, *, position: int | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Cancel what waits, of the jobs enqueued at or before `position` (None: now).

        Answers {cancelled, position, matched}; of more than 10,000 {action_id, matched, position}, and
        it goes on. A dry run only counts; pass its `position` back to act on exactly that set.
        """
        body = {"position": position, "dry_run": dry_run}
        return _object.decode(await self._backend.call("POST", f"{_of(queue)}/drain", None, body))

    async def configure(self, queue: str, **config: Any) -> Queue:
        """Create the queue, or change the named settings of it."""
        return _queue.decode(await self._backend.call("PUT", _of(queue), None, config))

    async def config(self) -> dict[str, Any]:
        """The system's configuration."""
        return await self._read("/config")

    async def _read(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _object.decode(await self._backend.call("GET", path, _query(query or {}, None)))


def _of(queue: str) -> str:
    return f"/queue/{quote(queue, safe='')}"


def _job(id_: str) -> str:
    """Of what can be a job's id only: no other text may become part of a path."""
    try:
        return f"/job/{ids.to_text(ids.from_text(id_))}"
    except ValueError:
        raise NotFound("Job not found", {"id": id_[:64]}) from None


def _query(given: Mapping[str, Any], after: str | int | None) -> dict[str, Any]:
    """What is not None, as texts of a query."""
    query = {**given, "after": after}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in query.items()
        if value is not None
    }


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that exist, with `delay` turned into a time. Raises InvalidField."""
    for name in options:
        if name not in OPTIONS:
            raise InvalidField(f"{name} is not a known field", {"field": name})
    given = dict(options)
    if (delay := given.pop("delay", None)) is not None:
        if given.get("scheduled_for") is not None:
            raise InvalidField("delay or scheduled_for, not both", {"field": "delay"})
        wait = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        given["scheduled_for"] = datetime.now(UTC) + wait
    return given


def _bulk_item(item: Item) -> BulkItem:
    if isinstance(item, tuple):
        return BulkItem(*item)
    try:
        return BulkItem(**item)
    except TypeError:
        known = set(BulkItem.__struct_fields__)
        wrong = min(set(item) - known, default=None) or min({"queue", "type", "payload"} - set(item))
        said = "is missing" if wrong in known else "is not a known field"
        raise InvalidField(f"{wrong} {said}", {"field": wrong}) from None
